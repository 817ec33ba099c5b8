"""Metrics and goals: what their grammar says is what is measured."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from radiarch_common.errors import RefusedError
from radiarch_common.plans import Goal, Prescription
from radiarch_common.result import GoalResult
from radiarch_planner.cumulative import CumulativeDose
from radiarch_planner.goals import judge, metrics_asked
from radiarch_planner.metrics import DEFAULT_METRICS, Metric
from radiarch_planner.normalise import scale_for

# 100 voxels of 0.1 cc with 0.5, 1.5, ... 99.5 Gy: the hottest n cc begin at 100 - 10 n.
RAMP = CumulativeDose.of_voxels(np.arange(100) + 0.5, np.full(100, 0.1))


@pytest.mark.parametrize(
    ("text", "expected", "tolerance"),
    [
        ("D95%[Gy]", 5.0, 0.6),
        ("D2%[Gy]", 98.0, 0.6),
        ("D0.1cc[Gy]", 99.0, 0.6),
        ("D2.5cc[Gy]", 75.0, 0.6),
        ("V20Gy[%]", 80.0, 0.1),
        ("V50Gy[cc]", 5.0, 0.01),
        ("V0Gy[%]", 100.0, 1e-9),
        ("V120Gy[cc]", 0.0, 1e-9),
        ("Mean[Gy]", 50.0, 1e-6),
        ("Max[Gy]", 99.5, 0.01),
        ("Min[Gy]", 0.5, 0.01),
        ("D100%[Gy]", 0.5, 0.01),
        # The coldest 95 % end where the hottest 5 % begin; the coldest 2 cc are those of 0.5 to 19.5 Gy.
        ("DC95%[Gy]", 95.0, 0.6),
        ("DC2cc[Gy]", 20.0, 0.6),
        ("DC30cc[Gy]", 99.5, 0.01),
        ("CV10Gy[%]", 10.0, 0.1),
        ("CV10Gy[cc]", 1.0, 0.01),
        ("CV0Gy[%]", 0.0, 1e-9),
        ("CV120Gy[cc]", 10.0, 1e-9),
    ],
)
def test_what_a_metric_means(text: str, expected: float, tolerance: float) -> None:
    assert Metric.parse(text).evaluate(RAMP) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "D95[Gy]",
        "D95%",
        "V20%[Gy]",
        "Median[Gy]",
        "D1.2.3%[Gy]",
        "d95%[Gy]",
        "D101%[Gy]",
        "DC101%[Gy]",
        "VC10Gy[%]",
    ],
)
def test_what_is_no_metric_is_refused(text: str) -> None:
    with pytest.raises(RefusedError):
        Metric.parse(text)


def test_every_default_metric_can_be_read() -> None:
    assert [Metric.parse(text).text for text in DEFAULT_METRICS] == list(DEFAULT_METRICS)


@given(st.lists(st.tuples(st.floats(0, 140, width=32), st.floats(0.01, 1)), min_size=1, max_size=50))
def test_dose_falls_with_volume_and_stays_between_the_extremes(voxels: list[tuple[float, float]]) -> None:
    dose, volume = np.array(voxels).T
    cumulative = CumulativeDose.of_voxels(dose, volume)
    values = [cumulative.dose_at_cc(share * cumulative.volume_cc) for share in np.linspace(0, 1, 21)]
    assert all(a >= b for a, b in pairwise(values))
    assert values[0] == pytest.approx(dose.max(), abs=1e-3 * max(dose.max(), 1e-3))
    assert values[-1] == pytest.approx(dose.min(), abs=1e-3 * max(dose.max(), 1e-3))
    assert cumulative.mean_gy_rbe == pytest.approx(float(np.average(dose, weights=volume)), rel=1e-9, abs=1e-12)


def goal(metric: str, op: str, value: float, structure: str = "PTV") -> Goal:
    return Goal.model_validate({"structure": structure, "metric": metric, "op": op, "value": value})


def test_goals_are_judged_in_their_order() -> None:
    goals = [goal("V20Gy[%]", "<=", 79.0), goal("V20Gy[%]", "<=", 81.0), goal("Mean[Gy]", ">=", 49.9)]
    found = judge(goals, {"PTV": RAMP})
    assert [g.met for g in found] == [False, True, True]
    assert found[0].achieved == pytest.approx(80.0, abs=0.1)
    assert [g.goal for g in found] == goals


@pytest.mark.parametrize(
    ("op", "value", "limit", "verdict"),
    [
        (">=", 79.0, None, "met"),
        (">=", 81.0, None, "missed"),
        (">=", 85.0, 79.0, "acceptable"),
        (">=", 85.0, 81.0, "missed"),
        (">=", 79.0, 70.0, "met"),
        ("<=", 75.0, 81.0, "acceptable"),
        ("<=", 75.0, 79.0, "missed"),
        ("<=", 81.0, 90.0, "met"),
    ],
)
def test_a_goal_is_met_acceptable_or_missed(op: str, value: float, limit: float | None, verdict: str) -> None:
    """V20Gy is 80 %: what is acceptable is not met."""
    asked = goal("V20Gy[%]", op, value).model_copy(update={"limit": limit, "priority": 3})
    [found] = judge([asked], {"PTV": RAMP})
    assert (found.verdict, found.met) == (verdict, verdict == "met")
    assert found.goal == asked


@pytest.mark.parametrize(("op", "limit"), [(">=", 51.0), ("<=", 49.0)])
def test_a_limit_stricter_than_the_goal_is_refused(op: str, limit: float) -> None:
    with pytest.raises(ValidationError, match="limit"):
        Goal.model_validate({"structure": "PTV", "metric": "Mean[Gy]", "op": op, "value": 50.0, "limit": limit})


def test_a_result_from_before_there_were_limits_is_read() -> None:
    """Its verdict follows from what it does say."""
    old = {"structure": "PTV", "metric": "Mean[Gy]", "op": ">=", "value": 50.0}
    for met, verdict in ((True, "met"), (False, "missed")):
        assert GoalResult.model_validate({"goal": old, "achieved": 1.0, "met": met}).verdict == verdict


def test_goal_of_a_structure_without_dvh_is_refused() -> None:
    with pytest.raises(RefusedError, match="Rectum"):
        judge([goal("Mean[Gy]", "<=", 1.0, "Rectum")], {"PTV": RAMP})


def test_metrics_are_asked_once() -> None:
    goals = [goal("V20Gy[%]", "<=", 79.0), goal("V20Gy[%]", "<=", 81.0), goal("Max[Gy]", "<=", 1.0, "Cord")]
    assert metrics_asked(goals, "PTV") == ("V20Gy[%]",)


@pytest.mark.parametrize(
    ("normalisation", "expected"),
    [("D50% = 100 %", 60 / 50), ("Mean = 98 %", 0.98 * 60 / 50), ("D5% = 107 %", 1.07 * 60 / 95), ("none", 1.0)],
)
def test_normalisation(normalisation: str, expected: float) -> None:
    prescription = Prescription(target="PTV", dose_gy_rbe=60, fractions=30, normalisation=normalisation)
    assert scale_for(prescription, RAMP) == pytest.approx(expected, rel=0.011)


def test_target_without_dose_cannot_be_normalised() -> None:
    """No factor makes a dose of nothing: the plan is refused, not divided by zero."""
    prescription = Prescription(target="PTV", dose_gy_rbe=60, fractions=30, normalisation="D50% = 100 %")
    with pytest.raises(RefusedError, match="no dose to normalise"):
        scale_for(prescription, CumulativeDose.of_voxels(np.zeros(4), np.ones(4)))
