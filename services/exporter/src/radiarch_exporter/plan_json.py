"""``plan.json``: the plan in words and numbers, each with where it came from.

What was measured on a clock is left out: a second attempt writes the same bytes.
"""

import json
from typing import Any

from radiarch_common.base import Model
from radiarch_common.case import CaseManifest
from radiarch_common.messages import ExportResult
from radiarch_common.result import ResultBeam, ResultManifest
from radiarch_common.worst import worst_goals

from radiarch_exporter.identity import Identity
from radiarch_exporter.ion_plan import prescription_text
from radiarch_exporter.record import NOTICE


def plan_json(job: ExportResult, case: CaseManifest, result: ResultManifest) -> bytes:
    """Request as resolved, beams, what they are worth in each scenario, provenance and warnings as JSON, UTF-8.

    ``worst_goals`` has an entry for each goal, in their order, and none when there are no scenarios.
    """
    document: dict[str, Any] = {
        "notice": NOTICE,
        "job_id": job.job_id,
        "created_at": job.created_at.isoformat(),
        "prescription": prescription_text(result),
        "result_digest": result.digest,
        "dicom": _dicom(job, case, result),
        "request": result.resolved.model_dump(mode="json"),
        "beams": [_beam(beam) for beam in result.beams],
        "dose_grid": result.grid.model_dump(mode="json"),
        "uncertainty": result.uncertainty.model_dump(mode="json"),
        "goals": [goal.model_dump(mode="json") for goal in result.goals],
        "worst_goals": [_dumped(worst) for worst in worst_goals(result.goals, result.scenarios) if result.scenarios],
        "scenarios": [scenario.model_dump(mode="json") for scenario in result.scenarios],
        "indices": _dumped(result.indices),
        "beam_statistics": [beam.model_dump(mode="json") for beam in result.beam_statistics],
        "derived_structures": {s.name: {"volume_cc": s.volume_cc, "made_of": s.derived} for s in result.structures},
        "metrics": {curve.structure: curve.metrics for curve in result.dvh},
        "let": [structure.model_dump(mode="json") for structure in result.let],
        "objective_course": result.objective_course,
        "provenance": result.provenance.model_dump(mode="json"),
        "warnings": {
            "request": result.resolved.warnings,
            "case": case.warnings,
            "planner": result.warnings,
        },
    }
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False).encode()


def _dumped(model: Model | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(mode="json")


def _dicom(job: ExportResult, case: CaseManifest, result: ResultManifest) -> dict[str, str]:
    identity = Identity.of(job.job_id, result.digest)
    return {
        "study_instance_uid": case.study_instance_uid,
        "frame_of_reference_uid": case.frame_of_reference_uid,
        "ct_series_instance_uid": case.ct_series_instance_uid,
        "structure_set_uid": case.structure_set.sop_instance_uid,
        "plan_uid": identity.plan_uid,
        "plan_series_uid": identity.plan_series_uid,
        "dose_uid": identity.dose_uid,
        "dose_series_uid": identity.dose_series_uid,
    }


def _beam(beam: ResultBeam) -> dict[str, Any]:
    """A beam without its spots: those are in the RT Ion Plan."""
    energies = [layer.energy_mev for layer in beam.layers]
    return {
        "number": beam.number,
        "name": beam.name,
        "gantry_angle_deg": beam.gantry_angle_deg,
        "couch_angle_deg": beam.couch_angle_deg,
        "isocentre_mm": beam.isocentre_mm,
        "range_shifter": _dumped(beam.range_shifter),
        "layers": len(beam.layers),
        "spots": sum(len(layer.mu) for layer in beam.layers),
        "lowest_energy_mev": min(energies),
        "highest_energy_mev": max(energies),
        "meterset_mu_per_fraction": beam.meterset_mu,
    }
