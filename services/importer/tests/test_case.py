"""What becomes of a sound study: values and places are those that the test itself drew."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset
from pydicom.uid import RLELossless
from radiarch_common.case import Case, load_case
from radiarch_common.errors import StoppedError, UnavailableError
from radiarch_common.objects import FolderStore
from radiarch_common.pacs import FolderPacs, InstanceRef, StoreReport, WebPacs
from radiarch_common.watch import QuietWatch
from radiarch_importer.build import build_case
from radiarch_testkit.orthanc_server import OrthancServer
from radiarch_testkit.synthetic_study import (
    CT_SERIES_UID,
    FRAME_UID,
    STRUCTURE_SET_UID,
    STUDY_UID,
    SyntheticStudy,
    rectangle,
    set_hu,
)


def build(study: SyntheticStudy, folder: Path, target: str = "PTV", watch: QuietWatch | None = None) -> Case:
    study.write(folder / "pacs")
    objects = FolderStore(folder / "objects")
    pacs = FolderPacs("main", folder / "pacs")
    return load_case(objects, build_case(pacs, objects, STUDY_UID, None, target, watch or QuietWatch()))


def circle(radius: float, x: float, y: float) -> npt.NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])


def test_volume_lies_where_the_slices_say(tmp_path: Path) -> None:
    """Swapped rows and columns, or slices in the order of their files, fail this: spacing is 2 x 1.5 x 3 mm."""
    study = SyntheticStudy()
    random.Random(1).shuffle(study.ct)
    case = build(study, tmp_path)
    grid = case.manifest.grid
    assert grid.origin_mm == (-39.0, -28.5, -16.0)
    assert grid.spacing_mm == (2.0, 1.5, 3.0)
    assert grid.size == (40, 39, 12)
    hu = case.ct_hu()
    assert hu.shape == (12, 39, 40)
    # Water of slice n holds n HU.
    np.testing.assert_array_equal(hu[:, 19, 20], np.arange(12))
    inside = (np.abs(grid.axis_mm(1))[:, None] < 20) & (np.abs(grid.axis_mm(0))[None, :] < 30)
    np.testing.assert_array_equal(hu[5], np.where(inside, 5, -1000))
    assert [r.sop_instance_uid for r in case.manifest.ct_slices] == [f"{CT_SERIES_UID}.{n + 1}" for n in range(12)]


def test_structures_have_their_volume_and_place(tmp_path: Path) -> None:
    case = build(SyntheticStudy(), tmp_path)
    ptv = case.manifest.structure("PTV")
    assert ptv.volume_cc == pytest.approx(20 * 15 * 18 / 1000)
    filled = case.occupancy(ptv)
    assert filled.sum() * ptv.grid.voxel_volume_cc == pytest.approx(5.4, rel=2e-3)
    z, y, x = np.meshgrid(*(ptv.grid.axis_mm(axis) for axis in (2, 1, 0)), indexing="ij")
    centre = [float((filled * axis).sum() / filled.sum()) for axis in (x, y, z)]
    assert centre == pytest.approx([1.0, -0.5, 0.5], abs=0.02)
    assert case.manifest.body == 1
    assert case.manifest.warnings == ()
    (drawn,) = {c.points_mm.tobytes() for c in case.contours()[2]}
    assert drawn == rectangle((-9.0, -8.0), (11.0, 7.0)).tobytes()


def test_holes_are_empty(tmp_path: Path) -> None:
    """A second contour inside the first is a hole: 12^2 - 5^2, on three slices."""
    study = SyntheticStudy()
    planes = [-1.0, 2.0, 5.0]
    study.add_roi(7, "Ring", "PTV", [(z, circle(r, 1.0, 0.3)) for z in planes for r in (12.0, 5.0)])
    case = build(study, tmp_path, "Ring")
    ring = case.manifest.structure("Ring")
    filled = case.occupancy(ring)
    expected = np.pi * (144 - 25) * 9 / 1000
    assert ring.volume_cc == pytest.approx(expected, rel=1e-3)
    assert filled.sum() * ring.grid.voxel_volume_cc == pytest.approx(expected, rel=2e-3)
    i, j, k = np.rint(ring.grid.index_of(np.array([[1.0, 0.3, 2.0]]))[0]).astype(int)
    assert filled[k, j, i] == 0


def test_patient_and_study_are_kept_verbatim(tmp_path: Path) -> None:
    manifest = build(SyntheticStudy(), tmp_path).manifest
    header = Dataset.from_json(manifest.header)
    assert header.PatientName == "Nobody^Jörg"
    assert header.PatientID == "SYNTHETIC-1"
    assert header.SpecificCharacterSet == "ISO_IR 192"
    assert header.StudyDate == "20260102"
    assert "AccessionNumber" in header
    assert "PixelData" not in header
    assert manifest.frame_of_reference_uid == FRAME_UID
    assert manifest.structure_set.sop_instance_uid == STRUCTURE_SET_UID
    assert (manifest.patient_position, manifest.kvp, manifest.manufacturer) == ("HFS", 120.0, "Nobody")


@pytest.mark.parametrize("padding", [-2000, -3024, -1025])
def test_padding_becomes_air(tmp_path: Path, padding: int) -> None:
    """Declared or not: -2000 HU, taken at its word, would be matter that lifts a proton's range."""
    study = SyntheticStudy()
    for ds in study.ct:
        ds.PixelRepresentation, ds.RescaleIntercept = 1, "0"
        hu = np.full((39, 40), 40)
        hu[:4] = padding
        hu[4:6] = -1024
        ds.PixelData = hu.astype("<i2").tobytes()
    hu = build(study, tmp_path).ct_hu()
    assert set(np.unique(hu)) == {-1024, -1000, 40}
    assert (hu[:, :4] == -1000).all()


