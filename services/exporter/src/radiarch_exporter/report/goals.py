"""The goals of a plan as a table of a report."""

from radiarch_common.plans import Goal
from radiarch_common.result import ResultManifest
from radiarch_common.worst import WorstGoal, worst_goals

from radiarch_exporter.report.content import DASH, Column, Table

_SIGNS = {">=": "≥", "<=": "≤"}


def goals_table(result: ResultManifest) -> Table:
    """Goals by priority: what is wanted, what is acceptable, what the plan gives, and what its worst scenario does."""
    robust = bool(result.scenarios)
    columns = (
        Column("Priority", 1.1, number=True),
        Column("Structure", 2.0),
        Column("Goal", 2.6),
        Column("Acceptable", 1.5),
        Column("Achieved", 1.3, number=True),
        Column("Verdict", 1.5),
        *((Column("Worst", 1.0, number=True), Column("in scenario", 2.3), Column("Verdict", 1.5)) if robust else ()),
    )
    goals = sorted(result.goals, key=lambda found: found.goal.priority)
    rows = tuple(
        (
            str(found.goal.priority),
            found.goal.structure,
            goal_text(found.goal),
            "" if found.goal.limit is None else f"{_SIGNS[found.goal.op]} {found.goal.limit:g}",
            amount(found.achieved),
            found.verdict,
            *(_worst(worst) if robust else ()),
        )
        for found, worst in zip(goals, worst_goals(goals, result.scenarios), strict=True)
    )
    return Table(columns, rows)


def goal_text(goal: Goal) -> str:
    """What is wanted, such as ``D95%[Gy] ≥ 47.5``."""
    return f"{goal.metric} {_SIGNS[goal.op]} {goal.value:g}"


def amount(value: float) -> str:
    """A dose, a share or a volume with as many digits as can be read: 9.87, 52.40, 987.6, 1234."""
    return f"{value:.{2 if value < 100 else 1 if value < 1000 else 0}f}"


def _worst(worst: WorstGoal | None) -> tuple[str, str, str]:
    return (DASH, "", "") if worst is None else (amount(worst.achieved), worst.scenario, worst.verdict)
