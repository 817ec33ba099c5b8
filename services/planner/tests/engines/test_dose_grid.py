"""The dose grid's planes are CT planes, it holds BODY, and what comes onto it keeps its mean."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Grid
from radiarch_planner.dose_grid import calculation_grid, ct_on_grid, mean_on_grid, occupancy_on_grid
from radiarch_planner.engines.base import Patient
from radiarch_planner.machine import read_calibration
from radiarch_planner.patient import within_calibration

import radiarch_planner  # isort: skip

PACKAGE = Path(radiarch_planner.__file__).parent


def body_in(ct: Grid, low: tuple[int, int, int], size: tuple[int, int, int]) -> tuple[Grid, np.ndarray]:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
    grid = ct.crop(low, size)
    return grid, np.ones(grid.shape, dtype=np.float32)


@settings(max_examples=60, deadline=None)
@given(
    in_plane=st.floats(0.8, 3.0),
    slices=st.floats(1.0, 5.0),
    asked=st.floats(1.0, 6.0),
    low=st.tuples(*[st.integers(0, 20)] * 3),
    size=st.tuples(*[st.integers(1, 30)] * 3),
)
def test_planes_are_ct_planes_and_body_is_inside(
    in_plane: float, slices: float, asked: float, low: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    ct = Grid(origin_mm=(-37.3, 12.9, -800.1), spacing_mm=(in_plane, in_plane, slices), size=(50, 50, 50))
    body, occupancy = body_in(ct, low, size)
    grid = calculation_grid(ct, body, occupancy, asked)
    assert grid.spacing_mm[:2] == (asked, asked)
    multiple = grid.spacing_mm[2] / slices
    assert multiple == pytest.approx(round(multiple))
    others = [abs(n * slices - asked) for n in range(1, 10)]
    assert abs(grid.spacing_mm[2] - asked) == pytest.approx(min(others))
    planes = ct.index_of(np.column_stack([np.zeros(grid.size[2]), np.zeros(grid.size[2]), grid.axis_mm(2)]))[:, 2]
    assert np.allclose(planes, np.rint(planes), atol=1e-6)
    assert planes.min() > -0.5
    assert planes.max() < 49.5
    origin = ct.index_of(np.array([grid.origin_mm]))[0]
    assert np.allclose(origin, np.rint(origin), atol=1e-6)
    (body_low, body_high), (low_mm, high_mm) = body.edges_mm(), grid.edges_mm()
    assert all(g <= b + asked / 2 + in_plane for g, b in zip(low_mm[:2], body_low[:2], strict=True))
    assert all(g >= b - 1e-6 for g, b in zip(high_mm[:2], body_high[:2], strict=True))
    assert low_mm[2] <= body_low[2] + 1e-6


def test_ties_go_finer() -> None:
    ct = Grid(origin_mm=(0, 0, 0), spacing_mm=(1, 1, 2), size=(20, 20, 20))
    body, occupancy = body_in(ct, (2, 2, 2), (10, 10, 10))
    assert calculation_grid(ct, body, occupancy, 3.0).spacing_mm == (3.0, 3.0, 2.0)
    assert calculation_grid(ct, body, occupancy, 3.1).spacing_mm == (3.1, 3.1, 4.0)


def test_an_empty_body_is_refused() -> None:
    ct = Grid(origin_mm=(0, 0, 0), spacing_mm=(1, 1, 2), size=(20, 20, 20))
    with pytest.raises(RefusedError, match="BODY"):
        calculation_grid(ct, ct, np.zeros(ct.shape, dtype=np.float32), 3.0)


def test_means_are_means() -> None:
    rng = np.random.default_rng(3)
    fine = Grid(origin_mm=(0.5, 0.5, 1.0), spacing_mm=(1, 1, 2), size=(12, 12, 12))
    coarse = Grid(origin_mm=(1.5, 1.5, 3.0), spacing_mm=(3, 3, 6), size=(4, 4, 4))
    values = rng.normal(size=fine.shape).astype(np.float32)
    blocks = values.reshape(4, 3, 4, 3, 4, 3).mean(axis=(1, 3, 5))
    assert np.allclose(mean_on_grid(values, fine, coarse), blocks, atol=1e-5)
    assert np.allclose(mean_on_grid(values, fine, fine), values, atol=1e-6)


def test_a_structure_keeps_its_volume() -> None:
    fine = Grid(origin_mm=(-20.0, -20.0, -20.0), spacing_mm=(1.1, 1.1, 2), size=(40, 40, 20))
    coarse = Grid(origin_mm=(-31.3, -30.2, -40.0), spacing_mm=(2.5, 2.5, 4), size=(40, 40, 30))
    z, y, x = np.meshgrid(fine.axis_mm(2), fine.axis_mm(1), fine.axis_mm(0), indexing="ij")
    ball = (x**2 + y**2 + z**2 < 15**2).astype(np.float32)
    shares = occupancy_on_grid(ball, fine, coarse)
    assert shares.min() >= 0.0
    assert shares.max() <= 1.0 + 1e-6
    assert shares.sum() * coarse.voxel_volume_cc == pytest.approx(ball.sum() * fine.voxel_volume_cc, rel=1e-5)


def test_what_lies_outside_body_is_air() -> None:
    ct = Grid(origin_mm=(0, 0, 0), spacing_mm=(1, 1, 1), size=(20, 20, 20))
    hu = np.full(ct.shape, 40, dtype=np.int16)
    body, occupancy = body_in(ct, (5, 5, 5), (10, 10, 10))
    on_grid = ct_on_grid(hu, ct, body, occupancy, ct)
    assert np.all(on_grid[5:15, 5:15, 5:15] == 40.0)
    on_grid[5:15, 5:15, 5:15] = -1000.0
    assert np.all(on_grid == -1000.0)
    # The last planes of the CT count in full, though the dose voxel reaches beyond it.
    coarse = Grid(origin_mm=(10, 10, 19), spacing_mm=(1, 1, 4), size=(1, 1, 1))
    all_body, everywhere = body_in(ct, (0, 0, 0), (20, 20, 20))
    assert ct_on_grid(hu, ct, all_body, everywhere, coarse)[0, 0, 0] == pytest.approx(40.0)


def test_a_large_ct_is_not_held_in_floats() -> None:
    """A CT of 512 x 512 x 300 in floats is 315 MB, and was held three times."""
    ct = Grid(origin_mm=(0, 0, 0), spacing_mm=(1, 1, 1), size=(100, 100, 100))
    hu = np.zeros(ct.shape, dtype=np.int16)
    body, occupancy = body_in(ct, (5, 5, 5), (10, 10, 10))
    grid = calculation_grid(ct, body, occupancy, 3.0)
    tracemalloc.start()
    try:
        ct_on_grid(hu, ct, body, occupancy, grid)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < hu.size


def test_metal_is_refused_and_a_little_of_it_is_said() -> None:
    calibration = read_calibration(PACKAGE / "ct_calibrations" / "ucl-toshiba")
    grid = Grid(origin_mm=(0, 0, 0), spacing_mm=(2, 2, 2), size=(20, 20, 20))
    hu = np.zeros(grid.shape, dtype=np.float32)
    assert within_calibration(Patient(grid, hu, "HFS"), calibration).warnings == ()
    hu[:2, :2, :2] = 2500.0
    (warning,) = within_calibration(Patient(grid, hu, "HFS"), calibration).warnings
    assert "0.06 cm3" in warning
    assert within_calibration(Patient(grid, hu, "HFS"), calibration).ct_hu.max() == 1565.0
    hu[:5, :5, :5] = 2500.0
    with pytest.raises(RefusedError, match="1565 HU"):
        within_calibration(Patient(grid, hu, "HFS"), calibration)
