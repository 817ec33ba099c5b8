"""Spots that a machine can deliver: between its limits, in steps of 2**-10 MU, normalised.

Spots of less than half the machine's minimum are left out. The others are optimised again, none below the
minimum, so that what is written is what was optimised and not what was cut from it. Normalisation and rounding
keep to the limits; what they leave of the normalisation is told.
"""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from radiarch_common.errors import RefusedError
from radiarch_common.plans import PlanSpec, Prescription
from radiarch_common.watch import PartOf, Watch

from radiarch_planner.dose_model import DoseModel, FloatArray
from radiarch_planner.normalise import scale_for
from radiarch_planner.objectives import Region
from radiarch_planner.optimize import optimise, uniform_start
from radiarch_planner.problem import Problem

STEP_MU = 2.0**-10

_FIRST_SEARCH = 0.67
"""Share of the iterations that may be spent before small spots are left out."""
_NORMALISING_STEPS = 20
_EXACT = 1e-6


@dataclass(frozen=True)
class SpotLimits:
    """What a machine can deliver in one spot, MU per fraction; both ends are whole steps."""

    minimum_mu: float
    maximum_mu: float

    @classmethod
    def of(cls, spec: PlanSpec) -> "SpotLimits":
        """The limits of a plan, drawn in to whole steps. Raises RefusedError when nothing is left between them."""
        low, high = ceil(spec.minimum_spot_mu / STEP_MU), floor(spec.maximum_spot_mu / STEP_MU)
        if low > high:
            raise RefusedError(
                f"No spot can have at least {spec.minimum_spot_mu:g} MU and at most {spec.maximum_spot_mu:g} MU.",
                "Look at the machine's spot limits.",
            )
        return cls(low * STEP_MU, high * STEP_MU)

    def written(self, mu: FloatArray, scale: float = 1.0) -> FloatArray:
        """MU times ``scale`` as they are written: 0 stays 0, all others are whole steps between the limits."""
        steps = np.rint(np.clip(mu * scale, self.minimum_mu, self.maximum_mu) / STEP_MU)
        return np.where(mu > 0, steps * STEP_MU, 0.0)


@dataclass(frozen=True)
class DeliverableSpots:
    """Spots as they can be written.

    Attributes
    ----------
    mu
        Shape (spots,), float64, MU per fraction: 0, or whole steps of 2**-10 between the limits.
    course
        The cost at the start and after each iteration of both searches; it may rise once, where small spots were left
        out. Of beams optimised each alone: one such course after the other, in the order of the beams.
    converged
        Whether the last search ended by itself.
    left_out
        Number of spots that were too small.
    residual_percent
        By how much the beamlets' dose misses the normalisation, of the prescribed dose; positive when too high.
    """

    mu: FloatArray
    course: tuple[float, ...]
    converged: bool
    left_out: int
    residual_percent: float


def deliverable_spots(problem: Problem, target: Region, spec: PlanSpec, watch: Watch) -> DeliverableSpots:
    """Optimise spots that a machine can deliver.

    Parameters
    ----------
    target
        The prescription's target on the rows of the problem's nominal model.
    spec
        Prescription, spot limits and number of iterations.

    Raises
    ------
    RefusedError
        If no spot reaches the target, or none keeps enough MU to be delivered.
    StoppedError
        When asked to stop.
    """
    limits, model = SpotLimits.of(spec), problem.nominal
    first_share = max(1, round(_FIRST_SEARCH * spec.iterations))
    start = uniform_start(model, target, spec.prescription.dose_gy_rbe)
    first = optimise(problem, start, (0.0, limits.maximum_mu), first_share, PartOf(watch, 0.0, _FIRST_SEARCH))
    kept = np.flatnonzero(first.mu >= limits.minimum_mu / 2)
    if len(kept) == 0:
        raise RefusedError(
            f"No spot keeps {limits.minimum_mu / 2:g} MU, half the machine's minimum.",
            "Ask for more dose per fraction, or for fewer spots (a larger spot or layer spacing, fewer beams).",
        )
    rest = max(1, spec.iterations - len(first.course) + 1)
    survivors = problem.of_spots(kept)
    bounds = (limits.minimum_mu, limits.maximum_mu)
    last = optimise(survivors, first.mu[kept], bounds, rest, PartOf(watch, _FIRST_SEARCH, 1.0))
    mu = np.zeros(model.spots)
    mu[kept] = normalised(survivors.nominal, target, spec.prescription, last.mu, limits)
    residual = residual_percent(model, target, spec.prescription, mu)
    return DeliverableSpots(mu, (*first.course, *last.course), last.converged, model.spots - len(kept), residual)


def normalised(
    model: DoseModel, target: Region, prescription: Prescription, mu: FloatArray, limits: SpotLimits
) -> FloatArray:
    """MU scaled to the normalisation and written, as nearly as the limits allow.

    Parameters
    ----------
    mu
        Shape (spots,), MU per fraction.

    Returns
    -------
    Shape (spots,), as ``SpotLimits.written`` gives them.
    """
    scale = 1.0
    for _ in range(_NORMALISING_STEPS):
        kept_to_limits = np.where(mu > 0, np.clip(mu * scale, limits.minimum_mu, limits.maximum_mu), 0.0)
        more = scale_for(prescription, target.cumulative(model.dose_gy_rbe(kept_to_limits)))
        scale *= more
        if abs(more - 1.0) < _EXACT:
            break
    return limits.written(mu, scale)


def residual_percent(model: DoseModel, target: Region, prescription: Prescription, mu: FloatArray) -> float:
    """By how much a dose misses the normalisation, in percent of what is asked; positive when too high."""
    missing = scale_for(prescription, target.cumulative(model.dose_gy_rbe(mu)))
    return 100.0 * (1.0 / missing - 1.0)
