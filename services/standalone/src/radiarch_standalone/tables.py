"""Tables of a plan for a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

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
    """Goals, what the plan gives, and whether they are met."""
    table = Table(title="Goals", title_justify="left")
    for name in ("structure", "goal", "achieved", ""):
        table.add_column(name, justify="right" if name == "achieved" else "left")
    for result in goals:
        goal = result["goal"]
        met = "[green]met[/]" if result["met"] else "[red]missed[/]"
        wanted = f"{goal['metric']} {goal['op']} {goal['value']:g}"
        table.add_row(str(goal["structure"]), wanted.replace("[", r"\["), f"{result['achieved']:.2f}", met)
    return table
