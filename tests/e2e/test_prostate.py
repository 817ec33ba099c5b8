"""A real patient's CT through real parts: Orthanc, S3, NATS and the four services as processes of their own.

What it takes to fail: a plan that misses the target, a dose in the wrong place, DICOM that points elsewhere,
or a PACS that does not hold what the job says it left there.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.path import Path as Polygon
from pydicom import Dataset, dcmread
from radiarch_common.pacs import InstanceRef
from radiarch_testkit.dciodvfy import remarks
from radiarch_testkit.deployment import Deployment

DOSE_GY_RBE = 60.0
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data() -> Path:
    """The folder of real data; the test says so when there is none."""
    root = os.environ.get("RADIARCH_TEST_DATA")
    folder = Path(root) / "real_prostate_ct_rs" if root else None
    if folder is None or not folder.is_dir():
        pytest.skip("RADIARCH_TEST_DATA names no folder with real_prostate_ct_rs")
    return folder


@pytest.fixture(scope="module")
def structures(data: Path) -> Dataset:
    return dcmread(data / "RTstructs.dcm")


@pytest.fixture(scope="module")
def planned(deployment: Deployment, data: Path, structures: Dataset) -> dict[str, Any]:
    """The plan as the gateway shows it after the job succeeded."""
    records = [dcmread(path) for path in sorted(data.rglob("*.dcm"))]
    assert not deployment.pacs.store(records).failed
    body = {
        "study_instance_uid": str(structures.StudyInstanceUID),
        "workflow": "proton-impt",
        "machine": "generic-pbs",
        "ct_calibration": "ucl-toshiba",
        "prescription": {"target": "PTV", "dose_gy_rbe": DOSE_GY_RBE, "fractions": 30},
        "dose_grid_mm": 4.0,
        "overrides": {
            "beams": [{"name": "Left", "gantry_angle_deg": 90.0}, {"name": "Right", "gantry_angle_deg": 270.0}],
            "spot_spacing_mm": 8.0,
            "layer_spacing_mm": 8.0,
            "primaries_per_spot": 300,
            "primaries_final": 1_000_000,
            "iterations": 100,
        },
    }
    answer = deployment.plan(body)
    job = deployment.end_of(answer["job"]["id"])
    assert job["state"] == "succeeded", job
    return deployment.http.get(f"/plans/{answer['id']}").raise_for_status().json()


@pytest.fixture(scope="module")
def exported(deployment: Deployment, planned: dict[str, Any]) -> dict[str, Dataset]:
    """RTPLAN and RTDOSE as QIDO finds them and WADO gives them."""
    study = planned["study_instance_uid"]
    found: dict[str, Dataset] = {}
    for ref in deployment.pacs.instances(study):
        if ref.modality in ("RTPLAN", "RTDOSE"):
            record = deployment.pacs.instance(ref)
            assert record is not None
            assert ref.modality not in found, f"more than one {ref.modality} in the PACS"
            found[ref.modality] = record
    assert set(found) == {"RTPLAN", "RTDOSE"}
    return found


def test_the_target_is_covered(planned: dict[str, Any]) -> None:
    ptv = next(curve for curve in planned["dvh"] if curve["structure"] == "PTV")
    assert ptv["metrics"]["D95%[Gy]"] >= 0.9 * DOSE_GY_RBE


def test_the_statistical_uncertainty_is_at_most_3_percent(deployment: Deployment, planned: dict[str, Any]) -> None:
    report = next(a for a in planned["artifacts"] if a["name"] == "plan.json")
    told = deployment.http.get(f"/artifacts/{report['id']}").json()
    assert told["uncertainty"]["percent"] <= 3.0


def test_the_hottest_cubic_centimetre_lies_in_the_target(exported: dict[str, Dataset], structures: Dataset) -> None:
    """By an oracle of its own: pydicom, matplotlib's polygons and the exported RTDOSE only."""
    dose, points, voxel_cc = _dose(exported["RTDOSE"])
    hottest = points[np.argsort(dose)[-max(1, round(1.0 / voxel_cc)) :]]
    outside = [point for point in hottest if not _within(point, _contours(structures, "PTV"), margin_mm=10.0)]
    assert not outside, f"{len(outside)} of {len(hottest)} of the hottest voxels lie outside PTV + 10 mm"


