"""Indices of analytic doses, whose volumes are known in closed form, through the DVH as plans have it."""

from math import pi

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_common.geometry import Contour, Grid
from radiarch_common.plans import Prescription
from radiarch_planner.cumulative import CumulativeDose
from radiarch_planner.dvh import dvh_of
from radiarch_planner.indices import conformity, homogeneity, indices_of

GRID = Grid(origin_mm=(-60.0, -60.0, -60.0), spacing_mm=(2.0, 2.0, 2.0), size=(61, 61, 61))
PRESCRIPTION = Prescription(target="PTV", dose_gy_rbe=60.0, fractions=30, normalisation="none")
TARGET_MM = 20.0


def ball(radius_mm: float) -> list[Contour]:
    """A sphere about the origin, drawn every 2 mm."""
    angles = np.linspace(0, 2 * pi, 180, endpoint=False)
    heights = np.arange(-radius_mm + 1.0, radius_mm, 2.0)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    return [Contour(z_mm=float(z), points_mm=np.sqrt(radius_mm**2 - z**2) * circle) for z in heights]


def cone_dose(centre_gy: float, slope_gy_per_mm: float) -> npt.NDArray[np.float32]:
    """A dose that falls linearly with the distance from the origin: its isodoses are spheres."""
    x, y, z = (GRID.axis_mm(axis) for axis in range(3))
    radius = np.sqrt(z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2)
    return np.maximum(centre_gy - slope_gy_per_mm * radius, 0.0).astype(np.float32)


def cumulative(radius_mm: float, dose: npt.NDArray[np.float32]) -> CumulativeDose:
    return dvh_of("ball", 1, ball(radius_mm), dose, GRID, (), slice_mm=2.0).cumulative


@pytest.mark.parametrize("isodose_mm", [16.0, 20.0, 26.0])
def test_concentric_spheres_have_the_indices_of_their_radii(isodose_mm: float) -> None:
    """A target of 20 mm, the prescription at 16, 20 or 26 mm, half of it 15 mm further out."""
    slope = 30.0 / 15.0
    dose = cone_dose(60.0 + slope * isodose_mm, slope)
    found = indices_of(PRESCRIPTION, cumulative(TARGET_MM, dose), cumulative(50.0, dose))
    covered = min(isodose_mm, TARGET_MM) ** 3
    assert found.isodose_cc == pytest.approx(4 / 3 * pi * (isodose_mm / 10) ** 3, rel=0.015)
    assert found.conformity == pytest.approx(covered**2 / (TARGET_MM**3 * isodose_mm**3), rel=0.02)
    assert found.gradient == pytest.approx(((isodose_mm + 15.0) / isodose_mm) ** 3, rel=0.02)
    further = isodose_mm + 0.05 * 60.0 / slope
    covered = min(further, TARGET_MM) ** 3
    assert found.conformity_95 == pytest.approx(covered**2 / (TARGET_MM**3 * further**3), rel=0.02)
    # Of a ball, the share s is inside the radius R s^(1/3).
    high, median, low = (60.0 + slope * (isodose_mm - TARGET_MM * share ** (1 / 3)) for share in (0.02, 0.50, 0.98))
    assert found.homogeneity == pytest.approx((high - low) / median, rel=0.01)


def test_an_even_dose_that_fits_is_ideal() -> None:
    """The dose is that of the target everywhere in it, and nothing elsewhere."""
    target = CumulativeDose.of_voxels(np.full(80, 60.0), np.full(80, 0.1))
    body = CumulativeDose.of_voxels(np.concatenate([np.full(80, 60.0), np.zeros(920)]), np.full(1000, 0.1))
    assert homogeneity(target) == pytest.approx(0.0, abs=1e-3)
    assert conformity(target, body, 59.9) == pytest.approx(1.0, abs=1e-3)


def test_what_is_not_defined_is_not_given() -> None:
    """No dose reaches the prescription: a conformity of 0 or a gradient without end would be made up."""
    cold = CumulativeDose.of_voxels(np.full(10, 20.0), np.ones(10))
    found = indices_of(PRESCRIPTION, cold, cold)
    assert (found.conformity, found.gradient, found.covered_cc) == (None, None, 0.0)
    assert homogeneity(CumulativeDose.of_voxels(np.zeros(10), np.ones(10))) is None
    assert indices_of(PRESCRIPTION, cold, None).isodose_cc is None
