"""Contours against areas and volumes known in closed form; the oracle is geometry on paper, not this code."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.contours import gaps, occupancy, plane_coverage, slabs, volume_cc
from radiarch_common.geometry import Contour, Grid

FloatArray = npt.NDArray[np.float64]

GRID = Grid(origin_mm=(-40.3, -35.1, -20.0), spacing_mm=(1.7, 1.3, 3.0), size=(50, 60, 15))


def circle(radius: float, centre: tuple[float, float] = (0.0, 0.0), points: int = 2000) -> FloatArray:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.column_stack([centre[0] + radius * np.cos(angle), centre[1] + radius * np.sin(angle)])


def rectangle(x0: float, y0: float, x1: float, y1: float) -> FloatArray:
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def edges(low: float, high: float, step: float) -> FloatArray:
    return low + step * np.arange(round((high - low) / step) + 1)


def stack(polygons: list[FloatArray], z_mm: list[float]) -> list[Contour]:
    return [Contour(z_mm=z, points_mm=p) for z in z_mm for p in polygons]


def volume_of(filled: npt.NDArray[np.uint8], grid: Grid) -> float:
    return float(filled.sum()) / 255 * grid.voxel_volume_cc


@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.31, -0.77), (0.5, 0.5)])
@pytest.mark.parametrize("direction", [1, -1])
def test_rectangle_covers_each_cell_by_its_share(offset: tuple[float, float], direction: int) -> None:
    """Each cell's share is a product of two overlaps; a wrong edge rule or half-cell shift fails this."""
    x0, y0 = -3.2 + offset[0], -2.6 + offset[1]
    x1, y1 = 4.4 + offset[0], 5.9 + offset[1]
    x_edges, y_edges = edges(-10, 10, 1), edges(-10, 10, 0.8)
    seen = plane_coverage([rectangle(x0, y0, x1, y1)[::direction]], x_edges, y_edges)
    in_x = np.clip(np.minimum(x1, x_edges[1:]) - np.maximum(x0, x_edges[:-1]), 0, None) / 1
    in_y = np.clip(np.minimum(y1, y_edges[1:]) - np.maximum(y0, y_edges[:-1]), 0, None) / 0.8
    np.testing.assert_allclose(seen, np.outer(in_y, in_x), atol=1e-12)


def test_triangle_across_a_cell_is_exact() -> None:
    """A diagonal halves the cells it passes corner to corner."""
    seen = plane_coverage([np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])], edges(0, 3, 1), edges(0, 3, 1))
    np.testing.assert_allclose(seen, [[1, 1, 0.5], [1, 0.5, 0], [0.5, 0, 0]], atol=1e-12)


def test_flat_slope_is_spread_over_the_columns_it_passes() -> None:
    """With y = x / 10 within one row: column i holds its mean height, (i + 1/2) / 10."""
    seen = plane_coverage([np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 1.0]])], edges(0, 10, 1), edges(0, 1, 1))
    np.testing.assert_allclose(seen[0], (np.arange(10) + 0.5) / 10, atol=1e-12)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.37, -1.21), (2.5, 3.125)])
@pytest.mark.parametrize("step", [0.25, 1.0, 3.0])
def test_circle_has_its_area(centre: tuple[float, float], step: float) -> None:
    """Sub-voxel accuracy: within 1e-5 of pi r^2 on a coarse raster too (2000 points lack 1.6e-6 of it)."""
    seen = plane_coverage([circle(11.3, centre)], edges(-24, 24, step), edges(-24, 24, step))
    assert seen.sum() * step**2 == pytest.approx(np.pi * 11.3**2, rel=1e-5)


def test_single_cell_of_a_circle_agrees_with_the_integral() -> None:
    """The cell [6, 7] x [7, 8] of the circle of radius 10 holds the integral of sqrt(100 - x^2) - 7."""
    seen = plane_coverage([circle(10.0, points=20000)], edges(-12, 12, 1), edges(-12, 12, 1))

    def primitive(x: float) -> float:
        return 0.5 * (x * np.sqrt(100 - x * x) + 100 * np.arcsin(x / 10))

    # The arc leaves the cell through its right side above y = 7, and its left side at y = 8.
    assert seen[19, 18] == pytest.approx(primitive(7) - primitive(6) - 7, abs=1e-6)


def test_annulus_by_a_second_contour_and_by_a_keyhole() -> None:
    """A hole may be an inner contour, or one contour that walks in and out along the same line."""
    outer, inner = circle(12.0), circle(5.0)
    keyhole = np.concatenate([outer, outer[:1], inner[::-1][-1:], inner[::-1], outer[:1]])
    x_edges = edges(-15, 15, 0.7)
    ring = plane_coverage([outer, inner], x_edges, x_edges)
    assert ring.sum() * 0.49 == pytest.approx(np.pi * (144 - 25), rel=1e-5)
    np.testing.assert_allclose(plane_coverage([keyhole], x_edges, x_edges), ring, atol=2e-3)


