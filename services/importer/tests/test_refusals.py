"""Broken input: each case spoils a sound study in one way, and the refusal must name what is wrong."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, SegmentationStorage
from radiarch_common.derived import CombinedStructure, MarginStructure
from radiarch_common.errors import RefusedError
from radiarch_common.objects import FolderStore
from radiarch_common.pacs import FolderPacs
from radiarch_common.watch import QuietWatch
from radiarch_importer.build import build_case
from radiarch_testkit.synthetic_study import (
    CT_SERIES_UID,
    STRUCTURE_SET_UID,
    STUDY_UID,
    SyntheticStudy,
    ct_slice,
    rectangle,
    set_hu,
)

Spoil = Callable[[SyntheticStudy], object]


def refusal(folder: Path, target: str = "PTV", segmentation_uid: str | None = None) -> RefusedError:
    """The refusal of the study in a folder; it must tell what to do, and not who the patient is."""
    objects = FolderStore(folder / "objects")
    pacs = FolderPacs("main", folder / "pacs")
    with pytest.raises(RefusedError) as seen:
        build_case(pacs, objects, STUDY_UID, segmentation_uid, target, QuietWatch())
    assert seen.value.hint
    assert not re.search("Nobody|SYNTHETIC-1|Jörg", str(seen.value))
    return seen.value


def every_slice(**values: object) -> Spoil:
    """Change attributes of every CT slice."""

    def spoil(study: SyntheticStudy) -> None:
        for ds in study.ct:
            for keyword, value in values.items():
                setattr(ds, keyword, value)

    return spoil


def one_slice(**values: object) -> Spoil:
    """Change attributes of the sixth CT slice."""

    def spoil(study: SyntheticStudy) -> None:
        for keyword, value in values.items():
            setattr(study.ct[5], keyword, value)

    return spoil


def without(keyword: str) -> Spoil:
    """Take an attribute from the sixth CT slice."""
    return lambda study: delattr(study.ct[5], keyword)


def move(slices: slice, by_mm: float) -> Spoil:
    """Move slices along z."""

    def spoil(study: SyntheticStudy) -> None:
        for ds in study.ct[slices]:
            ds.ImagePositionPatient[2] = float(ds.ImagePositionPatient[2]) + by_mm

    return spoil


def lose_slice_and_its_reference(study: SyntheticStudy) -> None:
    del study.ct[5]
    series = study.structure_set.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    series.RTReferencedSeriesSequence[0].ContourImageSequence = []


def keep_one_slice(study: SyntheticStudy) -> None:
    lose_slice_and_its_reference(study)
    del study.ct[1:]


def add_second_ct(study: SyntheticStudy) -> None:
    study.ct += [ct_slice(n + 100, -16.0 + 3.0 * n) for n in range(12)]


def add_interleaved_ct(study: SyntheticStudy) -> None:
    study.ct += [ct_slice(n + 100, -15.0 + 3.0 * n) for n in range(12)]


def add_larger_ct(study: SyntheticStudy) -> None:
    study.ct += [ct_slice(n + 100, 20.0 + 3.0 * n, rows=41) for n in range(12)]


def forget_references(study: SyntheticStudy) -> None:
    del study.structure_set.ReferencedFrameOfReferenceSequence


def refer_elsewhere(study: SyntheticStudy) -> None:
    frame = study.structure_set.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    series.SeriesInstanceUID = "1.2.3"
    series.ContourImageSequence = []


def refer_to_two(study: SyntheticStudy) -> None:
    frame = study.structure_set.ReferencedFrameOfReferenceSequence[0]
    series = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
    other = ct_slice(300, 0.0)
    other.SeriesInstanceUID = f"{CT_SERIES_UID}.9"
    study.ct.append(other)
    more = type(series[0])()
    more.SeriesInstanceUID = other.SeriesInstanceUID
    series.append(more)


def structures_of_another_frame(study: SyntheticStudy) -> None:
    for roi in study.structure_set.StructureSetROISequence:
        roi.ReferencedFrameOfReferenceUID = "1.2.3.4"


def rename(number: int, name: str, interpreted_type: str = "") -> Spoil:
    """Give a structure another name and type."""

    def spoil(study: SyntheticStudy) -> None:
        study.structure_set.StructureSetROISequence[number - 1].ROIName = name
        study.structure_set.RTROIObservationsSequence[number - 1].RTROIInterpretedType = interpreted_type

    return spoil


def draw(number: int, name: str, kind: str = "PTV") -> Spoil:
    """Add a structure of 4 mm on three slices."""
    return lambda study: study.add_roi(number, name, kind, [(z, rectangle((-2, -2), (2, 2))) for z in (-1.0, 2.0, 5.0)])


def no_contours(number: int) -> Spoil:
    """Rub out a structure."""
    return lambda study: setattr(study.structure_set.ROIContourSequence[number - 1], "ContourSequence", [])


def contour_kind(number: int, kind: str) -> Spoil:
    """Change the type of one contour."""
    return lambda study: setattr(study.contours(number)[1], "ContourGeometricType", kind)


def tilt_contour(number: int) -> Spoil:
    """Lift one point of one contour by 2 mm."""

    def spoil(study: SyntheticStudy) -> None:
        contour = study.contours(number)[1]
        values = [float(v) for v in contour.ContourData]
        values[2] += 2.0
        contour.ContourData = values

    return spoil


def move_target(by_mm: float) -> Spoil:
    """Move the target along x."""

    def spoil(study: SyntheticStudy) -> None:
        for contour in study.contours(2):
            points = np.asarray(contour.ContourData, float).reshape(-1, 3)
            points[:, 0] += by_mm
            contour.ContourData = points.ravel().tolist()

    return spoil


def too_dense(study: SyntheticStudy) -> None:
    hu = np.zeros((39, 40), int)
    hu[3, 3] = 31_500
    set_hu(study.ct[5], hu)


def not_finite(study: SyntheticStudy) -> None:
    ds = study.ct[5]
    ds.FloatPixelData = np.full((39, 40), np.nan, "<f4").tobytes()
    ds.BitsAllocated = 32
    del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation


def cut_off(study: SyntheticStudy) -> None:
    study.ct[5].PixelData = study.ct[5].PixelData[:500]


def undecodable(study: SyntheticStudy) -> None:
    ds = study.ct[5]
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
    ds.PixelData = (
        b"\xfe\xff\x00\xe0\x00\x00\x00\x00\xfe\xff\x00\xe0\x04\x00\x00\x00abcd\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    )
    ds["PixelData"].is_undefined_length = True


SLICE = re.escape(f"{CT_SERIES_UID}.6")

BROKEN: dict[str, tuple[Spoil, str]] = {
    "missing slice, referenced": (lambda s: s.ct.pop(5), rf"1 CT slices .* not in the PACS: {SLICE}\."),
    "missing slice": (lose_slice_and_its_reference, r"1 CT slices are missing between z = -4 and 2 mm.* 3 mm"),
    "single slice": (keep_one_slice, "single slice"),
    "non-uniform spacing": (move(slice(6, None), 1.0), r"not uniformly spaced: 3 to 4 mm.* z = -1 and 3 mm"),
    "two CTs, same positions": (add_second_ct, r"12 pairs of CT slices share a position.* z = -16 mm.*two CTs"),
    "two CTs, interleaved": (add_interleaved_ct, "not uniformly spaced: 1 to 2 mm"),
    "two CTs, other size": (add_larger_ct, r"image size \(39 and 41\).* two CTs"),
    "pixel spacing differs": (one_slice(PixelSpacing=["1.5", "2.01"]), "pixel spacing .*2 mm and 2.01 mm"),
    "slice shifted in plane": (one_slice(ImagePositionPatient=["-38", "-28.5", "-1"]), "x position"),
    "mixed orientation": (one_slice(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), f"{SLICE} is not axial"),
    "tilt": (every_slice(ImageOrientationPatient=[1, 0, 0, 0, 0.9998, 0.0175]), "not axial.*0.0175"),
    "coronal": (every_slice(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]), "not axial"),
    "frames of reference in one CT": (one_slice(FrameOfReferenceUID="1.2.3"), "differing frame of reference"),
    "frame of reference of structures": (structures_of_another_frame, r"'BODY', 'PTV'.* 1\.2\.3\.4"),
    "no frame of reference": (every_slice(FrameOfReferenceUID=""), "no Frame of Reference UID"),
    "patients in one CT": (one_slice(PatientID="OTHER"), "differing PatientID"),
    "patients of CT and structures": (every_slice(PatientID="OTHER"), "different PatientIDs"),
    "unknown patient position": (every_slice(PatientPosition="SITTING"), "patient position is 'SITTING'"),
    "position of an animal": (every_slice(PatientPosition="LFP"), "patient position is 'LFP'"),
    "one slice prone": (one_slice(PatientPosition="HFP"), r"differing patient position \(HFS and HFP\)"),
    "no patient position": (every_slice(PatientPosition=""), "PatientPosition is empty"),
    "lost patient position": (without("PatientPosition"), "PatientPosition is empty"),
    "no body": (rename(1, "Outline"), "no body contour"),
    "empty body": (no_contours(1), "no body contour"),
    "two of type EXTERNAL": (draw(5, "Couch", "EXTERNAL"), "2 body contours: 'BODY', 'Couch'"),
    "two names of the body": (
        lambda s: (rename(1, "Body")(s), draw(5, "skin")(s)),
        "2 body contours: 'Body', 'skin'",
    ),
    "body with open contours": (contour_kind(1, "OPEN_PLANAR"), "'BODY' .*1 OPEN_PLANAR"),
    "body not axial": (tilt_contour(1), "'BODY' .*1 not axial"),
    "empty target": (no_contours(2), "'PTV' is empty"),
    "target with open contours": (contour_kind(2, "OPEN_PLANAR"), "'PTV' has 1 contours that are not closed"),
    "target not axial": (tilt_contour(2), "'PTV' has 1 contours"),
    "target partly outside the body": (move_target(21.0), r"10\.\d% of target 'PTV' lies outside"),
    "target outside the CT": (move_target(500.0), r"100\.0% of target 'PTV' lies outside"),
    "two targets of one name": (draw(5, "PTV"), "2 structures named 'PTV'"),
    "too dense": (too_dense, rf"{SLICE} has 1 voxels above 31000 HU \(highest: 31500\)"),
    "not finite": (not_finite, rf"{SLICE} has 1560 voxels whose HU are not finite"),
    "no rescale": (without("RescaleIntercept"), f"{SLICE} has no RescaleSlope or no RescaleIntercept"),
    "rescale of zero": (one_slice(RescaleSlope="0"), "RescaleSlope 0"),
    "not HU": (every_slice(RescaleType="Z_EFF"), "type Z_EFF"),
    "padding that tissue has too": (every_slice(PixelPaddingValue=1024), "0 HU to be padding"),
    "pixels cut off": (cut_off, f"Instance {SLICE} cannot be read"),
    "pixels undecodable": (undecodable, f"Instance {SLICE} cannot be read"),
    "no pixels": (without("PixelData"), f"Instance {SLICE} cannot be read"),
    "no position": (without("ImagePositionPatient"), f"{SLICE} has no valid ImagePositionPatient"),
    "colour": (one_slice(SamplesPerPixel=3), "colour"),
    "structures without references": (forget_references, "does not say on which CT"),
    "structures of another CT": (refer_elsewhere, r"series 1\.2\.3, which the study in the PACS lacks"),
    "structures of two CTs": (refer_to_two, "2 CT series"),
    "structures of no CT": (every_slice(SOPClassUID="1.2.840.10008.5.1.4.1.1.4", Modality="MR"), "series of MR"),
    "enhanced CT": (every_slice(SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1"), "enhanced"),
    "numbers of structures not unique": (lambda s: s.add_roi(2, "Again", "", []), "one ROI Number"),
    "contour that is no points": (
        lambda s: setattr(s.contours(2)[0], "ContourData", ["1", "2", "3", "4"]),
        f"Instance {re.escape(STRUCTURE_SET_UID)} cannot be read",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_study_is_refused_by_name(name: str, tmp_path: Path) -> None:
    spoil, expected = BROKEN[name]
    study = SyntheticStudy()
    spoil(study)
    study.write(tmp_path / "pacs")
    assert re.search(expected, refusal(tmp_path).reason), refusal(tmp_path).reason
    assert not list(FolderStore(tmp_path / "objects").keys("results"))


@pytest.mark.parametrize("by_mm", [19.6, -20.9])
def test_target_that_touches_the_skin_is_planned(tmp_path: Path, by_mm: float) -> None:
    """3 % outside is within what drawing to a voxel explains."""
    study = SyntheticStudy()
    move_target(by_mm)(study)
    study.write(tmp_path / "pacs")
    pacs, objects = FolderPacs("main", tmp_path / "pacs"), FolderStore(tmp_path / "objects")
    assert build_case(pacs, objects, STUDY_UID, None, "PTV", QuietWatch())


@pytest.mark.parametrize("position", ["", "SITTING"])
def test_the_positions_that_can_be_planned_are_listed(tmp_path: Path, position: str) -> None:
    study = SyntheticStudy()
    every_slice(PatientPosition=position)(study)
    study.write(tmp_path / "pacs")
    assert "HFS, HFP, HFDL, HFDR, FFS, FFP, FFDL, FFDR" in refusal(tmp_path).hint


def test_unknown_target_is_answered_with_the_names_there_are_each_time(tmp_path: Path) -> None:
    """The second time the case is there already, and the answer must be the same."""
    SyntheticStudy().write(tmp_path / "pacs")
    for _ in range(2):
        seen = refusal(tmp_path, target="PTV1")
        assert "'PTV1'" in seen.reason
        assert "BODY, PTV" in seen.hint


def test_unknown_study(tmp_path: Path) -> None:
    assert f"no study {STUDY_UID}" in refusal(tmp_path).reason


def test_study_without_structures(tmp_path: Path) -> None:
    SyntheticStudy().write(tmp_path / "pacs")
    (tmp_path / "pacs" / "012.dcm").unlink()
    assert "no RTSTRUCT" in refusal(tmp_path).reason


def test_several_structure_sets_must_be_told_apart_by_uid(tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.write(tmp_path / "pacs")
    study.structure_set.SOPInstanceUID = f"{STRUCTURE_SET_UID}.2"
    study.structure_set.save_as(tmp_path / "pacs" / "more.dcm", enforce_file_format=True)
    seen = refusal(tmp_path)
    assert "2 RTSTRUCTs" in seen.reason
    assert f"{STRUCTURE_SET_UID}, {STRUCTURE_SET_UID}.2" in seen.hint


def test_segmentation_that_is_none(tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.write(tmp_path / "pacs")
    assert "no instance 1.2.3" in refusal(tmp_path, segmentation_uid="1.2.3").reason
    ct = refusal(tmp_path, segmentation_uid=f"{CT_SERIES_UID}.1")
    assert "is not an RTSTRUCT" in ct.reason
    assert STRUCTURE_SET_UID in ct.hint
    study.ct[0].SOPClassUID = SegmentationStorage
    study.ct[0].SOPInstanceUID = "1.2.3.4"
    study.ct[0].save_as(tmp_path / "pacs" / "seg.dcm", enforce_file_format=True)
    assert "SEG" in refusal(tmp_path, segmentation_uid="1.2.3.4").reason


def test_file_that_was_cut_off_on_its_way_is_named(tmp_path: Path) -> None:
    study = SyntheticStudy()
    path = study.write(tmp_path / "pacs") / "005.dcm"
    path.write_bytes(path.read_bytes()[:-1000])
    assert f"Instance {CT_SERIES_UID}.6 cannot be read" in refusal(tmp_path).reason


def test_a_derived_target_is_judged_by_what_it_is_made_of(tmp_path: Path) -> None:
    """It is not in the structure set, so that only its parts can be looked at here."""
    study = SyntheticStudy()
    study.add_roi(3, "Empty", "ORGAN", [])
    pacs = FolderPacs("main", study.write(tmp_path / "pacs"))
    objects = FolderStore(tmp_path / "objects")
    grown = MarginStructure(name="New", kind="margin", of="PTV", margin_mm=5.0, crop_to="{body}")
    bad = CombinedStructure(name="Bad", kind="union", of=("New", "Empty"))
    lost = MarginStructure(name="Lost", kind="margin", of="GTV", margin_mm=5.0)
    derived = (grown, bad, lost)
    assert build_case(pacs, objects, STUDY_UID, None, "New", QuietWatch(), derived=derived)
    with pytest.raises(RefusedError, match="'Empty', which target 'Bad' is made of, is empty"):
        build_case(pacs, objects, STUDY_UID, None, "Bad", QuietWatch(), derived=derived)
    with pytest.raises(RefusedError, match="no structure 'GTV'"):
        build_case(pacs, objects, STUDY_UID, None, "Lost", QuietWatch(), derived=derived)
