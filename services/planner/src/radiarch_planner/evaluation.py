"""What a dose is worth: DVH and goals of every structure, and how certain it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from radiarch_common.case import Case, Structure
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Contour, Grid
from radiarch_common.plans import PlanSpec
from radiarch_common.quality import PlanIndices
from radiarch_common.result import GoalResult, Uncertainty
from radiarch_common.watch import Watch

from radiarch_planner.dvh import Dvh, dvh_of, dvh_of_solid
from radiarch_planner.goals import judge, metrics_asked
from radiarch_planner.indices import indices_of
from radiarch_planner.structures.raster import VoxelSolid

FloatArray = npt.NDArray[np.float32]

UNCERTAIN_PERCENT = 3.0
"""Above it doses at small and large volumes are the noise's rather than the plan's."""
HOT_SHARE = 0.5
"""The statistical uncertainty is that of the target's voxels above this share of the maximum dose."""


@dataclass(frozen=True)
class Evaluation:
    """DVH of each structure that has a volume, goals in their order, indices of the target, warnings in words."""

    dvh: tuple[Dvh, ...]
    goals: tuple[GoalResult, ...]
    indices: PlanIndices
    warnings: tuple[str, ...]


def evaluate(case: Case, dose_gy_rbe: FloatArray, grid: Grid, spec: PlanSpec, watch: Watch) -> Evaluation:
    """DVH, goals and indices of a dose, shape (z, y, x) on ``grid``, Gy(RBE), sum of all fractions.

    Raises
    ------
    RefusedError
        If the target, or a structure that a goal asks for, has no volume.
    """
    contours = case.contours()
    dvhs: list[Dvh] = []
    warnings: list[str] = []
    structures = case.manifest.structures
    for index, structure in enumerate(structures):
        watch.progress(index / len(structures), f"DVH of structure {index + 1} of {len(structures)}")
        asked = metrics_asked(spec.goals, structure.name)
        try:
            dvh = structure_dvh(case, structure, contours.get(structure.number, []), dose_gy_rbe, grid, asked)
        except RefusedError as refusal:
            if asked or structure.name == spec.prescription.target:
                raise
            warnings.append(f"{refusal.reason} It has no DVH.")
        else:
            dvhs.append(dvh)
            warnings += dvh.warnings
    doses = {dvh.curve.structure: dvh.cumulative for dvh in dvhs}
    body = next((dvh.cumulative for dvh in dvhs if dvh.curve.number == case.manifest.body), None)
    indices = indices_of(spec.prescription, doses[spec.prescription.target], body)
    return Evaluation(tuple(dvhs), judge(spec.goals, doses), indices, tuple(warnings))


def structure_dvh(
    case: Case,
    structure: Structure,
    contours: list[Contour],
    dose_gy_rbe: FloatArray,
    grid: Grid,
    metrics: Sequence[str],
) -> Dvh:
    """DVH of one structure of a case; see ``evaluate``. A derived one is the voxels that it was made of."""
    slice_mm = case.manifest.grid.spacing_mm[2]
    if structure.derived:
        solid = VoxelSolid(case.occupancy(structure), structure.grid)
        dvh = dvh_of_solid(structure.name, structure.number, solid, dose_gy_rbe, grid, metrics)
        return replace(dvh, curve=dvh.curve.model_copy(update={"derived": structure.derived}))
    return dvh_of(structure.name, structure.number, contours, dose_gy_rbe, grid, metrics, slice_mm=slice_mm)


def uncertainty_of(dose: FloatArray, error: FloatArray, target: FloatArray, name: str, batches: int) -> Uncertainty:
    """Mean relative standard error of the target's voxels above half of the maximum.

    Parameters
    ----------
    dose, error
        Dose and its standard error, 1 sigma: shape (z, y, x), in the same unit.
    target
        Share of each voxel inside the target, same shape; voxels at least half inside count.
    """
    hot = (target >= 0.5) & (dose > HOT_SHARE * float(dose.max(initial=0.0)))
    if not hot.any():
        hot = (target > 0) & (dose > 0)
    percent = 100.0 * float(np.mean(error[hot].astype(np.float64) / dose[hot])) if hot.any() else 100.0
    return Uncertainty(
        percent=percent, voxels=f"voxels of '{name}' above {HOT_SHARE:.0%} of the maximum dose", batches=batches
    )


def warnings_of_noise(uncertainty: Uncertainty) -> tuple[str, ...]:
    """A warning when the dose is too noisy to judge the plan by, or to normalise it by a near-minimum dose."""
    if uncertainty.percent <= UNCERTAIN_PERCENT:
        return ()
    return (
        f"The statistical uncertainty is {uncertainty.percent:.1f} % (1 sigma; {uncertainty.voxels}): doses such as "
        "D95%, D2% or the maximum are widened by noise, and a normalisation to D95% makes every spot too strong. "
        "Ask for more primaries_final.",
    )
