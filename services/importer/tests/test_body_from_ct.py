"""BODY made from the CT: a drawn-by-numbers patient of known size on a couch, with lungs, noise and a mask.

What it takes to fail: a couch that counts as patient, a lung that does not, a silent default, a second case that is
taken for the first.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.body import BodyFromCt
from radiarch_common.case import Case, load_case
from radiarch_common.derived import MarginStructure
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Grid
from radiarch_common.objects import FolderStore
from radiarch_common.pacs import FolderPacs
from radiarch_common.watch import QuietWatch
from radiarch_importer.body import make_body
from radiarch_importer.build import build_case
from radiarch_testkit.synthetic_study import STUDY_UID, SyntheticStudy, item, rectangle

GRID = Grid(origin_mm=(-149.0, -119.0, 0.0), spacing_mm=(2.0, 1.5, 5.0), size=(150, 160, 8))
ASKED = BodyFromCt(threshold_hu=-300.0, opening_mm=5.0)
HALF_MM = (100.0, 70.0)


def scanned(*, couch_gap_mm: float = 0.0) -> npt.NDArray[np.int16]:
    """An elliptic patient with two lungs, on a thin couch shell, under a mask wire, a block beside."""
    x, y = np.meshgrid(GRID.axis_mm(0), GRID.axis_mm(1))
    plane = np.full(x.shape, -1000.0)
    plane[(x / HALF_MM[0]) ** 2 + (y / HALF_MM[1]) ** 2 < 1] = 30
    for side in (-45.0, 45.0):
        plane[((x - side) / 30) ** 2 + (y / 40) ** 2 < 1] = -750
    under = y - HALF_MM[1] - couch_gap_mm
    plane[(np.abs(x) < 130) & (np.abs(under - 2) < 2)] = 100
    plane[(np.abs(x) < 130) & (np.abs(under - 32) < 2)] = 100
    plane[(np.abs(x - 125) < 12) & (np.abs(y) < 12)] = 50
    noise = np.random.default_rng(5).normal(0, 20, GRID.shape)
    return np.rint(plane[None] + noise).astype(np.int16)


def true_share() -> npt.NDArray[np.bool_]:
    x, y = np.meshgrid(GRID.axis_mm(0), GRID.axis_mm(1))
    return (x / HALF_MM[0]) ** 2 + (y / HALF_MM[1]) ** 2 < 1


@pytest.mark.parametrize("gap", [0.0, 6.0])
def test_the_patient_is_found_without_the_couch(gap: float) -> None:
    """Lungs are filled; couch, wire and block are cut away, whether the couch touches or not."""
    made = make_body(scanned(couch_gap_mm=gap), GRID, ASKED)
    expected = np.pi * HALF_MM[0] * HALF_MM[1] * 40 / 1000
    assert made.volume_cc == pytest.approx(expected, rel=0.01)
    low, high = made.grid.edges_mm()
    assert (low[0], high[0]) == pytest.approx((-100, 100), abs=2.0)
    assert low[1] == pytest.approx(-70, abs=1.5)
    # Where the couch touches, a lens of it as deep as the cut is left at most.
    assert high[1] == pytest.approx(70, abs=1.5 if gap else 5.5)
    whole = np.zeros(GRID.shape, bool)
    i, j, k = np.rint(GRID.index_of(np.array([made.grid.origin_mm]))[0]).astype(int)
    nz, ny, nx = made.occupancy.shape
    whole[k : k + nz, j : j + ny, i : i + nx] = made.occupancy == 255
    wrong = whole != true_share()[None]
    assert wrong.mean() < 0.005
    assert set(np.unique(made.occupancy)) == {0, 255}
    assert "above -300 HU" in made.recipe
    assert "look at it" in made.warnings[0]


def test_a_body_cut_off_by_the_image_is_said() -> None:
    hu = scanned()
    hu[:, 70:90, :] = 30
    assert any("edge of the CT" in warning for warning in make_body(hu, GRID, ASKED).warnings)


def test_air_makes_no_body() -> None:
    with pytest.raises(RefusedError, match=r"No body can be made.*0\.0 cm3.*-300 HU") as refusal:
        make_body(np.full(GRID.shape, -1000, np.int16), GRID, ASKED)
    assert "threshold_hu" in refusal.value.hint


def bodiless(folder: Path, *more: tuple[str, npt.NDArray[np.float64]]) -> FolderPacs:
    """The sound study without its body outline; an empty ROI that is named like one stays."""
    study = SyntheticStudy()
    ds = study.structure_set
    for number, (name, points) in enumerate(more, start=3):
        study.add_roi(number, name, "ORGAN", [(z, points) for z in (-4.0, -1.0, 2.0)])
    for sequence in (ds.StructureSetROISequence, ds.ROIContourSequence, ds.RTROIObservationsSequence):
        del sequence[0]
    ds.StructureSetROISequence.append(item(ROINumber=9, ROIName="BODY", ROIGenerationAlgorithm=""))
    return FolderPacs("main", study.write(folder / "pacs"))


def case_of(pacs: FolderPacs, folder: Path, asked: BodyFromCt | None) -> Case:
    objects = FolderStore(folder / "objects")
    return load_case(objects, build_case(pacs, objects, STUDY_UID, None, "PTV", QuietWatch(), body_from_ct=asked))


def test_a_body_is_made_only_when_it_is_asked_for(tmp_path: Path) -> None:
    pacs = bodiless(tmp_path)
    with pytest.raises(RefusedError, match="no body contour") as refusal:
        case_of(pacs, tmp_path, None)
    assert "body_from_ct" in refusal.value.hint
    manifest = case_of(pacs, tmp_path, ASKED).manifest
    body = next(s for s in manifest.structures if s.number == manifest.body)
    assert (body.name, body.number, body.interpreted_type) == ("BODY (from CT)", 10, "EXTERNAL")
    assert body.derived.startswith("made from the CT")
    assert body.volume_cc == pytest.approx(60 * 40 * 36 / 1000, rel=0.08)
    assert any("The structure set has no body contour" in warning for warning in manifest.warnings)
    with pytest.raises(RefusedError, match="no body contour"):
        case_of(pacs, tmp_path, None)


def test_another_way_of_making_it_is_another_case(tmp_path: Path) -> None:
    pacs = bodiless(tmp_path)
    one, other = (case_of(pacs, tmp_path, BodyFromCt(threshold_hu=hu)) for hu in (-300.0, -200.0))
    assert one.sha256 != other.sha256
    assert case_of(pacs, tmp_path, ASKED).sha256 == one.sha256


def test_a_drawn_body_is_used_whatever_was_asked_for(tmp_path: Path) -> None:
    pacs = FolderPacs("main", SyntheticStudy().write(tmp_path / "pacs"))
    assert case_of(pacs, tmp_path, ASKED).sha256 == case_of(pacs, tmp_path, None).sha256


def test_the_target_may_not_lie_outside_of_it(tmp_path: Path) -> None:
    """The check of the target is that of a drawn body: three quarters of this one lie in air."""
    pacs = bodiless(tmp_path, ("Off", rectangle((28.0, -5.0), (36.0, 5.0))))
    objects = FolderStore(tmp_path / "objects")
    with pytest.raises(RefusedError, match=r"7\d\.\d% of target 'Off' lies outside"):
        build_case(pacs, objects, STUDY_UID, None, "Off", QuietWatch(), body_from_ct=ASKED)
    grown = MarginStructure(name="New", kind="margin", of="PTV", margin_mm=2.0)
    assert build_case(pacs, objects, STUDY_UID, None, "New", QuietWatch(), derived=(grown,), body_from_ct=ASKED)