@pytest.mark.parametrize(("value", "limit"), [(0, None), (0, 20), (20, 0)])
def test_declared_padding_becomes_air(tmp_path: Path, value: int, limit: int | None) -> None:
    study = SyntheticStudy()
    for ds in study.ct:
        hu = np.full((39, 40), 40)
        hu[:4] = -1024
        hu[4:6] = -1010
        set_hu(ds, hu)
        ds.PixelPaddingValue = value
        if limit is not None:
            ds.PixelPaddingRangeLimit = limit
    hu = build(study, tmp_path).ct_hu()
    assert (hu[:, :4] == -1000).all()
    assert (hu[:, 4:6] == (-1010 if limit is None else -1000)).all()


def test_padding_written_with_the_other_sign_is_understood(tmp_path: Path) -> None:
    study = SyntheticStudy()
    for ds in study.ct:
        ds.PixelRepresentation, ds.RescaleIntercept = 1, "0"
        ds.PixelData = np.full((39, 40), -2000).astype("<i2").tobytes()
        ds.add_new("PixelPaddingValue", "US", 65536 - 2000)
    assert (build(study, tmp_path).ct_hu() == -1000).all()


def test_rescale_is_applied_slice_by_slice(tmp_path: Path) -> None:
    """The extended scale of metal: slope 10 from -10240, on some slices only."""
    study = SyntheticStudy()
    ds = study.ct[5]
    ds.RescaleSlope, ds.RescaleIntercept = "10", "-10240"
    ds.PixelData = np.full((39, 40), 4095, "<u2").tobytes()
    hu = build(study, tmp_path).ct_hu()
    assert (hu[5] == 30710).all()
    assert hu[6].max() == 6


def test_compressed_slices_are_read(tmp_path: Path) -> None:
    study = SyntheticStudy()
    for ds in study.ct:
        ds.compress(RLELossless, generate_instance_uid=False)
    np.testing.assert_array_equal(build(study, tmp_path).ct_hu()[:, 19, 20], np.arange(12))


def test_positions_rounded_by_the_scanner_are_uniform(tmp_path: Path) -> None:
    """Slices of 0.625 mm whose positions were rounded to 0.1 mm."""
    study = SyntheticStudy()
    for n, ds in enumerate(study.ct):
        ds.ImagePositionPatient = ["-39", "-28.5", f"{0.625 * n:.1f}"]
    for number in (1, 2):
        for n, contour in enumerate(study.contours(number)):
            points = np.asarray(contour.ContourData, float).reshape(-1, 3)
            points[:, 2] = 0.625 * n
            contour.ContourData = points.ravel().tolist()
    assert build(study, tmp_path).manifest.grid.spacing_mm[2] == pytest.approx(0.627, abs=1e-3)


def test_what_was_left_out_is_said(tmp_path: Path) -> None:
    """An organ at risk with a point and a gap can be planned beside, and the reader is told."""
    study = SyntheticStudy()
    study.add_roi(5, "Cord", "ORGAN", [(z, circle(4.0, 0.0, 10.0)) for z in (-16.0, -13.0, -7.0, 14.0, 17.0)])
    study.contours(5)[4].ContourGeometricType = "POINT"
    study.add_roi(6, "POI", "MARKER", [(2.0, np.array([[1.0, 1.0]]))], kind="POINT")
    study.add_roi(8, "Nothing", "ORGAN", [])
    manifest = build(study, tmp_path).manifest
    assert [w for w in manifest.warnings if "Cord" in w] == [
        "Structure 'Cord': contours left out: 1 POINT.",
        "Structure 'Cord': no contour between z = -13 and -7 mm; filled.",
        "Structure 'Cord': no contour between z = -7 and 14 mm; left open.",
    ]
    assert manifest.structure("POI").unused_contours == 1
    assert manifest.structure("Nothing").volume_cc == 0


