"""What a gateway under test offers, and a plan that can be asked for with it."""

from typing import Any

from radiarch_common.catalogue import (
    CalibrationEntry,
    Catalogue,
    GoalTemplate,
    MachineEntry,
    ObjectiveTemplate,
    WorkflowEntry,
    WorkflowTemplate,
)
from radiarch_common.plans import Beam


def small_catalogue() -> Catalogue:
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


def plan_body() -> dict[str, Any]:
    """A request that names everything it must."""
    return {
        "study_instance_uid": "1.2.3.4",
        "workflow": "proton-impt",
        "prescription": {"target": "PTV", "dose_gy_rbe": 60.0, "fractions": 30},
        "machine": "room-1",
        "ct_calibration": "scanner-1",
    }
