"""Bodies of ``POST /plans`` for tests: a phantom plan that takes seconds."""

from typing import Any

from radiarch_standalone.phantom import PhantomStudy

SMALL: dict[str, Any] = {
    "spot_spacing_mm": 10.0,
    "layer_spacing_mm": 10.0,
    "target_margin_mm": 3.0,
    "primaries_per_spot": 100,
    "primaries_final": 200_000,
    "iterations": 30,
}
"""Few spots and protons: the way of a job, not a plan to judge."""


def phantom_request(study: PhantomStudy, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A plan of the C-shape from both sides; ``overrides`` are added to the small ones."""
    overrides = SMALL | {
        "beams": [{"name": "G90", "gantry_angle_deg": 90.0}, {"name": "G270", "gantry_angle_deg": 270.0}]
    }
    body: dict[str, Any] = {
        "study_instance_uid": study.study_instance_uid,
        "segmentation_uid": study.structure_set_uid,
        "workflow": "proton-impt",
        "machine": "generic-pbs",
        "ct_calibration": "water",
        "prescription": {"target": study.target, "dose_gy_rbe": 50.0, "fractions": 25},
        "dose_grid_mm": 5.0,
    }
    overrides |= changes.pop("overrides", {})
    prescription = body["prescription"] | changes.pop("prescription", {})
    return body | {"overrides": overrides, "prescription": prescription} | changes
