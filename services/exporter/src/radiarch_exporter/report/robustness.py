"""What a plan is worth when the treatment differs from it: tables of a report."""

from radiarch_common.result import GoalResult, ResultManifest, ScenarioResult
from radiarch_common.robustness import Scenario
from radiarch_common.worst import worst_goals

from radiarch_exporter.report.content import DASH, Column, Section, Table
from radiarch_exporter.report.goals import amount, goal_text

_LOW_IS_WORSE = ("D98%[Gy]", "D95%[Gy]")
_HIGH_IS_WORSE = ("D2%[Gy]", "Max[Gy]")
_MIDDLE = ("D50%[Gy]",)
_SHOWN = (*_LOW_IS_WORSE, *_MIDDLE, *_HIGH_IS_WORSE)
_FIRST_METRIC = 3


def robustness_sections(result: ResultManifest) -> tuple[Section, ...]:
    """The scenarios with the target's doses, then each goal in each of them; nothing when there are none."""
    if not result.scenarios:
        return ()
    target = result.resolved.spec.prescription.target
    notes = (
        f"Doses of {target} in Gy(RBE). Bold: the worst scenario for a metric (lowest D98% and D95%, highest D2% and "
        "maximum).",
        "Shift: how far the isocentre lies from where it was planned in the patient (LPS). Density: by how much every "
        "mass density differs from what the CT calibration says. Uncertainty: 1 sigma, of the scenario's own dose.",
    )
    scenarios = Section("Robustness", lines=_summary(result), table=scenarios_table(result), notes=notes)
    if not result.goals:
        return (scenarios,)
    key = "Shifts in mm, density (dens.) in %. Bold: the worst scenario for a goal, where the scenarios differ."
    return (scenarios, Section("Goals in each scenario", table=goals_by_scenario(result), notes=(key,)))


def scenarios_table(result: ResultManifest) -> Table:
    """Each scenario, and the doses of the target in it."""
    target = result.resolved.spec.prescription.target
    columns = (
        Column("Scenario", 2.4),
        Column("Shift x, y, z / mm", 2.0, number=True),
        Column("Density", 1.1, number=True),
        *(Column(name.removesuffix("[Gy]"), 1.0, number=True) for name in _SHOWN),
        Column("Uncertainty", 1.5, number=True),
    )
    found = [scenario.metrics.get(target, {}) for scenario in result.scenarios]
    rows = tuple(
        (
            own.scenario.name,
            ", ".join(f"{shift:g}" for shift in own.scenario.setup_mm),
            f"{own.scenario.range_percent:+g} %" if own.scenario.range_percent else "0 %",
            *(f"{metrics[name]:.2f}" if name in metrics else DASH for name in _SHOWN),
            f"{own.uncertainty_percent:.1f} %",
        )
        for own, metrics in zip(result.scenarios, found, strict=True)
    )
    return Table(columns, rows, _worst_cells(found))


def _worst_cells(found: list[dict[str, float]]) -> frozenset[tuple[int, int]]:
    marked: set[tuple[int, int]] = set()
    for names, worst in ((_LOW_IS_WORSE, min), (_HIGH_IS_WORSE, max)):
        for name in names:
            values = [metrics[name] for metrics in found if name in metrics]
            if len(set(values)) > 1:
                row = next(k for k, metrics in enumerate(found) if metrics.get(name) == worst(values))
                marked.add((row, _FIRST_METRIC + _SHOWN.index(name)))
    return frozenset(marked)


def goals_by_scenario(result: ResultManifest) -> Table:
    """What each scenario gives for each goal."""
    goals = sorted(result.goals, key=lambda found: found.goal.priority)
    columns = (
        Column("Goal", 3.6),
        *(Column(scenario_label(own.scenario), 1.0, number=True) for own in result.scenarios),
    )
    rows = tuple(
        (f"{found.goal.structure} {goal_text(found.goal)}", *(_achieved(found, own) for own in result.scenarios))
        for found in goals
    )
    places = {own.scenario.name: k for k, own in enumerate(result.scenarios, start=1)}
    worst = worst_goals(goals, result.scenarios)
    marked = {(r, places[w.scenario]) for r, w in enumerate(worst) if w is not None and len(set(rows[r][1:])) > 1}
    return Table(columns, rows, frozenset(marked))


def _achieved(found: GoalResult, scenario: ScenarioResult) -> str:
    own = next((own for own in scenario.goals if own.goal == found.goal), None)
    return DASH if own is None else amount(own.achieved)


def scenario_label(scenario: Scenario) -> str:
    """A scenario in a few characters, such as ``x +5`` or ``dens. -3.5``."""
    shifts = [f"{axis} {size:+g}" for axis, size in zip("xyz", scenario.setup_mm, strict=True) if size]
    density = [f"dens. {scenario.range_percent:+g}"] if scenario.range_percent else []
    return " ".join([*shifts, *density]) or scenario.name


def _summary(result: ResultManifest) -> tuple[str, ...]:
    asked = result.resolved.spec.robustness
    if asked is None:
        return ()
    x, y, z = asked.setup_mm
    optimised = {
        "worst case": "Robust objectives looked at the worst case of the scenarios.",
        "expected value": "Robust objectives looked at the expected value over the scenarios.",
        "nominal": "The plan was optimised for the nominal scenario alone.",
    }[asked.optimise]
    return (
        f"Errors of setup of {x:g}, {y:g} and {z:g} mm along x, y and z, and of {asked.range_percent:g} % in density, "
        f"one at a time. {optimised}",
    )
