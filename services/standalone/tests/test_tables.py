"""Tables for a terminal: what must not be lost between the plan and the reader."""

from io import StringIO

from radiarch_client.models import GoalResult, WorstGoal
from radiarch_standalone.tables import goals_table
from rich.console import Console
from rich.table import Table


def goal(structure: str, op: str, priority: int, achieved: float, verdict: str) -> GoalResult:
    terms = {"structure": structure, "metric": "D95%[Gy]", "op": op, "value": 50.0, "limit": None, "priority": priority}
    return GoalResult.model_validate({"goal": terms, "achieved": achieved, "met": verdict == "met", "verdict": verdict})


GOALS = [goal("Core", "<=", 2, 21.0, "met"), goal("PTV", ">=", 1, 50.5, "met")]


def told(table: Table) -> list[str]:
    out = StringIO()
    Console(width=140, file=out).print(table)
    return out.getvalue().splitlines()


def test_each_goal_keeps_its_own_worst_scenario() -> None:
    """Fails when the goals are sorted by priority and their scenarios are not."""
    worst = [None, WorstGoal(scenario="setup y -4 mm", achieved=46.1, verdict="missed")]
    lines = told(goals_table(GOALS, worst))
    assert any("worst scenario" in line for line in lines)
    assert "46.10 setup y -4 mm" in next(line for line in lines if "PTV" in line)
    assert "setup" not in next(line for line in lines if "Core" in line)


def test_a_nominal_plan_has_no_such_column() -> None:
    assert not any("worst" in line for line in told(goals_table(GOALS)))
