"""The phantom is what it says: conformant DICOM, analytic shapes, deep enough, the same bytes every time."""

import hashlib
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from radiarch_standalone.phantom import PhantomStudy, write_phantom
from radiarch_testkit.require import require

SLICE_CM = 0.25


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> PhantomStudy:
    return write_phantom(tmp_path_factory.mktemp("phantom"))


@pytest.fixture(scope="module")
def structures(study: PhantomStudy) -> pydicom.Dataset:
    return pydicom.dcmread(study.files[-1])


@pytest.fixture(scope="module")
def slices(study: PhantomStudy) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(file) for file in study.files[:-1]]


def contours(structures: pydicom.Dataset, name: str) -> list[npt.NDArray[np.float64]]:
    """Contours of a structure, each of shape (n, 3), as a reader that knows only DICOM finds them."""
    number = next(r.ROINumber for r in structures.StructureSetROISequence if name == r.ROIName)
    roi = next(r for r in structures.ROIContourSequence if r.ReferencedROINumber == number)
    return [np.asarray(c.ContourData, dtype=np.float64).reshape(-1, 3) for c in roi.ContourSequence]


def area_cm2(points_mm: npt.NDArray[np.float64]) -> float:
    """Green's theorem, edge by edge."""
    total = 0.0
    for (x0, y0, _), (x1, y1, _) in zip(points_mm, np.roll(points_mm, -1, axis=0), strict=True):
        total += x0 * y1 - x1 * y0
    return abs(total) / 200.0


def test_two_phantoms_are_the_same_bytes(study: PhantomStudy, tmp_path: Path) -> None:
    """Fails when a clock, a random UID or a library's version string gets into a file."""
    again = write_phantom(tmp_path / "new" / "folder")
    first, second = (
        {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in made.files} for made in (study, again)
    )
    assert first == second
    assert again.structure_set_uid == study.structure_set_uid


def test_dciodvfy_finds_no_error(study: PhantomStudy) -> None:
    """An independent validator reads every object; one error in one file fails."""
    require(shutil.which("dciodvfy") is not None, "dciodvfy (Debian: dicom3tools) is not installed")
    for file in study.files:
        seen = subprocess.run(["dciodvfy", "-new", str(file)], capture_output=True, text=True, check=False)
        said = seen.stdout + seen.stderr
        assert "CTImage" in said or "RTStructureSet" in said, f"{file.name} was not judged: {said}"
        assert "Error" not in said, f"{file.name}: {said}"


def test_the_study_says_that_it_is_a_phantom(slices: list[pydicom.Dataset], structures: pydicom.Dataset) -> None:
    """Nobody shall take it for a patient."""
    for ds in (slices[0], structures):
        assert ds.PatientName == "PHANTOM^TG119"
        assert ds.QualityControlSubject == "YES"
        assert "not a patient" in ds.StudyDescription


def test_ct_is_water_in_air(slices: list[pydicom.Dataset]) -> None:
    """Volume of the water by counting voxels: 30 x 20 x 16 cm, whole voxels only."""
    hu = np.stack([s.pixel_array * float(s.RescaleSlope) + float(s.RescaleIntercept) for s in slices])
    assert set(np.unique(hu)) == {-1000.0, 0.0}
    assert np.count_nonzero(hu == 0) * 0.2 * 0.2 * SLICE_CM == pytest.approx(30 * 20 * 16)
    assert hu[0].max() == hu[-1].max() == -1000.0
    z = [float(s.ImagePositionPatient[2]) for s in slices]
    assert np.diff(z) == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("name", "volume_cc", "length_mm"),
    [
        # 210 degrees of an annulus between 1.5 and 3.7 cm, 8 cm long; a cylinder; a box.
        ("PTV", 210 / 360 * math.pi * (3.7**2 - 1.5**2) * 8, 80),
        ("Core", math.pi * 10, 100),
        ("BODY", 30 * 20 * 16, 160),
    ],
)
def test_volumes_are_the_analytic_ones(
    structures: pydicom.Dataset, name: str, volume_cc: float, length_mm: float
) -> None:
    """Contour areas by Green's theorem, times the slice spacing, against solid geometry."""
    found = contours(structures, name)
    assert sum(area_cm2(c) for c in found) * SLICE_CM == pytest.approx(volume_cc, rel=5e-4)
    planes = [c[0, 2] for c in found]
    assert max(planes) - min(planes) + 10 * SLICE_CM == pytest.approx(length_mm)
    assert len(set(planes)) == len(planes)


def test_target_surrounds_the_core_and_opens_to_the_back(structures: pydicom.Dataset) -> None:
    """The gap is 5 mm everywhere, and no target lies straight behind the core."""
    core, target = contours(structures, "Core")[0][:, :2], contours(structures, "PTV")[0][:, :2]
    axis = core.mean(axis=0)
    radius = np.hypot(*(target - axis).T)
    assert (radius.min(), radius.max()) == pytest.approx((15.0, 37.0), abs=1e-3)
    assert np.hypot(*(core - axis).T) == pytest.approx(np.full(len(core), 10.0), abs=1e-3)
    x, y = (target - axis).T
    assert np.abs(np.degrees(np.arctan2(x, -y))).max() == pytest.approx(105.0, abs=0.01)  # from the front, -y


def test_lateral_beams_cross_enough_water_and_not_too_much(
    slices: list[pydicom.Dataset], structures: pydicom.Dataset
) -> None:
    """Fails when some part of the target lies outside what 100 to 225 MeV reach from gantry 90 or 270."""
    body = contours(structures, "BODY")[0]
    target = np.concatenate(contours(structures, "PTV"))
    from_left, from_right = body[:, 0].max() - target[:, 0], target[:, 0] - body[:, 0].min()
    assert min(from_left.min(), from_right.min()) >= 80.0 + 5.0  # PSTAR: 77 mm at 100 MeV, and a 5 mm margin
    assert max(from_left.max(), from_right.max()) <= 317.0 - 5.0  # PSTAR: 317 mm at 225 MeV
    low, high = (getattr(target, f)(axis=0) for f in ("min", "max"))
    first = slices[0]
    assert float(first.ImagePositionPatient[0]) < low[0]
    assert float(first.ImagePositionPatient[0]) + 2.0 * (cast("int", first.Columns) - 1) > high[0]


def test_every_reference_leads_to_a_slice(slices: list[pydicom.Dataset], structures: pydicom.Dataset) -> None:
    """A contour refers to the slice whose plane it lies on; the frame of reference lists them all."""
    plane_of = {str(s.SOPInstanceUID): float(s.ImagePositionPatient[2]) for s in slices}
    for roi in structures.ROIContourSequence:
        for contour in roi.ContourSequence:
            uid = str(contour.ContourImageSequence[0].ReferencedSOPInstanceUID)
            assert plane_of[uid] == pytest.approx(float(contour.ContourData[2]))
    frame = structures.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    assert {str(i.ReferencedSOPInstanceUID) for i in series.ContourImageSequence} == set(plane_of)
    assert series.SeriesInstanceUID == slices[0].SeriesInstanceUID
    assert frame.FrameOfReferenceUID == slices[0].FrameOfReferenceUID


def test_body_is_the_external_one(study: PhantomStudy, structures: pydicom.Dataset) -> None:
    """The planner finds the outline by its type."""
    names: dict[int, Any] = {r.ROINumber: r.ROIName for r in structures.StructureSetROISequence}
    types = {names[o.ReferencedROINumber]: o.RTROIInterpretedType for o in structures.RTROIObservationsSequence}
    assert types == {study.body: "EXTERNAL", study.target: "PTV", study.core: "AVOIDANCE"}
