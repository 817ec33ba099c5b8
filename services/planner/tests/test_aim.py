"""The final dose goes on until it is certain enough, never beyond its protons, and says when they were too few."""

from typing import Any

import numpy as np
import pytest
from radiarch_common.plans import Beam, Objective, PlanSpec, Prescription
from radiarch_common.result import Uncertainty
from radiarch_planner.aim import ROUNDS, Aim, first_round, warnings_of_aim
from radiarch_planner.engines.base import FinalDose

SHAPE = (1, 2, 3)
TARGET = np.array([[[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]], dtype=np.float32)
BODY = np.array([[[1, 1, 1], [1, 1, 0]]], dtype=bool)


def spec(**changes: Any) -> PlanSpec:  # noqa: ANN401 - any field of a PlanSpec
    values: dict[str, Any] = {
        "prescription": Prescription(target="PTV", dose_gy_rbe=2.0, fractions=1, normalisation="none"),
        "beams": (Beam(name="Front", gantry_angle_deg=0.0),),
        "objectives": (Objective(structure="PTV", kind="DUniform", dose_gy_rbe=2.0),),
        "rbe": 1.1,
        "dose_grid_mm": 4.0,
        "spot_spacing_mm": 6.0,
        "layer_spacing_mm": 6.0,
        "target_margin_mm": 5.0,
        "minimum_spot_mu": 0.02,
        "maximum_spot_mu": 20.0,
        "primaries_per_spot": 100,
        "primaries_final": 800_000,
        "batches": 10,
        "iterations": 10,
        "seed": 7,
        "uncertainty_percent": 1.0,
    }
    return PlanSpec(**{**values, **changes})


def simulated(aim: Aim, percent_of_one_batch: float) -> list[int]:
    """Batches after each round of an engine whose uncertainty falls as one over the square root of its batches."""
    done, more, course = 0, 10, []
    while more:
        done += more
        course.append(done)
        dose = np.full(SHAPE, 2.0, dtype=np.float32)
        dose[0, 1, 2] = 1000.0  # air outside BODY, hot by a few protons: nothing of it counts
        error = dose * np.float32(percent_of_one_batch / 100.0 / done**0.5)
        more = aim.more(FinalDose(dose, error, done, done * 10_000))
    return course


def test_rounds_reach_the_aim_and_stop() -> None:
    """Fails when a round too many is simulated, or the last one falls short: 10 batches have 2 %, 40 have 1 %."""
    aim = Aim.of(spec(), TARGET, BODY)
    assert aim is not None
    assert simulated(aim, 2.0 * 10**0.5) == [10, 42]


def test_a_first_round_that_is_certain_enough_is_the_last() -> None:
    aim = Aim.of(spec(), TARGET, BODY)
    assert aim is not None
    assert simulated(aim, 0.9 * 10**0.5) == [10]


def test_no_more_protons_than_the_plan_may_use() -> None:
    """Fails when an aim out of reach goes on beyond ``primaries_final``, or stops before."""
    asked = spec(uncertainty_percent=0.2)
    aim = Aim.of(asked, TARGET, BODY)
    assert aim is not None
    (first, last) = simulated(aim, 20.0)
    assert first == 10
    assert last == ROUNDS * 10
    assert last * first_round(asked).primaries_final // 10 == asked.primaries_final


@pytest.mark.parametrize("primaries", [10_000, 12_345, 1_000_001])
def test_batches_of_all_rounds_hold_the_protons_of_the_plan(primaries: int) -> None:
    """The size of a batch depends on the request alone, and rounding it up loses no proton and adds few."""
    asked = spec(primaries_final=primaries, batches=13)
    whole = ROUNDS * first_round(asked).primaries_final
    assert primaries <= whole < primaries + ROUNDS * 13


def test_without_an_aim_nothing_changes() -> None:
    assert Aim.of(spec(uncertainty_percent=None), TARGET, BODY) is None


def test_an_aim_that_was_missed_is_said_with_what_it_would_take() -> None:
    """Fails when the warning is missing, or its number is not the square of what the uncertainty lacks."""
    missed = Uncertainty(percent=2.0, voxels="voxels of 'PTV'", batches=80)
    (warning,) = warnings_of_aim(spec(), missed, 800_000)
    assert "1 % was asked for and 2.00 % reached" in warning
    assert "800,000 protons" in warning
    assert "3,360,000" in warning
    assert warnings_of_aim(spec(), missed.model_copy(update={"percent": 1.0}), 800_000) == ()
    assert warnings_of_aim(spec(uncertainty_percent=None), missed, 800_000) == ()
