"""Beams optimised each alone: single-field uniform dose.

Each beam is asked for the whole prescription, by a machine that gives as many times the dose for each MU as the plan
has beams. Its own spots thus give its share, and the limits on their MU hold as they are.

References
----------
A. Lomax, "Intensity modulation methods for proton radiotherapy", Phys. Med. Biol. 44 (1999) 185-205. ICRU Report 78
(2007).
"""

from collections.abc import Sequence

import numpy as np
from radiarch_common.plans import PlanSpec
from radiarch_common.watch import PartOf, Watch

from radiarch_planner.deliverable import (
    DeliverableSpots,
    SpotLimits,
    deliverable_spots,
    normalised,
    residual_percent,
)
from radiarch_planner.objectives import Region
from radiarch_planner.problem import Problem


def problem_of_beam(problem: Problem, counts: Sequence[int], beam: int) -> Problem:
    """What one beam is optimised for: its own spots, as if they were to give the whole dose.

    Parameters
    ----------
    counts
        Number of spots of each beam that has any.
    """
    start = sum(counts[:beam])
    return problem.of_spots(np.arange(start, start + counts[beam])).times(float(len(counts)))


def spots_of_each_beam(
    problem: Problem, target: Region, spec: PlanSpec, counts: Sequence[int], watch: Watch
) -> DeliverableSpots:
    """Spots of beams of which each alone gives an equal share of the dose; see ``deliverable_spots``.

    Parameters
    ----------
    counts
        Number of spots of each beam that has any, in the order of the problem's spots.
    """
    found: list[DeliverableSpots] = []
    for beam in range(len(counts)):
        part = PartOf(watch, beam / len(counts), (beam + 1) / len(counts))
        found.append(deliverable_spots(problem_of_beam(problem, counts, beam), target, spec, part))
    mu = np.concatenate([spots.mu for spots in found])
    mu = normalised(problem.nominal, target, spec.prescription, mu, SpotLimits.of(spec))
    return DeliverableSpots(
        mu=mu,
        course=tuple(cost for spots in found for cost in spots.course),
        converged=all(spots.converged for spots in found),
        left_out=sum(spots.left_out for spots in found),
        residual_percent=residual_percent(problem.nominal, target, spec.prescription, mu),
    )
