"""A gateway as it runs: real HTTP, a real nats-server, SQLite; its planner and stages are played by the tests."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from radiarch_common.bus import Bus, connect
from radiarch_common.catalogue import (
    CalibrationEntry,
    Catalogue,
    GoalTemplate,
    MachineEntry,
    ObjectiveTemplate,
    WorkflowEntry,
    WorkflowTemplate,
)
from radiarch_common.objects import FolderStore
from radiarch_common.plans import Beam
from radiarch_common.settings import FolderPacsSettings, Settings
from radiarch_common.topology import bootstrap
from radiarch_gateway.app import create_app
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_testkit.gateway import HANG_S, StageHand, served, until


@pytest.fixture
def catalogue() -> Catalogue:
    """One workflow, two machines, one calibration; numbers that no default would give by chance."""
    template = WorkflowTemplate(
        id="proton-impt",
        version="3",
        title="IMPT",
        description="Two fields.",
        modality="proton",
        engine="mcsquare",
        normalisation="D50% = 100 %",
        rbe=1.1,
        beams=(Beam(name="G90", gantry_angle_deg=90.0), Beam(name="G270", gantry_angle_deg=270.0)),
        objectives=(
            ObjectiveTemplate(structure="{target}", kind="DUniform", dose_percent=101.0, weight=10.0),
            ObjectiveTemplate(structure="{body}", kind="DMax", dose_percent=105.0),
        ),
        goals=(
            GoalTemplate(structure="{target}", metric="D95%[Gy]", op=">=", value=95.0, limit=90.0, priority=2),
            GoalTemplate(structure="{body}", metric="V30Gy[%]", op="<=", value=40.0),
            GoalTemplate(structure="{body}", metric="CV10Gy[cc]", op=">=", value=700.0, limit=650.0),
        ),
        dose_grid_mm=2.5,
        spot_spacing_mm=5.5,
        layer_spacing_mm=4.5,
        target_margin_mm=6.5,
        primaries_per_spot=700,
        primaries_final=2_000_000,
        batches=12,
        iterations=77,
        seed=42,
    )
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "beams": {"type": "array"},
            "objectives": {"type": "array"},
            "goals": {"type": "array"},
            "derived_structures": {"type": "array"},
            "body_from_ct": {"type": "object"},
            "density_overrides": {"type": "array"},
            "isocentre_mm": {"type": "array"},
            "spot_spacing_mm": {"type": "number", "minimum": 3.0, "maximum": 12.0},
            "minimum_spot_mu": {"type": "number"},
            "primaries_final": {"type": "integer"},
            "seed": {"type": "integer"},
        },
    }
    machine = MachineEntry(
        id="room-1",
        version="2",
        sha256="1" * 64,
        title="Room 1",
        commissioned=True,
        minimum_energy_mev=100.0,
        maximum_energy_mev=226.0,
        minimum_spot_mu=0.02,
        maximum_spot_mu=50.0,
    )
    calibration = CalibrationEntry(
        id="scanner-1",
        version="1",
        sha256="3" * 64,
        title="Scanner 1",
        commissioned=False,
        minimum_hu=-1000.0,
        maximum_hu=3000.0,
    )
    generic = machine.model_copy(
        update={"id": "generic", "title": "Generic", "sha256": "2" * 64, "commissioned": False}
    )
    return Catalogue(
        planner_version="9.9",
        workflows=(WorkflowEntry(template=template, sha256="4" * 64, overrides_schema=schema),),
        machines=(machine, generic),
        ct_calibrations=(calibration,),
    )


@pytest.fixture
def body() -> dict[str, Any]:
    """A request that names everything it must."""
    return {
        "study_instance_uid": "1.2.3.4",
        "workflow": "proton-impt",
        "prescription": {"target": "PTV", "dose_gy_rbe": 60.0, "fractions": 30},
        "machine": "room-1",
        "ct_calibration": "scanner-1",
    }


@pytest.fixture
def settings(nats_server: EmbeddedNats, tmp_path: Path) -> Settings:
    """Everything under one folder; a folder as the only PACS."""
    return Settings(
        nats_url=nats_server.url,
        ack_wait_s=5.0,
        database_url=f"sqlite:///{tmp_path / 'radiarch.db'}",
        objects_folder=tmp_path / "objects",
        s3=None,
        pacs={"main": FolderPacsSettings(folder=tmp_path / "pacs")},
        default_machine=None,
        default_ct_calibration=None,
        authentication="none",
    )


@pytest.fixture
def objects(settings: Settings) -> FolderStore:
    """The object store of the gateway under test."""
    return FolderStore(settings.objects_folder)


@pytest.fixture
async def stage_hand(settings: Settings) -> AsyncIterator[StageHand]:
    """The bus with its topology, and a hand on it."""
    client = await connect(settings, "test")
    await bootstrap(client, settings)
    yield StageHand(Bus(client))
    await client.close()


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """The application, not served yet."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    return create_app(settings)


@pytest.fixture
async def http(app: FastAPI, stage_hand: StageHand, catalogue: Catalogue) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the served application, whose planner has published its catalogue."""
    await stage_hand.offer(catalogue)
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            await until(lambda: client.get("/api/v1/info"), lambda answer: answer.json()["workflows"])
            yield client
