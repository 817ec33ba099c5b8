"""The final dose simulated until it is certain enough, or its protons are used up.

The size of a batch follows from the request alone: the same dose comes out on any number of cores.
"""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt
from radiarch_common.plans import PlanSpec
from radiarch_common.result import Uncertainty

from radiarch_planner.engines.base import FinalDose, FloatArray
from radiarch_planner.evaluation import uncertainty_of

ROUNDS = 8
"""The first round takes this part of the protons that a plan may use up."""
_SAFETY = 1.05
"""More batches than the square of the uncertainty asks for: the uncertainty itself is an estimate."""


@dataclass(frozen=True)
class Aim:
    """Statistical uncertainty wanted in the target, and how many batches may be spent on it.

    Attributes
    ----------
    target
        Share of each voxel inside the target: shape (z, y, x), float32, 0..1.
    body
        Voxels that count at all, same shape.
    percent
        1 sigma, as ``uncertainty_of`` tells it.
    most_batches
        Of each beam, over all rounds.
    """

    target: FloatArray
    body: npt.NDArray[np.bool_]
    percent: float
    most_batches: int

    @classmethod
    def of(cls, spec: PlanSpec, target: FloatArray, body: npt.NDArray[np.bool_]) -> "Aim | None":
        """The aim of a plan; ``None`` when all of its protons are to be simulated."""
        if spec.uncertainty_percent is None:
            return None
        return cls(target, body, spec.uncertainty_percent, ROUNDS * spec.batches)

    def more(self, dose: FinalDose) -> int:
        """Batches of each beam that a dose still needs, within what may be spent; 0 when it is certain enough."""
        reached = uncertainty_of(dose.dose_gy * self.body, dose.uncertainty_gy * self.body, self.target, "", 0).percent
        if reached <= self.percent:
            return 0
        wanted = ceil(dose.batches * (reached / self.percent) ** 2 * _SAFETY)
        return max(min(wanted, self.most_batches) - dose.batches, 0)


def first_round(spec: PlanSpec) -> PlanSpec:
    """A spec whose protons are those of the first round."""
    batch = ceil(spec.primaries_final / (ROUNDS * spec.batches))
    return spec.model_copy(update={"primaries_final": batch * spec.batches})


def warnings_of_aim(spec: PlanSpec, uncertainty: Uncertainty, primaries: int) -> tuple[str, ...]:
    """A warning when the protons were used up before the dose was certain enough; ``primaries`` per beam were."""
    aim = spec.uncertainty_percent
    if aim is None or uncertainty.percent <= aim:
        return ()
    needed = primaries * (uncertainty.percent / aim) ** 2 * _SAFETY
    return (
        f"A statistical uncertainty of {aim:g} % was asked for and {uncertainty.percent:.2f} % reached (1 sigma; "
        f"{uncertainty.voxels}): all of primaries_final, {primaries:,} protons for each beam, were simulated. "
        f"It would take about {needed:,.0f}: ask for more primaries_final, or a coarser dose grid.",
    )
