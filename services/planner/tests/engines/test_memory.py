"""A plan that cannot fit is refused before an engine starts, by numbers that real beamlets bear out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Grid
from radiarch_common.plans import PlanSpec
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines.base import FloatArray, Patient
from radiarch_planner.engines.mcsquare import McsquareEngine
from radiarch_planner.memory import (
    beamlet_bytes,
    grid_bytes,
    machine_memory_bytes,
    refuse_large_grid,
    refuse_large_tally,
    refuse_many_beamlets,
    tally_bytes,
)

GB = 1e9


@pytest.mark.parametrize("primaries", [100, 1000])
def test_the_estimate_is_that_of_real_beamlets(
    primaries: int,
    make_water: Callable[..., Patient],
    make_ball: Callable[..., FloatArray],
    make_engine: Callable[..., McsquareEngine],
    make_spec: Callable[..., PlanSpec],
) -> None:
    """Non-zeros in every voxel of the water, 16 bytes each; the estimate may be up to twice that."""
    patient = make_water((-60.0, 2.0, -60.0), (3.0, 3.0, 3.0), (41, 60, 41))
    target = make_ball(patient.grid, (4.0, 120.0, -6.0), 20.0)
    engine, spec = make_engine(), make_spec(spot_spacing_mm=12.0, primaries_per_spot=primaries)
    placement = engine.place(patient, target, spec, QuietWatch())
    rows = np.arange(patient.ct_hu.size)
    real = 16.0 * engine.beamlets(patient, placement, rows, spec, QuietWatch()).nnz
    assert 0.9 * real < engine.beamlet_bytes(patient, placement, len(rows), spec) < 2.0 * real


def test_a_thorax_with_its_body_as_an_objective_fits_an_ordinary_machine() -> None:
    grid = Grid(origin_mm=(0, 0, 0), spacing_mm=(2.5, 2.5, 2.5), size=(170, 110, 130))
    ct = Grid(origin_mm=(0, 0, 0), spacing_mm=(1, 1, 2.5), size=(512, 512, 130))
    beamlets = beamlet_bytes(grid, 1_400_000, 5000, 150.0, 1000)
    assert 0.3 * GB < beamlets < 1.0 * GB
    refuse_large_grid(ct, grid, 4 * GB)
    refuse_many_beamlets(grid_bytes(ct, grid), beamlets, 5000, 1000, 4 * GB)


def test_what_cannot_fit_is_refused_by_its_numbers() -> None:
    ct = Grid(origin_mm=(0, 0, 0), spacing_mm=(1, 1, 1), size=(512, 512, 600))
    with pytest.raises(RefusedError, match=r"157 million voxels of its dose grid \(1 x 1 x 1 mm\).*8 GB") as refusal:
        refuse_large_grid(ct, ct, 8 * GB)
    assert "coarser" in refusal.value.hint
    with pytest.raises(RefusedError, match=r"41 GB of memory for 250000 spots of 1000 .* 16 GB"):
        refuse_many_beamlets(1 * GB, 40 * GB, 250_000, 1000, 16 * GB)
    with pytest.raises(RefusedError, match=r"250000 spots of 1000 simulated protons in each of 9 scenarios") as refusal:
        refuse_many_beamlets(1 * GB, 40 * GB, 250_000, 1000, 16 * GB, scenarios=9)
    assert "fewer scenarios" in refusal.value.hint


def test_a_final_dose_that_cannot_fit_is_refused_by_its_numbers() -> None:
    """Three beams and the plan: two sums of 8 bytes in each of 100 million voxels, three with LET."""
    grid = Grid(origin_mm=(0, 0, 0), spacing_mm=(1, 1, 1), size=(500, 500, 400))
    plain, with_let = (tally_bytes(grid, 3, let_map=let_map) for let_map in (False, True))
    assert (plain, with_let) == (6.4 * GB, 9.6 * GB)
    refuse_large_tally(1 * GB, plain, 3, 10 * GB)
    with pytest.raises(RefusedError, match=r"final dose of 3 beams needs about 11 GB .* 10 GB") as refusal:
        refuse_large_tally(1 * GB, with_let, 3, 10 * GB)
    assert "no LET map" in refusal.value.hint


def test_the_memory_of_this_machine_is_known() -> None:
    installed = 1024.0 * int(Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0])
    assert 0.1 * GB < machine_memory_bytes() <= installed
