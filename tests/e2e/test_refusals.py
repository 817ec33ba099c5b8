"""Input that cannot be planned: a clear refusal in the job, and nothing in the PACS that was not there before.

Each case breaks the phantom in one way. What it takes to fail: a plan of such a study, a job that is retried, or
a reason that does not name what is wrong.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from radiarch_standalone.phantom import PhantomStudy, write_phantom
from radiarch_testkit.deployment import Deployment
from radiarch_testkit.requests import phantom_request

pytestmark = pytest.mark.slow

Study = tuple[list[Dataset], Dataset]
Break = Callable[[Study], None]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> PhantomStudy:
    return write_phantom(tmp_path_factory.mktemp("phantom"))


def fresh_study(phantom: PhantomStudy, seed: str) -> Study:
    """CT slices and structure set of the phantom, as a study of its own."""
    records: list[Dataset] = [dcmread(path) for path in phantom.files]
    renamed: dict[str, str] = {}

    def walk(dataset: Dataset, element: Any) -> None:  # noqa: ANN401 - pydicom's element
        if element.VR == "UI" and str(element.value).startswith(ROOT):
            new = renamed.setdefault(str(element.value), generate_uid(entropy_srcs=[seed, str(element.value)]))
            dataset[element.tag].value = new

    for record in records:
        record.walk(walk)
        record.file_meta.MediaStorageSOPInstanceUID = record.SOPInstanceUID
    return records[:-1], records[-1]


ROOT = "2.25."


def of_roi(structures: Dataset, name: str) -> Dataset:
    number = next(r.ROINumber for r in structures.StructureSetROISequence if r.ROIName == name)
    return next(r for r in structures.ROIContourSequence if r.ReferencedROINumber == number)


def no_contours(study: Study) -> None:
    del of_roi(study[1], "PTV").ContourSequence


def missing_slice(study: Study) -> None:
    del study[0][len(study[0]) // 2]


def tilted(study: Study) -> None:
    for record in study[0]:
        record.ImageOrientationPatient = [1, 0, 0, 0, 0.9962, 0.0872]


def two_cts(study: Study) -> None:
    ct = study[0]
    for record in list(ct):
        other = dcmread(record.filename)
        for tag in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            setattr(other, tag, getattr(record, tag))
        other.SOPInstanceUID = generate_uid()
        other.file_meta.MediaStorageSOPInstanceUID = other.SOPInstanceUID
        other.ImagePositionPatient[2] = float(other.ImagePositionPatient[2]) + 1.0
        ct.append(other)


def other_frame(study: Study) -> None:
    for item in study[1].ReferencedFrameOfReferenceSequence:
        item.FrameOfReferenceUID = "1.2.3.4.5"
    for item in study[1].StructureSetROISequence:
        item.ReferencedFrameOfReferenceUID = "1.2.3.4.5"


def seated(study: Study) -> None:
    for record in study[0]:
        record.PatientPosition = "SITTING"


def other_patient(study: Study) -> None:
    study[1].PatientID = "SOMEBODY-ELSE"


def dense(study: Study) -> None:
    """Water of 1.8 times the density: the far side of the target lies beyond 225 MeV."""
    for record in study[0]:
        pixels = record.pixel_array.copy()
        water = pixels > pixels.min()
        pixels[water] += 800
        record.PixelData = pixels.tobytes()


def nothing(_: Study) -> None:
    """The study is whole; the request is what cannot be planned."""


LATERAL = [{"name": "G90", "gantry_angle_deg": 90.0}]
ANTERIOR = [{"name": "G0", "gantry_angle_deg": 0.0, "range_shifter": "none"}]

CASES: dict[str, tuple[Break, dict[str, Any], str]] = {
    "empty target": (no_contours, {}, r"PTV"),
    "missing slice": (missing_slice, {}, r"slice"),
    "tilted CT": (tilted, {}, r"tilt|orient|axial"),
    "two CTs under one series UID": (two_cts, {}, r"slice|spacing|series"),
    "another frame of reference": (other_frame, {}, r"[Ff]rame of [Rr]eference"),
    "unknown patient position": (seated, {}, r"SITTING"),
    "another patient": (other_patient, {}, r"PatientID|patient"),
    "unknown target": (nothing, {"prescription": {"target": "GTV"}}, r"GTV"),
    "too shallow": (nothing, {"overrides": {"beams": ANTERIOR}}, r"shallow|G0"),
    "too deep": (dense, {"overrides": {"beams": LATERAL}}, r"deep|G90"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_by_name(deployment: Deployment, phantom: PhantomStudy, case: str) -> None:
    break_it, changes, reason = CASES[case]
    ct, structures = fresh_study(phantom, case)
    break_it((ct, structures))
    assert not deployment.pacs.store([*ct, structures]).failed
    uid = str(structures.StudyInstanceUID)
    before = {ref.sop_instance_uid for ref in deployment.pacs.instances(uid)}
    request = phantom_request(phantom, **changes) | {
        "study_instance_uid": uid,
        "segmentation_uid": str(structures.SOPInstanceUID),
    }
    job = deployment.end_of(deployment.plan(request)["job"]["id"])
    assert job["state"] == "failed"

    assert re.search(reason, job["reason"]), job["reason"]
    assert job["hint"], "a refusal says what to do"
    assert not [line for line in job["log"] if "again" in str(line["message"])], "a refusal is not retried"
    assert {ref.sop_instance_uid for ref in deployment.pacs.instances(uid)} == before
    if case == "unknown target":
        assert all(name in job["hint"] + job["reason"] for name in ("PTV", "Core", "BODY"))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"machine": None}, "machine"),
        ({"workflow": "proton-magic"}, "workflow"),
        ({"overrides": {"beams": [{"name": "x", "gantry_angle_deg": 400.0}]}}, "gantry_angle_deg"),
        ({"overrides": {"primaries_per_spot": 0}}, "primaries_per_spot"),
        ({"overrides": {"seed_of_doom": 1}}, "seed_of_doom"),
        ({"prescription": {"fractions": 0}}, "fractions"),
        ({"dose_grid_mm": 0.01}, "dose_grid_mm"),
    ],
)
def test_a_request_that_makes_no_sense_makes_no_job(
    deployment: Deployment, phantom: PhantomStudy, changes: dict[str, Any], field: str
) -> None:
    before = deployment.http.get("/plans").json()
    request = {key: value for key, value in phantom_request(phantom, **changes).items() if value is not None}
    answer = deployment.http.post("/plans", json=request)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert field in answer.text
    assert deployment.http.get("/plans").json() == before


def test_the_phantom_itself_is_not_refused(deployment: Deployment, phantom: PhantomStudy, tmp_path: Path) -> None:
    """The cases above are refused for what was broken, not for what the phantom is."""
    ct, structures = fresh_study(phantom, "whole")
    assert not deployment.pacs.store([*ct, structures]).failed
    request = phantom_request(phantom) | {
        "study_instance_uid": str(structures.StudyInstanceUID),
        "segmentation_uid": str(structures.SOPInstanceUID),
    }
    plan = deployment.plan(request)
    deployment.until(plan["job"]["id"], lambda job: job["stage"] == "planner" and job["progress"] > 0.03)
    deployment.http.post(f"/jobs/{plan['job']['id']}/cancel").raise_for_status()
