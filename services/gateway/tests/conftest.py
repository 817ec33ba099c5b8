"""A gateway as it runs: real HTTP, a real nats-server, SQLite; its planner and stages are played by the tests."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI
from radiarch_common.bus import Bus, connect
from radiarch_common.catalogue import Catalogue
from radiarch_common.objects import FolderStore
from radiarch_common.settings import FolderPacsSettings, Settings
from radiarch_common.topology import bootstrap
from radiarch_gateway.app import create_app
from radiarch_gateway.edge.stack import surround
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_testkit.described import Described
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from radiarch_testkit.offer import plan_body, small_catalogue


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Tracebacks as lines: pictures of every frame with its variables take seconds."""
    plain = [structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info]
    structlog.configure(processors=[*plain, structlog.processors.KeyValueRenderer()])


@pytest.fixture(scope="session")
def document() -> Described:
    """The gateway's description, read once."""
    return Described.committed()


@pytest.fixture(autouse=True)
def described(document: Described, monkeypatch: pytest.MonkeyPatch) -> Iterator[Described]:
    """Watches every gateway of a test; the test fails when one answered with a status that is not described."""

    def watched(app: FastAPI, *given: Any) -> None:  # noqa: ANN401 - passed on
        surround(app, *given)
        build = app.build_middleware_stack
        app.build_middleware_stack = lambda: document.around(build())

    monkeypatch.setattr("radiarch_gateway.app.surround", watched)
    document.otherwise.clear()
    yield document
    assert not document.otherwise, "not in openapi.json"


@pytest.fixture
def catalogue() -> Catalogue:
    """One workflow, two machines, one calibration; numbers that no default would give by chance."""
    return small_catalogue()


@pytest.fixture
def body() -> dict[str, Any]:
    """A request that names everything it must."""
    return plan_body()


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
