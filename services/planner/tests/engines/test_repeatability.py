"""The same plan gives the same numbers, however many processes; and beamlets are the plan's dose per MU."""

from collections.abc import Callable

import numpy as np
import pytest
from radiarch_common.geometry import Grid
from radiarch_common.plans import PlanSpec
from radiarch_common.watch import QuietWatch
from radiarch_planner.engines.base import FloatArray, Patient
from radiarch_planner.engines.blocks import SPOTS_PER_BLOCK, blocks_of, seed_of
from radiarch_planner.engines.mcsquare import McsquareEngine

MakeEngine = Callable[..., McsquareEngine]
MakeBall = Callable[[Grid, tuple[float, float, float], float], FloatArray]


@pytest.fixture(scope="module")
def patient(make_water: Callable[..., Patient]) -> Patient:
    return make_water((-60.0, 2.0, -60.0), (4.0, 4.0, 4.0), (31, 45, 31))


@pytest.fixture(scope="module")
def target(patient: Patient, make_ball: MakeBall) -> FloatArray:
    return make_ball(patient.grid, (4.0, 120.0, -6.0), 20.0)


def test_any_number_of_processes_gives_the_same_bits(
    patient: Patient, target: FloatArray, make_engine: MakeEngine, make_spec: Callable[..., PlanSpec]
) -> None:
    spec, watch = make_spec(), QuietWatch()
    rows = np.flatnonzero(target)
    outcomes = []
    for processes in (1, 2):
        engine = make_engine(processes=processes)
        placement = engine.place(patient, target, spec, watch)
        assert placement.count > 2 * SPOTS_PER_BLOCK
        matrix = engine.beamlets(patient, placement, rows, spec, watch)
        final = engine.final_dose(patient, engine.beams(placement, np.full(placement.count, 0.3)), spec, watch)
        outcomes.append((matrix, final))
    (one, final_one), (two, final_two) = outcomes
    assert one.data.tobytes() == two.data.tobytes()
    assert np.array_equal(one.indices, two.indices)
    assert np.array_equal(one.indptr, two.indptr)
    assert final_one.dose_gy.tobytes() == final_two.dose_gy.tobytes()
    assert final_one.uncertainty_gy.tobytes() == final_two.uncertainty_gy.tobytes()


def test_another_seed_gives_other_noise(
    patient: Patient, target: FloatArray, make_engine: MakeEngine, make_spec: Callable[..., PlanSpec]
) -> None:
    engine, watch = make_engine(), QuietWatch()
    placement = engine.place(patient, target, make_spec(), watch)
    beams = engine.beams(placement, np.full(placement.count, 0.3))
    doses = [engine.final_dose(patient, beams, make_spec(seed=seed), watch).dose_gy for seed in (1, 2)]
    assert not np.array_equal(doses[0], doses[1])


def test_sum_of_beamlets_is_the_final_dose(
    patient: Patient, target: FloatArray, make_engine: MakeEngine, make_spec: Callable[..., PlanSpec]
) -> None:
    # Weights that differ by spot: a mixed-up order of spots or voxels would show, fractions and units too.
    spec = make_spec(primaries_per_spot=400, primaries_final=200_000)
    engine, watch = make_engine(), QuietWatch()
    placement = engine.place(patient, target, spec, watch)
    mu = 0.25 + 1.5 * (np.arange(placement.count) % 7 == 0)
    rows = np.flatnonzero(target)
    summed = np.asarray(engine.beamlets(patient, placement, rows, spec, watch) @ mu) * spec.prescription.fractions
    final = engine.final_dose(patient, engine.beams(placement, mu), spec, watch)
    dose, sigma = final.dose_gy.ravel()[rows], final.uncertainty_gy.ravel()[rows]
    assert summed.mean() == pytest.approx(dose.mean(), rel=0.01)
    # Both have noise: of the final dose sigma, of the beamlets about as much again.
    assert np.sqrt(np.mean((summed - dose) ** 2)) < 3.0 * np.sqrt(np.mean(sigma**2))
    assert np.corrcoef(summed, dose)[0, 1] > 0.9


def test_fractions_multiply_the_final_dose(
    patient: Patient, target: FloatArray, make_engine: MakeEngine, make_spec: Callable[..., PlanSpec]
) -> None:
    engine, watch, spec = make_engine(), QuietWatch(), make_spec()
    placement = engine.place(patient, target, spec, watch)
    beams = engine.beams(placement, np.full(placement.count, 0.3))
    five = spec.model_copy(update={"prescription": spec.prescription.model_copy(update={"fractions": 5})})
    once, total = (engine.final_dose(patient, beams, asked, watch) for asked in (spec, five))
    assert np.allclose(total.dose_gy, 5 * once.dose_gy, rtol=1e-6)
    assert np.allclose(total.uncertainty_gy, 5 * once.uncertainty_gy, rtol=1e-6)


def test_uncertainty_is_the_spread_of_repeated_doses(
    patient: Patient, target: FloatArray, make_engine: MakeEngine, make_spec: Callable[..., PlanSpec]
) -> None:
    engine, watch = make_engine(), QuietWatch()
    placement = engine.place(patient, target, make_spec(), watch)
    beams = engine.beams(placement, np.full(placement.count, 0.3))
    finals = [
        engine.final_dose(patient, beams, make_spec(seed=seed, primaries_final=10_000), watch) for seed in range(1, 7)
    ]
    inside = target > 0
    spread = np.sqrt(np.mean(np.var([final.dose_gy[inside] for final in finals], axis=0, ddof=1)))
    told = np.sqrt(np.mean([final.uncertainty_gy[inside] ** 2 for final in finals]))
    assert told == pytest.approx(spread, rel=0.15)


def test_blocks_hold_every_spot_once_and_in_order(
    patient: Patient, target: FloatArray, make_engine: MakeEngine, make_spec: Callable[..., PlanSpec]
) -> None:
    placed = make_engine().place(patient, target, make_spec(), QuietWatch()).beams[0]
    blocks = blocks_of(placed, 7, 100)
    assert [block.count for block in blocks[:-1]] == [SPOTS_PER_BLOCK] * (len(blocks) - 1)
    spots = [(layer.energy_mev, *xy) for block in blocks for layer in block.layers for xy in layer.xy_mm.tolist()]
    assert spots == [(layer.energy_mev, *xy) for layer in placed.layers for xy in layer.xy_mm.tolist()]
    assert len({block.seed for block in blocks}) == len(blocks)


def test_seeds_differ_by_purpose_beam_and_piece() -> None:
    seeds = {
        seed_of(seed, purpose, beam, index)
        for seed in (1, 2)
        for purpose in ("beamlets", "final dose")
        for beam in (1, 2)
        for index in range(50)
    }
    assert len(seeds) == 400
    assert all(1 <= seed < 2**31 for seed in seeds)
