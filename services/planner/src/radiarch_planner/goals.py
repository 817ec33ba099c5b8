"""Goals: what a plan is judged by."""

from collections.abc import Mapping, Sequence

from radiarch_common.errors import RefusedError
from radiarch_common.plans import Goal
from radiarch_common.result import GoalResult, Verdict

from radiarch_planner.cumulative import CumulativeDose
from radiarch_planner.metrics import Metric

TOLERANCE = 1e-4
"""A goal is met to four digits: a plan that is normalised to a goal meets it, whatever the DVH's rounding."""


def metrics_asked(goals: Sequence[Goal], structure: str) -> tuple[str, ...]:
    """The metrics that goals ask of a structure, each once."""
    return tuple(dict.fromkeys(goal.metric for goal in goals if goal.structure == structure))


def judge(goals: Sequence[Goal], doses: Mapping[str, CumulativeDose]) -> tuple[GoalResult, ...]:
    """What a plan gives for each goal, in their order.

    Parameters
    ----------
    doses
        By structure name, Gy(RBE).

    Raises
    ------
    RefusedError
        If a goal names a structure that there is no dose for, or a metric that cannot be read.
    """
    return tuple(_judged(goal, doses) for goal in goals)


def _judged(goal: Goal, doses: Mapping[str, CumulativeDose]) -> GoalResult:
    dose = doses.get(goal.structure)
    if dose is None:
        names = ", ".join(sorted(doses))
        raise RefusedError(
            f"A goal names the structure '{goal.structure}', which there is no DVH of.", f"Use: {names}."
        )
    achieved = Metric.parse(goal.metric).evaluate(dose)
    verdict = verdict_on(goal, achieved)
    return GoalResult(goal=goal, achieved=achieved, met=verdict == "met", verdict=verdict)


def verdict_on(goal: Goal, achieved: float) -> Verdict:
    """Whether a plan gives what is wanted, or at least what is acceptable."""
    if _holds(goal, achieved, goal.value):
        return "met"
    return "acceptable" if goal.limit is not None and _holds(goal, achieved, goal.limit) else "missed"


def _holds(goal: Goal, achieved: float, wanted: float) -> bool:
    room = TOLERANCE * wanted
    return achieved >= wanted - room if goal.op == ">=" else achieved <= wanted + room
