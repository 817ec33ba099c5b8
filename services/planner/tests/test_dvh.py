"""The DVH against solids whose curve is known by formula, and against what structure sets can hold."""

from collections.abc import Callable
from itertools import pairwise
from math import acos, pi, sqrt

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Contour, Grid
from radiarch_planner.dvh import Dvh, dvh_of

SLICE_MM = 2.0
GRID = Grid(origin_mm=(-40.0, -40.0, -40.0), spacing_mm=(2.5, 2.5, 4.0), size=(33, 33, 21))
Volume = Callable[[float], float]


def circle(radius: float, z_mm: float, x_mm: float = 0.0, y_mm: float = 0.0, points: int = 360) -> Contour:
    angle = np.linspace(0.0, 2 * pi, points, endpoint=False)
    # Of the polygon's area, not the circle's, that 360 points leave 0.005 % out.
    return Contour(z_mm=z_mm, points_mm=np.c_[x_mm + radius * np.cos(angle), y_mm + radius * np.sin(angle)])


def gradient(axis: int, at_origin: float = 50.0) -> npt.NDArray[np.float32]:
    """1 Gy/mm along x, y or z: linear interpolation gives it exactly."""
    z, y, x = np.meshgrid(GRID.axis_mm(2), GRID.axis_mm(1), GRID.axis_mm(0), indexing="ij")
    return (at_origin + (x, y, z)[axis]).astype(np.float32)


def dvh(contours: list[Contour], dose: npt.NDArray[np.float32], *metrics: str) -> Dvh:
    return dvh_of("solid", 1, contours, dose, GRID, metrics, slice_mm=SLICE_MM)


def segment(radius: float, below: float) -> float:
    """Area of a disc on the near side of a chord at ``below`` from its centre."""
    h = min(max(below, -radius), radius)
    return radius**2 * acos(-h / radius) + h * sqrt(radius**2 - h**2)


def sphere(radius: float) -> Volume:
    """Volume below a plane at ``h`` from the centre."""
    return lambda h: pi * (2 * radius**3 / 3 + radius**2 * h - h**3 / 3)


def integrated(radius_at: Callable[[float], float], low: float, high: float) -> Volume:
    """Volume of a solid of revolution about z below y = h, by Simpson's rule over its discs."""
    z = np.linspace(low, high, 2001)
    weight = np.ones(2001)
    weight[1:-1:2], weight[2:-1:2] = 4, 2
    step = (high - low) / 2000 / 3
    return lambda h: float(np.sum([w * segment(radius_at(v), h) for v, w in zip(z, weight, strict=True)])) * step


def dose_at(volume_below: Volume, low: float, high: float, percent: float) -> float:
    """Where the hottest ``percent`` begin, by bisection."""
    whole = volume_below(high)
    a, b = low, high
    for _ in range(50):
        middle = (a + b) / 2
        a, b = (middle, b) if volume_below(middle) < (1 - percent / 100) * whole else (a, middle)
    return 50.0 + a


def cone_radius(z: float) -> float:
    return max(15.0 * (15.0 - z) / 30.0, 1e-9)


SPHERE = [circle(sqrt(225.01 - z * z), z) for z in np.arange(-15.0, 16.0, 2.0)]
CYLINDER = [circle(12.0, z) for z in np.arange(-14.0, 15.0, 2.0)]
CONE = [circle(cone_radius(z), z) for z in np.arange(-14.0, 15.0, 2.0)]
SOLIDS: dict[str, tuple[list[Contour], int, Volume, float]] = {
    "sphere along z": (SPHERE, 2, sphere(15.0), 15.0),
    "sphere along y": (SPHERE, 1, sphere(15.0), 15.0),
    "cylinder along z": (CYLINDER, 2, lambda h: pi * 144.0 * (h + 15.0), 15.0),
    "cylinder along y": (CYLINDER, 1, integrated(lambda _: 12.0, -15.0, 15.0), 12.0),
    "cone along z": (CONE, 2, lambda h: pi * (30.0**3 - (15.0 - h) ** 3) / 12, 15.0),
    "cone along y": (CONE, 1, integrated(cone_radius, -15.0, 15.0), 15.0),
}


@pytest.mark.parametrize("name", list(SOLIDS))
def test_solid_in_a_gradient(name: str) -> None:
    """In a gradient of 1 Gy/mm a boundary that is 0.1 mm off is 0.1 Gy off."""
    contours, axis, volume_below, reach = SOLIDS[name]
    found = dvh(contours, gradient(axis), "V50Gy[cc]")
    metrics = found.curve.metrics
    whole = volume_below(reach)
    assert found.curve.volume_cc == pytest.approx(whole / 1000, rel=0.01)  # half-slice end caps
    for percent in (98, 95, 50, 5, 2):
        expected = dose_at(volume_below, -reach, reach, percent)
        assert metrics[f"D{percent}%[Gy]"] == pytest.approx(expected, abs=0.12), percent
    assert metrics["V50Gy[cc]"] == pytest.approx((whole - volume_below(0.0)) / 1000, rel=0.01)
    assert metrics["Max[Gy]"] == pytest.approx(50.0 + reach, abs=SLICE_MM / 2 + 0.1)


def test_dose_above_every_prescription_is_not_cut_off() -> None:
    metrics = dvh(CYLINDER, gradient(2, at_origin=140.0)).curve.metrics
    assert metrics["D5%[Gy]"] == pytest.approx(140.0 + 15.0 - 0.05 * 30.0, abs=0.05)
    assert metrics["Mean[Gy]"] == pytest.approx(140.0, abs=0.01)


