"""However the patient lies and whichever way a slice's pixels run, the case is in LPS order, bit for bit.

Each test writes the same patient's CT anew: for every pixel of the new slice it asks, by the formula of PS3.3
C.7.6.2.1.1, where it lies, and takes the HU of the old slice there.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.case import Case, load_case
from radiarch_common.errors import RefusedError
from radiarch_common.objects import FolderStore
from radiarch_common.pacs import FolderPacs
from radiarch_common.watch import QuietWatch
from radiarch_importer.build import build_case
from radiarch_importer.pixel_order import PixelOrder
from radiarch_testkit.lying import ORIENTATION
from radiarch_testkit.synthetic_study import STUDY_UID, SyntheticStudy, set_hu

X_MM, Y_MM = -39.0 + 2.0 * np.arange(40), -28.5 + 1.5 * np.arange(39)


def hu_of(slice_number: int) -> npt.NDArray[np.int_]:
    """A value of its own for every pixel: shape (39, 40), rows along y and columns along x."""
    return np.arange(39 * 40).reshape(39, 40) + slice_number


def rewrite(study: SyntheticStudy, position: str) -> None:
    """Store every slice with the pixel order that goes with a position."""
    along_row, along_column = np.array(ORIENTATION[position][:3]), np.array(ORIENTATION[position][3:])
    columns, rows = (len(X_MM), len(Y_MM)) if along_row[0] else (len(Y_MM), len(X_MM))
    between_columns, between_rows = (2.0, 1.5) if along_row[0] else (1.5, 2.0)
    corner = [
        axis[0] if along_row[n] + along_column[n] > 0 else axis[-1] for n, axis in enumerate((X_MM, Y_MM))
    ]  # where the first pixel lies
    i, j = np.zeros((2, rows, columns), int)
    for row, column in np.ndindex(rows, columns):
        place = corner + between_columns * column * along_row[:2] + between_rows * row * along_column[:2]
        i[row, column], j[row, column] = np.argmin(abs(X_MM - place[0])), np.argmin(abs(Y_MM - place[1]))
    for number, ds in enumerate(study.ct):
        set_hu(ds, hu_of(number)[j, i])
        ds.Rows, ds.Columns = rows, columns
        ds.PixelSpacing = [str(between_rows), str(between_columns)]
        ds.ImageOrientationPatient = list(ORIENTATION[position])
        ds.ImagePositionPatient = [*map(str, corner), str(ds.ImagePositionPatient[2])]
        ds.PatientPosition = position


def build(study: SyntheticStudy, folder: Path) -> Case:
    study.write(folder / "pacs")
    objects, pacs = FolderStore(folder / "objects"), FolderPacs("main", folder / "pacs")
    return load_case(objects, build_case(pacs, objects, STUDY_UID, None, "PTV", QuietWatch()))


@pytest.mark.parametrize("position", ORIENTATION)
def test_the_volume_is_the_same_however_its_pixels_run(position: str, tmp_path: Path) -> None:
    study = SyntheticStudy()
    rewrite(study, position)
    case = build(study, tmp_path)
    grid = case.manifest.grid
    assert case.manifest.patient_position == position
    assert (grid.origin_mm, grid.spacing_mm, grid.size) == ((-39.0, -28.5, -16.0), (2.0, 1.5, 3.0), (40, 39, 12))
    assert np.array_equal(case.ct_hu(), [hu_of(number) for number in range(12)])


@pytest.mark.parametrize("position", ["HFP", "FFDR"])
def test_contours_lie_on_what_they_were_drawn_on(position: str, tmp_path: Path) -> None:
    """The target's 20 x 15 mm are marked in the pixels too: where its contours lie, the marks must be."""
    marked = SyntheticStudy()
    rewrite(marked, position)
    whole, (x, y) = np.zeros((39, 40), int), np.meshgrid(X_MM, Y_MM)
    whole[(x > -9) & (x < 11) & (y > -8) & (y < 7)] = 700
    row_first = ORIENTATION[position][0] == 0
    for ds in marked.ct:
        # HFP is turned by half a turn; FFDR is transposed and both axes fall.
        set_hu(ds, (whole.T if row_first else whole)[::-1, ::-1])
    case = build(marked, tmp_path)
    ptv = case.manifest.structure("PTV")
    i, j, k = np.rint(case.manifest.grid.index_of(np.array([ptv.grid.origin_mm]))[0]).astype(int)
    nx, ny, nz = ptv.grid.size
    hu = case.ct_hu()[k : k + nz, j : j + ny, i : i + nx]
    filled = case.occupancy(ptv)
    assert (hu[filled > 0.99] == 700).all()
    assert (hu[filled < 0.01] == 0).all()


def test_position_and_pixel_order_are_honoured_apart(tmp_path: Path) -> None:
    """Scanners also write a prone patient's slices face up: the headers say where pixels are, not the position."""
    study = SyntheticStudy()
    rewrite(study, "HFS")
    for ds in study.ct:
        ds.PatientPosition = "HFP"
    case = build(study, tmp_path)
    assert case.manifest.patient_position == "HFP"
    assert np.array_equal(case.ct_hu()[3], hu_of(3))


def test_slices_of_two_pixel_orders_are_no_one_ct(tmp_path: Path) -> None:
    study = SyntheticStudy()
    study.ct[5].ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    study.ct[5].ImagePositionPatient = ["39", "-28.5", "-1"]
    with pytest.raises(RefusedError, match=r"image orientation \(1, 0, 0, 0, 1, 0 and -1, 0, 0, 0, 1, 0\)"):
        build(study, tmp_path)


@pytest.mark.parametrize(
    "orientation",
    [
        (1, 0, 0, 0, 0, -1),
        (0, 1, 0, 0, 0, -1),
        (1, 0, 0, 1, 0, 0),
        (1, 1, 0, 0, 1, 0),
        (2, 0, 0, 0, 1, 0),
        (0, 0, 0, 0, 1, 0),
        (0.9998, 0.0175, 0, -0.0175, 0.9998, 0),
        (1, 0, 0, 0, 0.9998, 0.0175),
    ],
)
def test_whatever_is_not_axial_has_no_pixel_order(orientation: tuple[float, ...]) -> None:
    """Coronal and sagittal slices, rows along columns, no unit vectors, a turned table, a tilted gantry."""
    assert PixelOrder.of(orientation) is None


def test_rounded_direction_cosines_are_axial() -> None:
    assert PixelOrder.of((-1.0, 5e-5, 0.0, 0.0, -0.99999, -0.0)) == PixelOrder((-1, 0), (0, -1))
