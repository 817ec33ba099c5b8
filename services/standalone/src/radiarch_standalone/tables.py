"""A plan's numbers for a terminal."""

from collections.abc import Sequence

from radiarch_client.models import BeamStatistics, GoalResult, PlanIndices, PlanView, StructureMetrics, WorstGoal
from rich.console import Console
from rich.markup import escape
from rich.table import Table

COLOURS = {"met": "green", "acceptable": "yellow", "missed": "red"}
COLUMNS = ("D98%[Gy]", "D95%[Gy]", "D50%[Gy]", "D2%[Gy]", "Mean[Gy]", "Max[Gy]")


def tell(plan: PlanView, console: Console) -> None:
    """Everything a plan is worth: doses, goals, beams, indices, uncertainty, warnings, and what it took."""
    if plan.outcome_missing is not None:
        console.print(f"[yellow]Its numbers cannot be shown now:[/] {escape(plan.outcome_missing)}")
    else:
        console.print(dvh_table(plan.dvh))
        console.print(goals_table(plan.goals, plan.worst_goals))
        console.print(beams_table(plan.beams))
    if plan.indices is not None:
        console.print(indices_line(plan.indices))
    if plan.uncertainty is not None:
        percent, voxels = plan.uncertainty.percent, plan.uncertainty.voxels
        console.print(f"Statistical uncertainty {percent:.1f} % (1 sigma; {escape(voxels)}).")
    for warning in plan.warnings:
        console.print(f"[yellow]Warning:[/] {escape(warning)}")
    for stage, parts in plan.job.timings.items():
        console.print(f"  {stage}: " + ", ".join(f"{part} {seconds:.1f} s" for part, seconds in parts.items()))


def dvh_table(curves: Sequence[StructureMetrics]) -> Table:
    """DVH metrics, a row for each structure; Gy means Gy(RBE)."""
    table = Table(title="Dose by structure, Gy(RBE), all fractions", title_justify="left")
    table.add_column("structure")
    table.add_column("cm³", justify="right")
    for name in COLUMNS:
        table.add_column(name.replace("[Gy]", ""), justify="right")
    for curve in curves:
        metrics = curve.metrics
        table.add_row(
            escape(curve.structure),
            f"{curve.volume_cc:.1f}",
            *(f"{metrics[name]:.2f}" if name in metrics else "" for name in COLUMNS),
        )
    return table


def beams_table(beams: Sequence[BeamStatistics]) -> Table:
    """Beams, a row for each, per fraction; no time where the machine gives none."""
    table = Table(title="Beams, per fraction", title_justify="left")
    for name in ("beam", "range shifter", "layers", "spots", "MeV", "range in water, mm", "MU", "s"):
        table.add_column(name, justify="left" if name in ("beam", "range shifter") else "right")
    for beam in beams:
        table.add_row(
            escape(beam.name),
            beam.range_shifter or "none",
            str(beam.layers),
            str(beam.spots),
            f"{beam.lowest_energy_mev:.1f} to {beam.highest_energy_mev:.1f}",
            f"{beam.shallowest_range_mm:.0f} to {beam.deepest_range_mm:.0f}",
            f"{beam.meterset_mu:.1f}",
            "" if beam.delivery_s is None else f"{beam.delivery_s:.0f}",
        )
    return table


def indices_line(indices: PlanIndices) -> str:
    """The indices of a plan that are defined, in one line."""
    named = {
        "homogeneity (ICRU 83)": indices.homogeneity,
        "conformity (Paddick)": indices.conformity,
        "at 95 % of the prescription": indices.conformity_95,
        "gradient": indices.gradient,
    }
    return "Indices: " + ", ".join(f"{words} {value:.3f}" for words, value in named.items() if value is not None)


def goals_table(goals: Sequence[GoalResult], worst: Sequence[WorstGoal | None] = ()) -> Table:
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
    for result, hardest in sorted(rows, key=lambda row: row[0].goal.priority):
        goal = result.goal
        verdict = result.verdict or ("met" if result.met else "missed")
        table.add_row(
            str(goal.priority),
            escape(goal.structure),
            escape(f"{goal.metric} {goal.op} {goal.value:g}"),
            "" if goal.limit is None else f"{goal.limit:g}",
            f"{result.achieved:.2f}",
            f"[{COLOURS[verdict]}]{verdict}[/]",
            *((_worst(hardest),) if worst else ()),
        )
    return table


def _worst(found: WorstGoal | None) -> str:
    if found is None:
        return ""
    return f"[{COLOURS[found.verdict]}]{found.achieved:.2f}[/] {escape(found.scenario)}"
