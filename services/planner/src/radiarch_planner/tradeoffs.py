"""Why a goal is missed: what stood against it where the optimiser ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from radiarch_common.plans import Goal, Objective, PlanSpec
from radiarch_common.result import GoalResult, Uncertainty

from radiarch_planner.deliverable import STEP_MU
from radiarch_planner.dose_model import FloatArray
from radiarch_planner.metrics import Metric
from radiarch_planner.objectives import Region, ShareArray
from radiarch_planner.problem import Problem, Pull

_NAMED = 3
"""So many objectives are named, the strongest first."""
_NAMED_FROM = 0.05
"""Objectives with less of the pull are not named."""
_MANY_AT_LIMIT = 0.2


@dataclass(frozen=True)
class Optimised:
    """Where the optimiser ended: for all beams, or for one of them."""

    problem: Problem
    mu: FloatArray


@dataclass(frozen=True)
class Against:
    """What stands against a goal.

    Attributes
    ----------
    asked
        Whether an objective looks at the goal's structure.
    short
        Whether the beamlets of the optimised spots have voxels on the wrong side of the goal's dose at all.
    objectives
        Those that would grow if these voxels came nearer to the goal, the strongest first, with their share of the
        remaining cost.
    """

    asked: bool
    short: bool = False
    objectives: tuple[tuple[Objective, float], ...] = ()


@dataclass(frozen=True)
class Standing:
    """What stands against each goal, in the order of the goals, and what held the optimiser back in general."""

    against: tuple[Against, ...] = ()
    held_back: tuple[str, ...] = ()


def standing_against(
    found: Sequence[Optimised],
    spec: PlanSpec,
    inside: Mapping[str, ShareArray],
    rows: npt.NDArray[np.int64],
    converged: bool,
) -> Standing:
    """What stands against each goal at the optimum.

    Parameters
    ----------
    inside
        Share of each voxel inside, by structure.
    rows
        Which voxel each row of the nominal models is.
    """
    parts = [_Part.of(each) for each in found]
    asked = {objective.structure for objective in spec.objectives}
    regions = {
        name: Region.of(name, inside[name], rows)
        for name in dict.fromkeys(goal.structure for goal in spec.goals if goal.structure in asked)
    }
    against = tuple(
        _against(goal, regions[goal.structure], parts) if goal.structure in regions else Against(asked=False)
        for goal in spec.goals
    )
    return Standing(against, _held_back(found, spec, converged))


def explanations(goals: Sequence[GoalResult], standing: Standing, uncertainty: Uncertainty) -> tuple[str, ...]:
    """A sentence or two for each goal that was missed, and what held the optimiser back; none when all are met."""
    missed = [
        f"{_missed(result)} {_why(result, against, uncertainty.percent)}"
        for result, against in zip(goals, standing.against, strict=True)
        if result.verdict == "missed"
    ]
    return (*missed, *standing.held_back) if missed else ()


@dataclass(frozen=True)
class _Part:
    """An optimised part of the plan with the dose in the rows of its nominal model, and the pull of each objective."""

    found: Optimised
    dose_gy_rbe: npt.NDArray[np.float32]
    pulls: tuple[Pull, ...]

    @classmethod
    def of(cls, found: Optimised) -> "_Part":
        return cls(found, found.problem.nominal.dose_gy_rbe(found.mu), found.problem.pulls(found.mu))

    def towards(self, goal: Goal, region: Region) -> FloatArray | None:
        """How the MU in use would change to bring voxels on the wrong side of the goal's dose nearer to it."""
        metric = Metric.parse(goal.metric)
        line = metric.at if metric.kind in ("V", "CV") else goal.value
        dose = self.dose_gy_rbe[region.rows]
        more = wants_more(goal)
        wrong = np.ones(len(dose), bool) if metric.kind == "Mean" else (dose < line) if more else (dose > line)
        if not wrong.any():
            return None
        by_dose = np.zeros(len(self.dose_gy_rbe))
        by_dose[region.rows] = region.weights * wrong * (1.0 if more else -1.0)
        return np.where(self.found.mu > 0, self.found.problem.nominal.by_mu(by_dose), 0.0)


def wants_more(goal: Goal) -> bool:
    """Whether more dose would serve a goal."""
    return (goal.op == ">=") != (Metric.parse(goal.metric).kind == "CV")


def _against(goal: Goal, region: Region, parts: Sequence[_Part]) -> Against:
    towards = [part.towards(goal, region) for part in parts]
    if all(direction is None for direction in towards):
        return Against(asked=True)
    cost = sum(pull.cost for part in parts for pull in part.pulls)
    pulls: dict[Objective, float] = {}
    costs: dict[Objective, float] = {}
    for part, direction in zip(parts, towards, strict=True):
        for pull in part.pulls:
            grows = 0.0 if direction is None else float(np.sum(pull.by_mu * direction))
            pulls[pull.objective] = pulls.get(pull.objective, 0.0) + grows
            costs[pull.objective] = costs.get(pull.objective, 0.0) + pull.cost
    resisting = {objective: pull for objective, pull in pulls.items() if pull > 0}
    whole = sum(resisting.values())
    strongest = sorted(resisting, key=lambda objective: -resisting[objective])[:_NAMED]
    named = [objective for objective in strongest if resisting[objective] >= _NAMED_FROM * whole]
    return Against(asked=True, short=True, objectives=tuple((o, costs[o] / cost if cost > 0 else 0.0) for o in named))


def _held_back(found: Sequence[Optimised], spec: PlanSpec, converged: bool) -> tuple[str, ...]:
    said: list[str] = []
    mu = np.concatenate([each.mu for each in found])
    on = mu[mu > 0]
    for limit, at_limit, which in (
        (spec.minimum_spot_mu, on <= spec.minimum_spot_mu + STEP_MU, "at least"),
        (spec.maximum_spot_mu, on >= spec.maximum_spot_mu - STEP_MU, "at most"),
    ):
        share = float(np.mean(at_limit)) if len(on) else 0.0
        if share >= _MANY_AT_LIMIT:
            said.append(f"{share:.0%} of the spots would go beyond a limit: {which} {limit:g} MU were open to a spot.")
    if not converged:
        said.append(f"The optimiser used up its {spec.iterations} iterations before it converged: more may do better.")
    return tuple(said)


def _missed(result: GoalResult) -> str:
    goal = result.goal
    unit = "Gy(RBE)" if goal.metric.endswith("[Gy]") else goal.metric.rsplit("[", 1)[1].rstrip("]")
    return f"Goal {goal.metric} {goal.op} {goal.value:g} of '{goal.structure}' is missed: {result.achieved:.4g} {unit}."


def _why(result: GoalResult, against: Against, uncertainty_percent: float) -> str:
    goal = result.goal
    if not against.asked:
        return f"No objective looks at '{goal.structure}'."
    if not against.short:
        return "The beamlets as optimised have it: it is lost to the noise of the simulation or to the normalisation."
    if against.objectives:
        named = "; ".join(
            f"{objective.in_words}, weight {objective.weight:g} ({share:.0%} of the remaining cost)"
            for objective, share in against.objectives
        )
        why = f"Against {'more' if wants_more(goal) else 'less'} dose there: {named}."
    else:
        why = "No objective stands against it: what the spots can do is used up."
    apart = 100.0 * abs(result.achieved - goal.value) / goal.value if goal.value > 0 else np.inf
    if goal.metric.endswith("[Gy]") and apart < 2 * uncertainty_percent:
        why += f" What is missing is no more than twice the statistical uncertainty of {uncertainty_percent:.1f} %."
    return why
