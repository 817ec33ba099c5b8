"""The picture is looked at by people; here only what they cannot see at once: geometry, sameness, privacy."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from radiarch_common.case import Case
from radiarch_common.geometry import Grid
from radiarch_common.messages import ExportResult
from radiarch_common.result import Result
from radiarch_exporter.legend import drawable
from radiarch_exporter.picture import dose_png
from radiarch_exporter.planes import AXIAL, CORONAL, SAGITTAL, View, cut, where_to_cut

GRID = Grid(origin_mm=(-10.0, 5.0, 100.0), spacing_mm=(2.0, 3.0, 4.0), size=(11, 9, 7))


@pytest.fixture
def pixels(job: ExportResult, case: Case, result: Result) -> npt.NDArray[np.int64]:
    with Image.open(BytesIO(dose_png(job, case, result))) as image:
        return np.asarray(image.convert("RGB"), dtype=np.int64)


def test_dose_lies_in_the_right_place_of_the_axial_panel(pixels: npt.NDArray[np.int64]) -> None:
    """The cyan outline is the ellipse of BODY, which gives the scale; the hot dose is red, at (+21, -12) mm."""
    axial = pixels[60 : int(0.55 * len(pixels)), : int(0.56 * pixels.shape[1])]
    red, green, blue = (axial[..., k] for k in range(3))
    rows, columns = np.nonzero((blue > 220) & (green > 190) & (red < 170))
    left, right, top, bottom = columns.min(), columns.max(), rows.min(), rows.max()
    assert (right - left) / (bottom - top) == pytest.approx(200 / 140, rel=0.02)
    px_per_mm = (right - left) / 200
    hot_rows, hot_columns = np.nonzero((red - blue > 60) & (red - green > 60))
    inside = (hot_rows > top) & (hot_rows < bottom) & (hot_columns > left) & (hot_columns < right)
    x_mm = (hot_columns[inside].mean() - (left + right) / 2) / px_per_mm
    y_mm = (hot_rows[inside].mean() - (top + bottom) / 2) / px_per_mm - 2.0
    assert x_mm == pytest.approx(24, abs=4)
    assert y_mm == pytest.approx(-14, abs=4)


def test_the_same_result_gives_the_same_bytes(job: ExportResult, case: Case, result: Result) -> None:
    assert dose_png(job, case, result) == dose_png(job, case, result)


def test_it_carries_no_date_and_says_what_it_is_not_for(job: ExportResult, case: Case, result: Result) -> None:
    with Image.open(BytesIO(dose_png(job, case, result))) as image:
        assert dict(getattr(image, "text", {})) == {"Description": "Research only, not for clinical use"}


def test_a_name_in_another_script_does_not_break_the_picture() -> None:
    assert drawable("PTV µ ≥ Ω 腫瘍") == "PTV µ ≥ Ω ??"


@pytest.mark.parametrize(("view", "at_mm"), [(AXIAL, 109.0), (CORONAL, 12.5), (SAGITTAL, -3.3)])
def test_a_cut_through_a_linear_field_is_that_field(view: View, at_mm: float) -> None:
    """A field linear in x, y, z is kept by linear interpolation, at voxel centres and on a finer raster."""
    slope = np.array([1.5, -2.0, 0.25])
    x, y, z = (GRID.axis_mm(axis) for axis in range(3))
    field = slope[0] * x[None, None, :] + slope[1] * y[None, :, None] + slope[2] * z[:, None, None]
    plane = cut(field, GRID, view, at_mm)
    assert plane is not None
    for shown in (plane, plane.finer(0.7)):
        wanted = (
            slope[view.normal] * at_mm
            + slope[view.down] * shown.down_mm[:, None]
            + slope[view.across] * shown.across_mm[None, :]
        )
        np.testing.assert_allclose(shown.values, wanted, atol=1e-9)


def test_outside_the_grid_there_is_nothing_to_see() -> None:
    assert cut(np.ones(GRID.shape), GRID, AXIAL, 97.9) is None
    assert cut(np.ones(GRID.shape), GRID, AXIAL, 98.1) is not None


def test_a_compact_target_is_cut_at_the_isocentre_and_a_hollow_one_through_itself() -> None:
    block = np.zeros(GRID.shape, dtype=np.float32)
    block[2:6, 3:7, 4:9] = 1
    assert where_to_cut(block, GRID, (1.9, 16.6, 111.0)) == (2.0, 17.0, 112.0)
    block[:, 5, :] = 0
    _, y_mm, _ = where_to_cut(block, GRID, (1.9, 20.0, 111.0))
    assert y_mm in (17.0, 23.0)
