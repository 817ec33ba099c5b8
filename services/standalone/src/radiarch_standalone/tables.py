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


def beams_table(beams: Sequence[dict[str, Any]]) -> Table:
    """Beams, a row for each, per fraction; no time where the machine gives none."""
    table = Table(title="Beams, per fraction", title_justify="left")
    for name in ("beam", "range shifter", "layers", "spots", "MeV", "range in water, mm", "MU", "s"):
        table.add_column(name, justify="left" if name in ("beam", "range shifter") else "right")
    for beam in beams:
        table.add_row(
            str(beam["name"]),
            beam["range_shifter"] or "none",
            str(beam["layers"]),
            str(beam["spots"]),
            f"{beam['lowest_energy_mev']:.1f} to {beam['highest_energy_mev']:.1f}",
            f"{beam['shallowest_range_mm']:.0f} to {beam['deepest_range_mm']:.0f}",
            f"{beam['meterset_mu']:.1f}",
            "" if beam["delivery_s"] is None else f"{beam['delivery_s']:.0f}",
        )
    return table


def indices_line(indices: dict[str, Any]) -> str:
    """The indices of a plan that are defined, in one line."""
    names = {
        "homogeneity": "homogeneity (ICRU 83)",
        "conformity": "conformity (Paddick)",
        "conformity_95": "at 95 % of the prescription",
        "gradient": "gradient",
    }
    found = (f"{words} {indices[name]:.3f}" for name, words in names.items() if indices.get(name) is not None)
    return "Indices: " + ", ".join(found)


def goals_table(goals: Sequence[dict[str, Any]], worst: Sequence[dict[str, Any] | None] = ()) -> Table:
    """Goals by priority, what the plan gives, and whether they are met, or at least within their limit.

    Parameters
    ----------
    worst
        The worst scenario of each goal, in the order of ``goals``; empty for a plan without scenarios.
    """
    table = Table(title="Goals", title_justify="left")
    for name in ("priority", "structure", "goal", "limit", "achieved", "", *(("worst scenario",) if worst else ())):
        table.add_column(name, justify="right" if name == "achieved" else "left")
    rows = zip(goals, worst or [None] * len(goals), strict=True)
    for result, hardest in sorted(rows, key=lambda row: int(row[0]["goal"]["priority"])):
        goal, verdict = result["goal"], str(result["verdict"])
        wanted = f"{goal['metric']} {goal['op']} {goal['value']:g}"
        table.add_row(
            str(goal["priority"]),
            str(goal["structure"]),
            wanted.replace("[", r"\["),
            "" if goal["limit"] is None else f"{goal['limit']:g}",
            f"{result['achieved']:.2f}",
            f"[{COLOURS[verdict]}]{verdict}[/]",
            *((_worst(hardest),) if worst else ()),
        )
    return table


def _worst(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    return f"[{COLOURS[found['verdict']]}]{found['achieved']:.2f}[/] {found['scenario']}"
