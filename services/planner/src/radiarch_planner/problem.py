"""What the optimiser makes small: the cost of the objectives, in one scenario or over several.

Objectives that are not robust are looked at in the nominal scenario. The others have a cost in each scenario: the sum
of their terms there. Their ``expected value`` is its mean. The ``worst case`` is the largest of them, which has kinks
where two scenarios change places and a gradient that sees one of them alone; in its place stands the power mean

    ( mean of cost ** p ) ** (1 / p),  p = 10,

which is smooth, looks at every scenario the more the worse it is, and lies between 0.8 (of nine scenarios, when one
costs all) and 1 times the largest (when all cost the same).

References
----------
A. Fredriksson, A. Forsgren, B. Hardemark, "Minimax optimization for handling range and setup uncertainties in proton
therapy", Med. Phys. 38 (2011) 1672-1684, for the worst case of the sum of the terms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from radiarch_common.plans import Objective

from radiarch_planner.dose_model import DoseModel, FloatArray
from radiarch_planner.objectives import Term

Measure = Literal["worst case", "expected value"]

_POWER = 10.0


@dataclass(frozen=True)
class Pull:
    """What one objective has to do with the cost at some MU.

    Attributes
    ----------
    cost
        Its part of the cost.
    by_mu
        Derivative of that part by the MU of each spot: shape (spots,).
    """

    objective: Objective
    cost: float
    by_mu: FloatArray


@dataclass(frozen=True)
class Problem:
    """Objectives on beamlets.

    Attributes
    ----------
    models
        One for each scenario, the nominal one first; one alone when no objective is robust.
    terms
        Objectives looked at in the nominal scenario, on its rows.
    robust
        Objectives looked at in every scenario, the same for each model, on its own rows; none when none is robust.
    """

    models: tuple[DoseModel, ...]
    terms: tuple[Term, ...]
    robust: tuple[tuple[Term, ...], ...] = ()
    measure: Measure = "worst case"

    def __post_init__(self) -> None:
        if len(self.models) != max(len(self.robust), 1):
            raise ValueError("Argument 'robust' must have the terms of each model.")

    @classmethod
    def nominal_only(cls, model: DoseModel, terms: Sequence[Term]) -> "Problem":
        """Objectives in one scenario."""
        return cls((model,), tuple(terms))

    @property
    def nominal(self) -> DoseModel:
        """The model of the nominal scenario."""
        return self.models[0]

    def cost(self, mu: FloatArray) -> tuple[float, FloatArray]:
        """Cost of the objectives, and its derivative by the MU of each spot."""
        doses = [model.dose_gy_rbe(mu) for model in self.models]
        by_dose = [np.zeros(len(dose)) for dose in doses]
        costs = [
            sum(term.add_to(slope, dose) for term in terms)
            for terms, slope, dose in zip(self.robust, by_dose, doses, strict=False)
        ]
        cost, shares = gathered(np.array(costs, dtype=np.float64), self.measure)
        for number, share in enumerate(shares):
            by_dose[number] *= share
        for term in self.terms:
            cost += term.add_to(by_dose[0], doses[0])
        by_mu = np.zeros(len(mu))
        for model, slope in zip(self.models, by_dose, strict=True):
            by_mu += model.by_mu(slope)
        return cost, by_mu

    def robust_costs(self, mu: FloatArray) -> tuple[float, ...]:
        """Cost of the robust objectives in each scenario; empty when none is robust."""
        found: list[float] = []
        for model, terms in zip(self.models, self.robust, strict=False):
            dose = model.dose_gy_rbe(mu)
            found.append(sum(term.add_to(np.zeros(len(dose)), dose) for term in terms))
        return tuple(found)

    def pulls(self, mu: FloatArray) -> tuple[Pull, ...]:
        """The part of each objective in cost and gradient; together they are those of ``cost``."""
        nominal = self.nominal.dose_gy_rbe(mu)
        found = [_pull(term, self.nominal, nominal) for term in self.terms]
        by_scenario = [
            [_pull(term, model, model.dose_gy_rbe(mu)) for term in terms]
            for model, terms in zip(self.models, self.robust, strict=False)
        ]
        costs = np.array([sum(pull.cost for pull in pulls) for pulls in by_scenario], dtype=np.float64)
        _, shares = gathered(costs, self.measure)
        for same in zip(*by_scenario, strict=True):
            cost = sum(float(share) * pull.cost for share, pull in zip(shares, same, strict=True))
            by_mu = sum((share * pull.by_mu for share, pull in zip(shares, same, strict=True)), np.zeros(len(mu)))
            found.append(Pull(same[0].objective, cost, by_mu))
        return tuple(found)

    def of_spots(self, kept: npt.NDArray[np.intp]) -> "Problem":
        """The problem of some of the spots."""
        models = tuple(model.of_spots(kept) for model in self.models)
        return Problem(models, self.terms, self.robust, self.measure)

    def times(self, factor: float) -> "Problem":
        """The problem of a machine that gives so many times the dose for each MU."""
        models = tuple(model.times(factor) for model in self.models)
        return Problem(models, self.terms, self.robust, self.measure)


def gathered(costs: FloatArray, measure: Measure) -> tuple[float, FloatArray]:
    """One cost for those of several scenarios, and its derivative by each of them.

    Parameters
    ----------
    costs
        Shape (scenarios,), not negative.
    """
    count = len(costs)
    largest = float(np.max(costs, initial=0.0))
    if largest <= 0:
        return 0.0, np.zeros(count)
    if measure == "expected value":
        return float(np.sum(costs)) / count, np.full(count, 1.0 / count)
    relative = costs / largest
    mean = float(np.sum(relative**_POWER)) / count
    return largest * mean ** (1.0 / _POWER), relative ** (_POWER - 1.0) * mean ** (1.0 / _POWER - 1.0) / count


def _pull(term: Term, model: DoseModel, dose: npt.NDArray[np.float32]) -> Pull:
    by_dose = np.zeros(len(dose))
    cost = term.add_to(by_dose, dose)
    return Pull(term.objective, cost, model.by_mu(by_dose))