class CountingPacs(FolderPacs):
    """A folder that counts the slices it gives."""

    given = 0

    def iter_series(self, study_instance_uid: str, series_instance_uid: str) -> Iterator[Dataset]:
        for dataset in super().iter_series(study_instance_uid, series_instance_uid):
            self.given += 1
            yield dataset


def test_the_same_study_is_imported_once(tmp_path: Path) -> None:
    """Planning it again, on another structure too, reads no pixels; an instance more makes another case."""
    study = SyntheticStudy()
    study.add_roi(5, "Boost", "PTV", [(z, circle(4.0, 0.0, 0.0)) for z in (-4.0, -1.0, 2.0)])
    folder = study.write(tmp_path / "pacs")
    pacs, objects = CountingPacs("main", folder), FolderStore(tmp_path / "objects")
    first = build_case(pacs, objects, STUDY_UID, None, "PTV", QuietWatch())
    assert pacs.given == 12
    assert build_case(pacs, objects, STUDY_UID, STRUCTURE_SET_UID, "Boost", QuietWatch()) == first
    assert pacs.given == 12
    study.structure_set.SOPInstanceUID = f"{STRUCTURE_SET_UID}.2"
    study.structure_set.save_as(folder / "new.dcm", enforce_file_format=True)
    second = build_case(pacs, objects, STUDY_UID, f"{STRUCTURE_SET_UID}.2", "PTV", QuietWatch())
    assert second != first
    assert pacs.given == 24


def test_a_case_that_was_swept_is_made_again(tmp_path: Path) -> None:
    case = build(SyntheticStudy(), tmp_path)
    objects = FolderStore(tmp_path / "objects")
    for key in list(objects.keys(case.key)):
        objects.delete(key)
    assert build(SyntheticStudy(), tmp_path).key == case.key
    assert list(objects.keys(case.key))


def test_the_same_study_in_other_hands_is_the_same_case(tmp_path: Path) -> None:
    """Content-addressed: order of files and names of objects stores do not matter."""
    study = SyntheticStudy()
    one = build(study, tmp_path / "one")
    study.ct.reverse()
    assert build(study, tmp_path / "two").key == one.key


def test_case_from_orthanc_is_the_case_from_the_folder(tmp_path: Path, orthanc: OrthancServer) -> None:
    """DICOMweb gives other transfer syntaxes and another order; the case must not depend on it."""
    study = SyntheticStudy()
    local = build(study, tmp_path)
    pacs = WebPacs("main", orthanc.settings)
    assert pacs.store([*study.ct, study.structure_set]).failed == ()
    try:
        objects = FolderStore(tmp_path / "other")
        assert build_case(pacs, objects, STUDY_UID, None, "PTV", QuietWatch()) == local.key
    finally:
        orthanc.clear()


def test_work_is_timed_reported_and_stops_when_asked(tmp_path: Path) -> None:
    watch = QuietWatch()
    build(SyntheticStudy(), tmp_path, watch=watch)
    assert set(watch.timings) == {"find", "retrieve", "structures", "store"}
    fractions = [fraction for fraction, _ in watch.reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    stopping = QuietWatch()
    stopping.stopping.set()
    with pytest.raises(StoppedError):
        build(SyntheticStudy(), tmp_path / "stopped", watch=stopping)


class ShrinkingPacs(FolderPacs):
    """Loses its last slice between listing and reading, as an archive does while it is cleaned up."""

    def iter_series(self, study_instance_uid: str, series_instance_uid: str) -> Iterator[Dataset]:
        yield from list(super().iter_series(study_instance_uid, series_instance_uid))[:-1]

    def store(self, datasets: Sequence[Dataset]) -> StoreReport:
        raise NotImplementedError

    def instance(self, ref: InstanceRef) -> Dataset | None:
        return super().instance(ref)


def test_a_series_that_changes_while_it_is_read_is_read_again_later(tmp_path: Path) -> None:
    pacs = ShrinkingPacs("main", SyntheticStudy().write(tmp_path / "pacs"))
    with pytest.raises(UnavailableError, match="changed while it was read"):
        build_case(pacs, FolderStore(tmp_path / "objects"), STUDY_UID, None, "PTV", QuietWatch())
