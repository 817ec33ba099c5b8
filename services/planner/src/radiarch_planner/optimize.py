"""The optimiser: spot MU that make the cost of the objectives smallest."""

from dataclasses import dataclass

import numpy as np
from radiarch_common.errors import RefusedError
from radiarch_common.watch import Watch

from radiarch_planner.dose_model import DoseModel, FloatArray
from radiarch_planner.objectives import Region
from radiarch_planner.problem import Problem
from radiarch_planner.quasi_newton import minimise

TOLERANCE = 1e-3
"""The optimiser ends when the cost fell by less than this share of itself over eight iterations."""


@dataclass(frozen=True)
class OptimisedSpots:
    """What the optimiser found.

    Attributes
    ----------
    mu
        Shape (spots,), float64, MU per fraction.
    course
        Cost at the start and after each iteration.
    converged
        Whether it ended before the iterations were used up.
    """

    mu: FloatArray
    course: tuple[float, ...]
    converged: bool


def uniform_start(model: DoseModel, target: Region, dose_gy_rbe: float) -> FloatArray:
    """The same MU for every spot, such that the target's mean dose is the prescribed one.

    Raises
    ------
    RefusedError
        If no spot gives the target any dose.
    """
    mean = target.mean(model.dose_gy_rbe(np.ones(model.spots)))
    if mean <= 0:
        raise RefusedError(
            "No spot gives the target any dose.", "Look at the beam angles, the isocentre and the machine's energies."
        )
    return np.full(model.spots, dose_gy_rbe / mean)


def optimise(
    problem: Problem,
    start_mu: FloatArray,
    bounds_mu: tuple[float, float],
    iterations: int,
    watch: Watch,
) -> OptimisedSpots:
    """Spot MU of the smallest cost; the same input gives the same MU bit for bit.

    Parameters
    ----------
    start_mu
        Shape (spots,), MU per fraction; put between the bounds.
    bounds_mu
        Smallest and largest MU of any spot.
    watch
        Told before each iteration how much of ``iterations`` is used, and the cost; asked whether to stop.

    Raises
    ------
    StoppedError
        When asked to stop.
    """

    def each(iteration: int, cost: float) -> None:
        done = f"iteration {iteration + 1} of at most {iterations}, cost {cost:.3g}"
        watch.progress(iteration / iterations, f"optimising, {done}")

    found = minimise(problem.cost, start_mu, *bounds_mu, iterations, TOLERANCE, each)
    return OptimisedSpots(found.x, found.course, found.converged)
