"""Tables of a plan for a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

COLOURS = {"met": "green", "acceptable": "yellow", "missed": "red"}
COLUMNS = ("D98%[Gy]", "D95%[Gy]", "D50%[Gy]", "D2%[Gy]", "Mean[Gy]", "Max[Gy]")


def dvh_table(curves: Sequence[dict[str, Any]]) -> Table:
    """DVH metrics, a row for each structure; Gy means Gy(RBE)."""
    table = Table(title="Dose by structure, Gy(RBE), all fractions", title_justify="left")
    table.add_column("structure")
    table.add_column("cm³", justify="right")
    for name in COLUMNS:
        table.add_column(name.replace("[Gy]", ""), justify="right")
    for curve in curves:
        metrics = curve["metrics"]
        table.add_row(
            str(curve["structure"]),
            f"{curve['volume_cc']:.1f}",
            *(f"{metrics[name]:.2f}" if name in metrics else "" for name in COLUMNS),
        )
    return table


def goals_table(goals: Sequence[dict[str, Any]]) -> Table:
    """Goals by priority, what the plan gives, and whether they are met, or at least within their limit."""
    table = Table(title="Goals", title_justify="left")
    for name in ("priority", "structure", "goal", "limit", "achieved", ""):
        table.add_column(name, justify="right" if name == "achieved" else "left")
    for result in sorted(goals, key=lambda result: int(result["goal"]["priority"])):
        goal, verdict = result["goal"], str(result["verdict"])
        wanted = f"{goal['metric']} {goal['op']} {goal['value']:g}"
        table.add_row(
            str(goal["priority"]),
            str(goal["structure"]),
            wanted.replace("[", r"\["),
            "" if goal["limit"] is None else f"{goal['limit']:g}",
            f"{result['achieved']:.2f}",
            f"[{COLOURS[verdict]}]{verdict}[/]",
        )
    return table