def test_dicom_is_valid_and_refers_to_what_is_there(
    deployment: Deployment, exported: dict[str, Dataset], structures: Dataset, tmp_path: Path
) -> None:
    plan, dose = exported["RTPLAN"], exported["RTDOSE"]
    for record in (plan, dose):
        assert record.StudyInstanceUID == structures.StudyInstanceUID
        assert record.PatientID == structures.PatientID
    assert plan.ReferencedStructureSetSequence[0].ReferencedSOPInstanceUID == structures.SOPInstanceUID
    assert dose.ReferencedRTPlanSequence[0].ReferencedSOPInstanceUID == plan.SOPInstanceUID
    held = {ref.sop_instance_uid: ref for ref in deployment.pacs.instances(str(structures.StudyInstanceUID))}
    assert str(structures.SOPInstanceUID) in held
    ct = next(ref for ref in held.values() if ref.modality == "CT")
    assert _frame(deployment, ct) == dose.FrameOfReferenceUID == plan.FrameOfReferenceUID


def test_artifacts_are_what_their_digests_say(deployment: Deployment, planned: dict[str, Any], tmp_path: Path) -> None:
    names = {artifact["name"] for artifact in planned["artifacts"]}
    files = "RTPLAN.dcm RTDOSE.dcm dvh.json dvh.csv dose.png plan.json report.html report.pdf"
    assert names == set(files.split())
    for artifact in planned["artifacts"]:
        data = deployment.http.get(f"/artifacts/{artifact['id']}").raise_for_status().content
        assert hashlib.sha256(data).hexdigest() == artifact["sha256"]
        if artifact["name"].endswith(".dcm"):
            assert artifact["dicomweb_url"].startswith(deployment.orthanc.dicomweb_url)
            assert not [remark for remark in remarks(data, tmp_path) if "Error" in remark]


def test_planning_the_same_study_again_imports_nothing(deployment: Deployment, planned: dict[str, Any]) -> None:
    assert planned["job"]["timings"]["importer"]["retrieve"] > 0
    body = planned["requested"] | {"overrides": {**planned["requested"]["overrides"], "primaries_final": 10_000}}
    again = deployment.plan(body)
    job = deployment.until(again["job"]["id"], lambda job: job["stage"] == "planner")
    assert "retrieve" not in job["timings"]["importer"]
    deployment.http.post(f"/jobs/{job['id']}/cancel").raise_for_status()
    assert deployment.end_of(job["id"])["state"] == "cancelled"


def _frame(deployment: Deployment, ref: InstanceRef) -> str:
    record = deployment.pacs.instance(ref)
    assert record is not None
    return str(record.FrameOfReferenceUID)


def _dose(record: Dataset) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    dose = record.pixel_array.astype(np.float64) * float(record.DoseGridScaling)
    origin = [float(v) for v in record.ImagePositionPatient]
    dy, dx = (float(v) for v in record.PixelSpacing)
    offsets = [float(v) for v in record.GridFrameOffsetVector]
    z, y, x = np.meshgrid(
        origin[2] + np.asarray(offsets),
        origin[1] + dy * np.arange(record.Rows),
        origin[0] + dx * np.arange(record.Columns),
        indexing="ij",
    )
    voxel_cc = dx * dy * abs(offsets[1] - offsets[0]) / 1000.0
    return dose.ravel(), np.column_stack([x.ravel(), y.ravel(), z.ravel()]), voxel_cc


def _contours(structures: Dataset, name: str) -> list[npt.NDArray[np.float64]]:
    number = next(r.ROINumber for r in structures.StructureSetROISequence if r.ROIName == name)
    roi = next(r for r in structures.ROIContourSequence if r.ReferencedROINumber == number)
    return [np.asarray(c.ContourData, dtype=np.float64).reshape(-1, 3) for c in roi.ContourSequence]


def _within(point: npt.NDArray[np.float64], contours: list[npt.NDArray[np.float64]], margin_mm: float) -> bool:
    """Whether a point lies inside a contour of a plane within the margin, or that near to its line."""
    for contour in contours:
        if abs(contour[0, 2] - point[2]) > margin_mm:
            continue
        line = contour[:, :2]
        if (
            Polygon(line).contains_point((float(point[0]), float(point[1])))
            or np.min(np.linalg.norm(line - point[:2], axis=1)) <= margin_mm
        ):
            return True
    return False