def test_uniform_dose_has_one_value() -> None:
    found = dvh(SPHERE, np.full(GRID.shape, 60.0, np.float32), "V60Gy[%]", "V60.1Gy[%]")
    assert all(found.curve.metrics[m] == pytest.approx(60.0, abs=0.01) for m in ("D99%[Gy]", "D50%[Gy]", "Max[Gy]"))
    assert found.curve.metrics["V60Gy[%]"] == pytest.approx(100.0)
    assert found.curve.metrics["V60.1Gy[%]"] == 0.0


def test_no_dose_at_all() -> None:
    metrics = dvh(SPHERE, np.zeros(GRID.shape, np.float32)).curve.metrics
    assert set(metrics.values()) == {0.0}


def test_curve_falls_from_all_to_nothing() -> None:
    curve = dvh(SPHERE, gradient(1)).curve
    assert curve.volume_percent[0] == 100.0
    assert curve.dose_gy_rbe[0] == 0.0
    assert all(np.diff(curve.dose_gy_rbe) > 0)
    assert all(np.diff(curve.volume_percent) <= 0)
    assert curve.volume_percent[-1] == pytest.approx(0.0, abs=0.01)
    assert len(curve.dose_gy_rbe) <= 1000


def test_hole_is_left_out() -> None:
    planes = np.arange(-10.0, 11.0, 2.0)
    ring = [c for z in planes for c in (circle(15.0, z), circle(9.0, z))]
    assert dvh(ring, gradient(0)).curve.volume_cc == pytest.approx(pi * (225 - 81) * 22 / 1000, rel=0.002)


@pytest.mark.parametrize("shift", [1.0, 4.0, 7.0])
def test_oblique_tube_keeps_its_volume(shift: float) -> None:
    """A nerve or vessel that runs through the slices: neighbouring contours overlap little or just touch."""
    tube = [circle(4.0, 2.0 * i, x_mm=shift * i) for i in range(-3, 4)]
    assert dvh(tube, gradient(0)).curve.volume_cc == pytest.approx(pi * 16 * 14 / 1000, rel=0.15)


def test_part_that_other_planes_lack_ends_half_way() -> None:
    main = [circle(10.0, z) for z in (-2.0, 0.0, 2.0)]
    island = circle(3.0, 0.0, x_mm=25.0)
    expected = (pi * 100 * 6 + pi * 9 * 2) / 1000
    assert dvh([*main, island], gradient(0)).curve.volume_cc == pytest.approx(expected, rel=0.002)


def test_parts_that_are_far_apart_are_not_joined() -> None:
    parts = [circle(5.0, z) for z in (-20.0, -18.0, 18.0, 20.0)]
    assert dvh(parts, gradient(2)).curve.volume_cc == pytest.approx(pi * 25 * 8 / 1000, rel=0.002)


def test_one_plane_is_as_thick_as_a_slice() -> None:
    assert dvh([circle(10.0, 3.0)], gradient(2)).curve.volume_cc == pytest.approx(pi * 100 * 2 / 1000, rel=0.002)


def test_what_lies_outside_the_dose_grid_gets_no_dose_and_is_said() -> None:
    """Half of the cylinder lies beyond the outer face of the grid, at 41.25 mm."""
    half_out = [circle(10.0, z, x_mm=41.25) for z in np.arange(-10.0, 11.0, 2.0)]
    found = dvh(half_out, np.full(GRID.shape, 40.0, np.float32))
    assert found.outside_percent == pytest.approx(50.0, abs=0.5)
    assert found.curve.metrics["Mean[Gy]"] == pytest.approx(20.0, abs=0.2)
    assert found.curve.metrics["Min[Gy]"] == 0.0
    assert "lies outside the dose grid" in found.warnings[0]


def test_volume_that_a_structure_does_not_have_is_said() -> None:
    found = dvh(SPHERE, gradient(1), "D20cc[Gy]")
    assert found.curve.metrics["D20cc[Gy]"] == found.curve.metrics["Min[Gy]"]
    assert "less than D20cc[Gy] asks for" in found.warnings[0]


@pytest.mark.parametrize("contours", [[], [Contour(z_mm=0.0, points_mm=np.array([[1.0, 1.0], [2.0, 2.0]]))]])
def test_nothing_drawn_is_refused(contours: list[Contour]) -> None:
    with pytest.raises(RefusedError, match="has no volume"):
        dvh(contours, gradient(0))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.5, 15), st.floats(-10, 10), st.floats(-10, 10), st.integers(3, 40)),
        min_size=1,
        max_size=6,
    )
)
def test_any_stack_lies_between_what_all_and_what_no_planes_share(stack: list[tuple[float, float, float, int]]) -> None:
    """However contours jump from plane to plane: no volume appears outside them, and none is lost twice over."""
    contours = [circle(r, 2.0 * i, x, y, n) for i, (r, x, y, n) in enumerate(stack)]
    areas = [n / 2 * r * r * np.sin(2 * pi / n) for r, _, _, n in stack]
    found = dvh(contours, gradient(2)).curve
    both = sum(a + b for a, b in pairwise(areas)) * 2.0
    assert (areas[0] + areas[-1]) / 1000 * 0.9 - 0.01 <= found.volume_cc
    assert found.volume_cc <= 1.02 * (both + areas[0] + areas[-1]) / 1000 + 0.01
    assert found.metrics["Min[Gy]"] <= found.metrics["D50%[Gy]"] <= found.metrics["Max[Gy]"]
