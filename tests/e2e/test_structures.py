"""A plan on a study without a body outline, on a target that the request derives: through all stages into the PACS.

What it takes to fail: a stage that does not know what the request made, or a reference to a ROI that nobody drew.
"""

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from radiarch_standalone.phantom import write_phantom
from radiarch_testkit.deployment import Deployment
from radiarch_testkit.requests import phantom_request

pytestmark = pytest.mark.slow


def test_a_body_from_the_ct_and_a_derived_target(deployment: Deployment, tmp_path: Path) -> None:
    phantom = write_phantom(tmp_path)
    records: list[Dataset] = [dcmread(path) for path in phantom.files]
    structures = records[-1]
    [number] = [r.ROINumber for r in structures.StructureSetROISequence if r.ROIName == phantom.body]
    [drawn] = [r for r in structures.ROIContourSequence if r.ReferencedROINumber == number]
    del drawn.ContourSequence
    assert not deployment.pacs.store(records).failed

    overrides: dict[str, Any] = {
        "derived_structures": [
            {"name": "Inner", "kind": "margin", "of": phantom.target, "margin_mm": -2.0, "crop_to": "{body}"},
            {"name": "Ring", "kind": "ring", "of": "{target}", "from_mm": 10.0, "to_mm": 30.0, "crop_to": "{body}"},
        ],
        "density_overrides": [{"structure": "Core", "hu": 0.0}],
        "goals": [{"structure": "Ring", "metric": "Mean[Gy]", "op": "<=", "value": 40.0}],
    }
    refused = deployment.end_of(deployment.plan(phantom_request(phantom))["job"]["id"])
    assert refused["state"] == "failed"
    assert "body_from_ct" in refused["hint"]

    asked = phantom_request(
        phantom, prescription={"target": "Inner"}, overrides=overrides | {"body_from_ct": {"threshold_hu": -300.0}}
    )
    job = deployment.end_of(deployment.plan(asked)["job"]["id"])
    assert job["state"] == "succeeded", job
    made = [deployment.pacs.instance(ref) for ref in deployment.pacs.instances(phantom.study_instance_uid)]
    by_modality = {record.Modality: record for record in made if record is not None}
    [wanted] = by_modality["RTPLAN"].DoseReferenceSequence
    assert "derived target Inner" in wanted.DoseReferenceDescription
    with_contours = {r.ReferencedROINumber for r in structures.ROIContourSequence if "ContourSequence" in r}
    for modality in ("RTPLAN", "RTDOSE"):
        referenced = {e.value for e in by_modality[modality].iterall() if e.keyword == "ReferencedROINumber"}
        assert referenced <= with_contours