def test_polygons_beyond_the_raster_are_cut_at_its_sides() -> None:
    """What lies left of the raster must still close what lies inside."""
    seen = plane_coverage([rectangle(-50, -50, 2.5, 50)], edges(0, 5, 1), edges(0, 5, 1))
    np.testing.assert_allclose(seen, np.tile([1, 1, 0.5, 0, 0], (5, 1)), atol=1e-12)
    assert not plane_coverage([rectangle(10, 10, 12, 12)], edges(0, 5, 1), edges(0, 5, 1)).any()
    assert not plane_coverage([rectangle(1, 10, 2, 12)], edges(0, 5, 1), edges(0, 5, 1)).any()


def test_repeated_points_change_nothing_and_degenerate_contours_are_ignored() -> None:
    x_edges = edges(0, 5, 1)
    plain = rectangle(0.5, 0.5, 3.5, 3.5)
    stuttered = np.concatenate([np.repeat(plain, 3, axis=0), plain[:1]])
    line = np.array([[1.0, 1.0], [2.0, 2.0]])
    point = np.array([[4.5, 4.5]] * 5)
    expected = plane_coverage([plain], x_edges, x_edges)
    np.testing.assert_array_equal(plane_coverage([stuttered, line, point], x_edges, x_edges), expected)
    assert not plane_coverage([], x_edges, x_edges).any()


def test_points_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(ValueError, match="finite"):
        plane_coverage([np.array([[0, 0], [1, np.nan], [1, 1.0]])], edges(0, 5, 1), edges(0, 5, 1))


def test_slabs_reach_half_way_and_end_with_half_a_spacing() -> None:
    found = slabs(stack([rectangle(0, 0, 5, 5)], [6.0, 0.0, 3.0]), slice_mm=2.0)
    assert [(s.z_low_mm, s.z_high_mm) for s in found] == [(-1.5, 1.5), (1.5, 4.5), (4.5, 7.5)]


def test_one_plane_is_as_thick_as_a_slice() -> None:
    found = slabs(stack([rectangle(0, 0, 5, 5)], [6.0]), slice_mm=2.0)
    assert [(s.z_low_mm, s.z_high_mm) for s in found] == [(5.0, 7.0)]


def test_a_missing_plane_is_bridged_and_separate_parts_are_not_joined() -> None:
    """Lymph nodes 24 mm apart are two solids; one plane left out by the drawer is not a hole."""
    contours = stack([rectangle(0, 0, 5, 5)], [0.0, 3.0, 9.0, 33.0])
    found = slabs(contours, slice_mm=3.0)
    assert [(s.z_low_mm, s.z_high_mm) for s in found] == [(-1.5, 1.5), (1.5, 6.0), (6.0, 10.5), (31.5, 34.5)]
    assert [tuple(g) for g in gaps(contours, 3.0)] == [(3.0, 9.0, True), (9.0, 33.0, False)]


def test_a_stray_plane_does_not_tear_the_structure() -> None:
    found = slabs(stack([rectangle(0, 0, 5, 5)], [0.0, 3.0, 3.2, 6.0, 9.0]), slice_mm=3.0)
    assert all(a.z_high_mm == pytest.approx(b.z_low_mm) for a, b in pairwise(found))


@pytest.mark.parametrize("shift", [0.0, 0.4, 1.5])
def test_cylinder_volume_when_contour_planes_lie_between_image_planes(shift: float) -> None:
    """Partial overlap of slab and voxel is counted: 8 planes of 2 mm make 16 mm wherever they lie."""
    contours = stack([circle(20.0, (1.3, 2.2))], [z + shift for z in np.arange(-7.0, 8.0, 2.0)])
    filled, where = occupancy(contours, GRID)
    expected = np.pi * 20.0**2 * 16 / 1000
    # Voxels are stored in 1/255; a whole plane of 42.5 becomes 42.
    assert volume_of(filled, where) == pytest.approx(expected, rel=5e-4)
    assert volume_cc(contours, 3.0) == pytest.approx(expected, rel=1e-5)


def test_occupancy_is_cropped_and_lies_where_it_says() -> None:
    """A box whose faces are voxel faces fills exactly those voxels: any shift of the crop fails."""
    (x0, y0, _), _ = GRID.edges_mm()
    box = rectangle(x0 + 5 * 1.7, y0 + 7 * 1.3, x0 + 9 * 1.7, y0 + 10 * 1.3)
    filled, where = occupancy(stack([box], [-11.0, -8.0]), GRID)
    full = np.zeros(GRID.shape, np.uint8)
    i, j, k = (round(v) for v in GRID.index_of(np.array([where.origin_mm]))[0])
    full[k : k + where.size[2], j : j + where.size[1], i : i + where.size[0]] = filled
    expected = np.zeros(GRID.shape, np.uint8)
    expected[3:5, 7:10, 5:9] = 255
    np.testing.assert_array_equal(full, expected)
    assert where.size[0] <= 6
    assert where.size[2] <= 3


def test_structures_outside_the_image_or_without_contours_are_one_empty_voxel() -> None:
    for contours in ([], stack([rectangle(500, 500, 510, 510)], [0.0]), stack([rectangle(0, 0, 5, 5)], [900.0])):
        filled, where = occupancy(contours, GRID)
        assert filled.shape == where.shape == (1, 1, 1)
        assert not filled.any()


def test_structure_that_sticks_out_of_the_image_is_cut() -> None:
    filled, where = occupancy(stack([rectangle(-500, -500, 500, 500)], [-20.0, -17.0, -14.0]), GRID)
    assert where.size == (50, 60, 3)
    assert filled.min() == 255
