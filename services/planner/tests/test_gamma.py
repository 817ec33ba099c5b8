"""Gamma against what it is by hand in simple fields, and against a search by brute force."""

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.geometry import Grid
from radiarch_planner.gamma import Criteria, gamma_index, passing_percent
from scipy.interpolate import RegularGridInterpolator

GRID = Grid(origin_mm=(-13.0, 4.0, 50.0), spacing_mm=(2.0, 2.5, 3.0), size=(15, 12, 9))
FINER = Grid(origin_mm=(-13.5, 3.2, 49.0), spacing_mm=(1.3, 1.7, 2.1), size=(24, 18, 14))


def axes(grid: Grid) -> tuple[npt.NDArray[np.float64], ...]:
    """Voxel centres along z, y, x."""
    return grid.axis_mm(2), grid.axis_mm(1), grid.axis_mm(0)


def slope(grid: Grid, per_mm: float) -> npt.NDArray[np.float64]:
    """A dose that rises along x only, 100 at its end."""
    z, y, x = axes(grid)
    return np.broadcast_to(100.0 + per_mm * (x - GRID.axis_mm(0)[-1]), (len(z), len(y), len(x))).copy()


def blobs(grid: Grid, shift_mm: float, factor: float) -> npt.NDArray[np.float64]:
    z, y, x = np.meshgrid(*axes(grid), indexing="ij")
    one = np.exp(-(((x - shift_mm) / 6) ** 2) - ((y - 15) / 7) ** 2 - ((z - 61) / 8) ** 2)
    return 60.0 * factor * (one + 0.4 * np.exp(-(((x - 9) / 4) ** 2) - ((y - 22) / 5) ** 2 - ((z - 58) / 6) ** 2))


def test_the_same_dose_has_index_zero() -> None:
    dose = blobs(GRID, 0.0, 1.0)
    gamma = gamma_index(dose, GRID, dose, GRID, Criteria())
    assert np.nanmax(gamma) == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_array_equal(np.isnan(gamma), dose < 0.1 * dose.max())
    assert passing_percent(gamma) == 100.0


def test_an_even_dose_that_is_off_is_judged_by_dose_alone() -> None:
    """1 % too much by the criterion of 2 %; 3 % too much fails everywhere."""
    dose = np.full(GRID.shape, 50.0)
    half = gamma_index(dose, GRID, 1.01 * dose, GRID, Criteria())
    assert half == pytest.approx(0.5, abs=1e-5)
    assert passing_percent(gamma_index(dose, GRID, 1.03 * dose, GRID, Criteria())) == 0.0


@pytest.mark.parametrize(("per_mm", "off"), [(0.5, 2.0), (1.0, 2.0), (2.0, 3.0), (4.0, 5.0)])
def test_in_a_gradient_both_criteria_share_the_difference(per_mm: float, off: float) -> None:
    """A linear dose that is ``off`` everywhere: gamma = off / sqrt(dose criterion^2 + (slope * distance)^2)."""
    dose = slope(GRID, per_mm)
    gamma = gamma_index(dose, GRID, dose + off, GRID, Criteria(dose_percent=2.0, distance_mm=2.0, steps=20))
    inner = gamma[:, :, 3:-3]
    assert inner == pytest.approx(off / np.hypot(2.0, 2.0 * per_mm), rel=0.01)


def test_local_criteria_are_stricter_where_the_dose_is_low() -> None:
    dose = blobs(GRID, 0.0, 1.0)
    near = Criteria(dose_percent=3.0, distance_mm=0.01, cutoff_percent=20.0, local=True)
    gamma = gamma_index(dose, GRID, 1.03 * dose, GRID, near)
    judged = np.isfinite(gamma)
    assert gamma[judged] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("other", [GRID, FINER])
@pytest.mark.parametrize("local", [False, True])
def test_a_search_by_brute_force_finds_the_same(other: Grid, local: bool) -> None:
    """Every displacement of the lattice is tried on every point, with scipy's interpolation."""
    criteria = Criteria(dose_percent=3.0, distance_mm=3.0, cutoff_percent=15.0, local=local, highest=1.5, steps=5)
    reference, evaluated = blobs(GRID, 0.0, 1.0), blobs(other, 4.0, 1.12)
    gamma = gamma_index(reference, GRID, evaluated, other, criteria)
    look = RegularGridInterpolator(axes(other), evaluated, bounds_error=False, fill_value=np.inf)
    z, y, x = np.meshgrid(*axes(GRID), indexing="ij")
    tolerance = 0.03 * (reference if local else reference.max())
    least = np.full(GRID.shape, 1.5**2)
    for dz, dy, dx in np.ndindex(17, 17, 17):
        move = np.array([dz - 8, dy - 8, dx - 8]) * 0.6
        there = look(np.stack([z + move[0], y + move[1], x + move[2]], axis=-1))
        least = np.minimum(least, np.sum((move / 3.0) ** 2) + ((there - reference) / tolerance) ** 2)
    wanted = np.where(reference >= 0.15 * reference.max(), np.sqrt(least), np.nan)
    np.testing.assert_allclose(gamma, wanted, rtol=1e-4, atol=1e-4)
    assert 20.0 < passing_percent(gamma) < 100.0


def test_where_nothing_was_evaluated_there_is_no_agreement() -> None:
    """A grid that ends early does not pass by extrapolation."""
    dose = np.full(GRID.shape, 50.0)
    small = GRID.crop((0, 0, 0), (5, 12, 9))
    gamma = gamma_index(dose, GRID, dose[:, :, :5], small, Criteria(distance_mm=1.0, highest=2.0))
    assert gamma[:, :, :5].max() == 0.0
    assert gamma[:, :, 5:].min() == 2.0


def test_doses_that_cannot_be_compared_are_refused() -> None:
    dose = np.full(GRID.shape, 50.0)
    with pytest.raises(ValueError, match="'evaluated' must have the shape"):
        gamma_index(dose, GRID, dose, FINER, Criteria())
    with pytest.raises(ValueError, match="a dose somewhere"):
        gamma_index(np.zeros(GRID.shape), GRID, dose, GRID, Criteria())
