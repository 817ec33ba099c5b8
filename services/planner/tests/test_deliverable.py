"""What is written can be delivered: limits, steps and normalisation of every spot."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from radiarch_common.errors import RefusedError
from radiarch_common.plans import Beam, Objective, PlanSpec, Prescription
from radiarch_common.watch import QuietWatch
from radiarch_planner.deliverable import (
    DeliverableSpots,
    SpotLimits,
    deliverable_spots,
    normalised,
    residual_percent,
)
from radiarch_planner.dose_model import DoseModel
from radiarch_planner.engines.base import PlacedBeam, PlacedLayer, Placement
from radiarch_planner.objectives import Region, terms_of
from radiarch_planner.optimum import refuse_idle_beams
from radiarch_planner.problem import Problem
from scipy.sparse import csc_matrix

FloatArray = npt.NDArray[np.float64]
ROWS = 120


def spec(minimum_mu: float = 0.02, maximum_mu: float = 250.0, normalisation: str = "D50% = 100 %") -> PlanSpec:
    return PlanSpec(
        prescription=Prescription(target="PTV", dose_gy_rbe=60, fractions=30, normalisation=normalisation),
        beams=(Beam(name="A", gantry_angle_deg=90),),
        objectives=(
            Objective(structure="PTV", kind="DUniform", dose_gy_rbe=60, weight=10),
            Objective(structure="BODY", kind="DMax", dose_gy_rbe=62, weight=1),
            Objective(structure="BODY", kind="DMean", dose_gy_rbe=0, weight=0.1),
        ),
        rbe=1.1,
        dose_grid_mm=2.5,
        spot_spacing_mm=5,
        layer_spacing_mm=5,
        target_margin_mm=5,
        minimum_spot_mu=minimum_mu,
        maximum_spot_mu=maximum_mu,
        primaries_per_spot=1000,
        primaries_final=100000,
        batches=10,
        iterations=60,
        seed=1,
    )


def problem(plan: PlanSpec) -> tuple[Problem, Region]:
    """Overlapping Gaussian spots along a line; the target is its middle third."""
    at = np.arange(ROWS)
    spots = np.exp(-(((at[:, None] - np.linspace(20, 100, 33)[None]) / 4.0) ** 2) / 2) * 1.5
    spots[spots < 0.01] = 0
    voxels = at.astype(np.int64)
    inside = {"PTV": np.zeros((ROWS, 1, 1), np.float32), "BODY": np.ones((ROWS, 1, 1), np.float32)}
    inside["PTV"][40:80] = 1
    inside["PTV"][[39, 80]] = 0.4
    model = DoseModel(csc_matrix(spots.astype(np.float32)), 33.0)
    terms = terms_of(plan.objectives, inside, voxels)
    return Problem.nominal_only(model, terms), Region.of("PTV", inside["PTV"], voxels)


def assert_deliverable(mu: FloatArray, minimum_mu: float, maximum_mu: float) -> None:
    on = mu[mu != 0]
    assert np.all(on >= minimum_mu)
    assert np.all(on <= maximum_mu)
    assert np.all(on * 1024 == np.rint(on * 1024))


@settings(max_examples=60, deadline=None)
@given(
    minimum_mu=st.floats(0.002, 0.6),
    headroom=st.floats(1.0, 50.0),
    normalisation=st.sampled_from(["none", "Mean = 100 %", "D50% = 100 %", "D95% = 95 %"]),
)
def test_every_spot_is_deliverable_whatever_the_limits(minimum_mu: float, headroom: float, normalisation: str) -> None:
    maximum_mu = minimum_mu * headroom + 0.002
    plan = spec(minimum_mu, maximum_mu, normalisation)
    asked, target = problem(plan)
    found = deliverable_spots(asked, target, plan, QuietWatch())
    assert_deliverable(found.mu, minimum_mu, maximum_mu)
    assert np.sum(found.mu == 0) == found.left_out
    on = found.mu[found.mu > 0]
    at_a_limit = np.mean((on <= minimum_mu + 0.002) | (on >= maximum_mu - 0.002))
    if at_a_limit < 0.5:
        assert abs(found.residual_percent) < 0.5


def test_small_spots_are_left_out_and_none_is_below_the_minimum() -> None:
    """Spots outside the target want next to nothing; the plan without them is still uniform."""
    plan = spec(minimum_mu=0.1)
    asked, target = problem(plan)
    found = deliverable_spots(asked, target, plan, QuietWatch())
    assert 0 < found.left_out < 25
    assert found.mu[found.mu > 0].min() >= 0.1
    dose = asked.nominal.dose_gy_rbe(found.mu)[target.rows]
    assert np.percentile(dose, 10) > 0.95 * 60
    assert np.percentile(dose, 90) < 1.05 * 60


def test_limits_that_forbid_the_dose_are_said() -> None:
    plan = spec(maximum_mu=0.05)
    asked, target = problem(plan)
    found = deliverable_spots(asked, target, plan, QuietWatch())
    assert found.residual_percent < -20
    assert np.all(found.mu[found.mu > 0] <= 0.05)


def test_minimum_above_what_any_spot_needs_is_refused() -> None:
    plan = spec(minimum_mu=9.0)
    asked, target = problem(plan)
    with pytest.raises(RefusedError, match="half the machine's minimum"):
        deliverable_spots(asked, target, plan, QuietWatch())


def test_limits_without_a_whole_step_between_them_are_refused() -> None:
    with pytest.raises(RefusedError, match="spot limits"):
        SpotLimits.of(spec(minimum_mu=0.0202, maximum_mu=0.0203))


@given(
    mu=st.lists(st.one_of(st.just(0.0), st.floats(1e-4, 300.0)), min_size=1, max_size=30),
    scale=st.floats(0.5, 2.0),
)
def test_written_spots_are_nearest_steps_within_limits(mu: list[float], scale: float) -> None:
    limits = SpotLimits.of(spec(0.0205, 250.3))
    asked = np.array(mu)
    found = limits.written(asked, scale)
    assert_deliverable(found, 0.0205, 250.3)
    assert np.all((found == 0) == (asked == 0))
    free = (asked * scale > 0.022) & (asked * scale < 250.0)
    assert np.all(np.abs(found - asked * scale)[free] <= 2.0**-11)
    np.testing.assert_array_equal(limits.written(found), found)


def test_normalisation_reaches_its_value_although_some_spots_stay_at_a_limit() -> None:
    plan = spec(minimum_mu=0.3)
    asked, target = problem(plan)
    mu = np.full(33, 0.9)
    mu[::4] = 0.3
    found = normalised(asked.nominal, target, plan.prescription, mu, SpotLimits.of(plan))
    assert found.min() >= 0.3
    assert abs(residual_percent(asked.nominal, target, plan.prescription, found)) < 0.2


def test_progress_covers_both_searches() -> None:
    plan = spec()
    watch = QuietWatch()
    deliverable_spots(*problem(plan), plan, watch)
    fractions = [fraction for fraction, _ in watch.reports]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert 0.67 <= fractions[-1] <= 1.0


def test_a_beam_that_the_optimum_leaves_empty_is_refused_by_name() -> None:
    """Fails when such a beam is written without spots, or another beam is named."""
    beams = tuple(
        PlacedBeam(
            number, Beam(name=name, gantry_angle_deg=0.0), (0.0, 0.0, 0.0), (PlacedLayer(150.0, np.zeros((2, 2))),)
        )
        for number, name in enumerate(("A", "B", "C"), 1)
    )
    placement = Placement((0.0, 0.0, 0.0), beams)

    def spots(mu: list[float]) -> DeliverableSpots:
        return DeliverableSpots(np.array(mu), (1.0,), converged=True, left_out=0, residual_percent=0.0)

    refuse_idle_beams(placement, spots([1, 0, 0, 1, 1, 1]), spec())
    with pytest.raises(RefusedError, match="no spot of beam 'B'") as refusal:
        refuse_idle_beams(placement, spots([1, 0, 0, 0, 1, 1]), spec())
    assert "each beam alone" in refusal.value.hint
