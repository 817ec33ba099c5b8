"""The cost model: seconds from spots, protons, ranges and voxels; never below nothing, whatever the clock says."""

from collections.abc import Callable

import pytest
from radiarch_common.plans import PlanSpec
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines.base import FloatArray, Patient
from radiarch_planner.engines.blocks import blocks_of
from radiarch_planner.engines.cost import EngineCost, hang_limit, line_through
from radiarch_planner.engines.durations import beamlet_seconds
from radiarch_planner.engines.mcsquare import McsquareEngine
from radiarch_planner.engines.progress import Pace

COST = EngineCost(start_s=0.25, proton_s=2e-6, proton_mm_s=2e-7, spot_s=1e-3, spot_voxel_s=5e-9)


def test_seconds_are_sums_of_what_is_done() -> None:
    """A thousand protons of 150 mm cost 0.032 s; a spot 1 ms, and 5 ms more on a million voxels."""
    assert COST.protons_seconds(1000, 150.0) == pytest.approx(0.032)
    assert COST.batch_seconds(1000, 150.0) == pytest.approx(0.282)
    assert COST.beamlet_seconds(10, 1000, 150.0, 1e6) == pytest.approx(0.25 + 10 * (0.032 + 0.006))


def test_limits_are_generous() -> None:
    assert hang_limit(0.0) >= 60.0
    assert hang_limit(1000.0) >= 10_000.0


@pytest.mark.parametrize(
    ("first", "second", "constant", "slope"),
    [
        ((1.0, 3.0), (3.0, 7.0), 1.0, 2.0),
        ((1.0, 1.0), (2.0, 4.0), 0.0, 2.0),  # would cross zero
        ((1.0, 5.0), (2.0, 4.0), 5.0, 0.0),  # would fall
    ],
)
def test_a_busy_machine_gives_no_negative_cost(
    first: tuple[float, float], second: tuple[float, float], constant: float, slope: float
) -> None:
    """Fails when noise of the clock makes something cost less than nothing, or a duration fall with size."""
    assert line_through(first, second) == (constant, slope)


def test_beamlets_of_a_beam_cost_what_their_blocks_cost(
    make_water: Callable[..., Patient],
    make_ball: Callable[..., FloatArray],
    make_engine: Callable[..., McsquareEngine],
    make_spec: Callable[..., PlanSpec],
) -> None:
    """Fails when blocks, voxels of the crop or the ranges of the spots are left out; summed here block by block."""
    patient = make_water((-60.0, 2.0, -60.0), (4.0, 4.0, 4.0), (31, 45, 31))
    engine = make_engine()
    spec = make_spec()
    target = make_ball(patient.grid, (0.0, 120.0, 0.0), 20.0)
    (placed,) = engine.place(patient, target, spec, QuietWatch()).beams
    ranges = dict(zip(engine.model.reach.energies_mev, engine.model.reach.ranges_mm, strict=True))
    expected = 0.0
    voxels = patient.ct_hu.size  # the beam's halo is wider than this phantom
    for block in blocks_of(placed, spec.seed, spec.primaries_per_spot):
        expected += 0.25 + block.count * (0.001 + 5e-9 * voxels + 2e-6 * 100)
        expected += sum(2e-7 * 100 * ranges[energy] for energy in block.energies_mev)
    assert beamlet_seconds(COST, engine.model, patient, placed, 100) == pytest.approx(expected, rel=1e-6)


def test_progress_over_rounds_never_falls_and_ends() -> None:
    """Fails when a second round starts the bar anew, or the first claims to be all there is."""
    watch = QuietWatch()
    pace = Pace(watch, "Final dose", 10.0)
    pace.round(0, 10, 10)
    pace.tell(1.0)
    pace.round(10, 30)
    pace.tell(0.001)
    pace.tell(1.0)
    shares = [share for share, _ in watch.reports]
    assert shares[0] == 0.5
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
