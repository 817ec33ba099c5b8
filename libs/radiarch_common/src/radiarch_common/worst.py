"""The scenario in which a plan is worth least, goal by goal and metric by metric."""

from collections.abc import Sequence

from radiarch_common.base import Model
from radiarch_common.result import GoalResult, ScenarioResult, Verdict


class WorstGoal(Model):
    """What is left of a goal in the scenario that is hardest on it."""

    scenario: str
    achieved: float
    verdict: Verdict


def worst_goals(goals: Sequence[GoalResult], scenarios: Sequence[ScenarioResult]) -> tuple[WorstGoal | None, ...]:
    """For each goal the scenario with the lowest value where much is wanted, the highest where little is.

    Of scenarios that are equally hard the first counts: the nominal one, when the errors change nothing. ``None``
    for a goal that no scenario was judged by.
    """
    return tuple(_worst(goal, scenarios) for goal in goals)


def _worst(goal: GoalResult, scenarios: Sequence[ScenarioResult]) -> WorstGoal | None:
    found = [(s.scenario.name, own) for s in scenarios for own in s.goals if own.goal == goal.goal]
    if not found:
        return None
    sign = 1.0 if goal.goal.op == ">=" else -1.0
    name, worst = min(found, key=lambda pair: sign * pair[1].achieved)
    return WorstGoal(scenario=name, achieved=worst.achieved, verdict=worst.verdict)
