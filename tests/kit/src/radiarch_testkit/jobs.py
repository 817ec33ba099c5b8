"""Jobs for tests that care about the way of a message, not about physics."""

from datetime import timedelta

from radiarch_common.messages import ImportStudy, utc_now
from radiarch_common.plans import Beam, Objective, Pinned, PlanSpec, Prescription, ResolvedPlan

_HASH = "0" * 64


def resolved_plan() -> ResolvedPlan:
    """A well-formed request of no particular patient."""
    spec = PlanSpec(
        prescription=Prescription(target="PTV", dose_gy_rbe=50.0, fractions=25, normalisation="D50% = 100 %"),
        beams=(Beam(name="G90", gantry_angle_deg=90.0), Beam(name="G270", gantry_angle_deg=270.0)),
        objectives=(Objective(structure="PTV", kind="DUniform", dose_gy_rbe=50.0, weight=10.0),),
        rbe=1.1,
        dose_grid_mm=2.5,
        spot_spacing_mm=5.0,
        layer_spacing_mm=5.0,
        target_margin_mm=5.0,
        minimum_spot_mu=0.02,
        maximum_spot_mu=100.0,
        primaries_per_spot=500,
        primaries_final=1_000_000,
        batches=10,
        iterations=50,
        seed=1,
    )
    pinned = Pinned(id="test", version="1", sha256=_HASH)
    return ResolvedPlan(workflow=pinned, machine=pinned, ct_calibration=pinned, spec=spec, origins={"rbe": "workflow"})


def import_job(job_id: str = "job00001", *, run: int = 1, lives_s: float = 3600.0) -> ImportStudy:
    """A job for the first stage."""
    now = utc_now()
    return ImportStudy(
        job_id=job_id,
        run=run,
        created_at=now,
        deadline=now + timedelta(seconds=lives_s),
        pacs="main",
        request=resolved_plan(),
        study_instance_uid="1.2.3",
    )
