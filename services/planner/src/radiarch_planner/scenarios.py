"""What a plan is worth when the treatment differs from it: the dose of its beams in each scenario."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from radiarch_common.plans import PlanSpec
from radiarch_common.result import ResultBeam, ScenarioResult, Uncertainty
from radiarch_common.robustness import NOMINAL, Robustness, Scenario
from radiarch_common.watch import Watch, one_by_one

from radiarch_planner.dvh import Dvh
from radiarch_planner.engines.base import FloatArray
from radiarch_planner.evaluation import UNCERTAIN_PERCENT, Evaluation, structure_dvh, uncertainty_of
from radiarch_planner.goals import judge, metrics_asked
from radiarch_planner.planning import Planning


def under_scenarios(planning: Planning, beams: tuple[ResultBeam, ...], watch: Watch) -> tuple[ScenarioResult, ...]:
    """Each scenario of the plan's robustness but the nominal one; none when it has no robustness.

    Parameters
    ----------
    beams
        As they are written.
    """
    robustness = planning.spec.robustness
    if robustness is None:
        return ()
    others = robustness.scenarios()[1:]
    expected_s = planning.engine.final_seconds(beams, _spec_of_scenarios(planning, robustness))
    watches = one_by_one(watch, [f"scenario {scenario.name}" for scenario in others], expected_s)
    return tuple(
        _under(planning, beams, robustness, scenario, part) for scenario, part in zip(others, watches, strict=True)
    )


def with_nominal(
    planning: Planning,
    worth: Evaluation,
    uncertainty: Uncertainty,
    others: tuple[ScenarioResult, ...],
    robust_costs: Mapping[str, float],
) -> tuple[ScenarioResult, ...]:
    """All scenarios, the nominal one first, from the final dose; none when the plan has no robustness.

    Parameters
    ----------
    robust_costs
        Of the optimum, by the name of the scenario.
    """
    if planning.spec.robustness is None:
        return ()
    names = _structures_of(planning)
    metrics = {dvh.curve.structure: dvh.curve.metrics for dvh in worth.dvh if dvh.curve.structure in names}
    nominal = ScenarioResult(
        scenario=NOMINAL, metrics=metrics, goals=worth.goals, uncertainty_percent=uncertainty.percent
    )
    return tuple(
        each.model_copy(update={"robust_cost": robust_costs.get(each.scenario.name)}) for each in (nominal, *others)
    )


def warnings_of_scenarios(others: tuple[ScenarioResult, ...]) -> tuple[str, ...]:
    """A warning when scenarios are too noisy to be compared."""
    noisy = max((each.uncertainty_percent for each in others), default=0.0)
    if noisy <= UNCERTAIN_PERCENT:
        return ()
    return (
        f"The statistical uncertainty of the scenarios' doses is up to {noisy:.1f} % (1 sigma): doses such as D95% or "
        "D2% are widened by noise there. Ask for more primaries_per_scenario.",
    )


def warnings_of_margin(spec: PlanSpec) -> tuple[str, ...]:
    """A warning when the target may be shifted to where no spots were placed, and the plan shall withstand that."""
    robust = spec.robustness
    if robust is None or robust.optimise == "nominal" or max(robust.setup_mm) <= spec.target_margin_mm:
        return ()
    return (
        f"Spots are placed up to {spec.target_margin_mm:g} mm outside the target, and a setup error of "
        f"{max(robust.setup_mm):g} mm is to be withstood: where the target is shifted beyond the spots only their "
        f"penumbra reaches it. Ask for a target_margin_mm of at least {max(robust.setup_mm):g}.",
    )


def share_of_final(planning: Planning) -> float:
    """Share of the simulated protons of the final doses that the nominal one has."""
    spec = planning.spec
    if spec.robustness is None:
        return 1.0
    others = (len(spec.robustness.scenarios()) - 1) * spec.robustness.primaries_per_scenario
    return spec.primaries_final / (spec.primaries_final + others)


def _under(
    planning: Planning, beams: tuple[ResultBeam, ...], robustness: Robustness, scenario: Scenario, watch: Watch
) -> ScenarioResult:
    spec = _spec_of_scenarios(planning, robustness)
    dose = planning.engine.final_dose(planning.patient, beams, spec, watch, scenario)
    dose = replace(dose, dose_gy=dose.dose_gy * planning.body, uncertainty_gy=dose.uncertainty_gy * planning.body)
    with watch.timed("evaluation"):
        dvhs = _dvhs(planning, dose.dose_gy * np.float32(spec.rbe))
    name = spec.prescription.target
    uncertainty = uncertainty_of(dose.dose_gy, dose.uncertainty_gy, planning.target, name, dose.batches)
    return ScenarioResult(
        scenario=scenario,
        metrics={dvh.curve.structure: dvh.curve.metrics for dvh in dvhs},
        goals=judge(spec.goals, {dvh.curve.structure: dvh.cumulative for dvh in dvhs}),
        uncertainty_percent=uncertainty.percent,
    )


def _spec_of_scenarios(planning: Planning, robustness: Robustness) -> PlanSpec:
    changes = {"primaries_final": robustness.primaries_per_scenario, "uncertainty_percent": None, "let_map": False}
    return planning.spec.model_copy(update=changes)


def _structures_of(planning: Planning) -> list[str]:
    spec = planning.spec
    return list(dict.fromkeys([spec.prescription.target, *(goal.structure for goal in spec.goals)]))


def _dvhs(planning: Planning, dose_gy_rbe: FloatArray) -> list[Dvh]:
    case, contours = planning.case, planning.case.contours()
    found: list[Dvh] = []
    for name in _structures_of(planning):
        structure = case.manifest.structure(name)
        drawn, asked = contours.get(structure.number, []), metrics_asked(planning.spec.goals, name)
        found.append(structure_dvh(case, structure, drawn, dose_gy_rbe, planning.patient.grid, asked))
    return found
