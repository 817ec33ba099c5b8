"""Dose-averaged LET by structure."""

import numpy as np
from radiarch_common.case import Case
from radiarch_common.plans import PlanSpec
from radiarch_common.result import StructureLet

from radiarch_planner.engines.base import FinalDose, FloatArray, Patient
from radiarch_planner.patient import occupancy_of

LET_SHARE = 0.01
"""Of the prescription: LET where there is less dose is that of a few particles, and of no consequence."""


def let_of(case: Case, patient: Patient, dose: FinalDose, spec: PlanSpec) -> tuple[StructureLet, ...]:
    """LET of each structure that receives dose, in the order of the case; none when LET was not asked for.

    Voxels count that are at least half inside and receive at least ``LET_SHARE`` of the prescription.
    """
    if dose.let_kev_um is None:
        return ()
    least_gy = LET_SHARE * spec.prescription.dose_gy_rbe / spec.rbe
    found = [
        structure_let(
            structure.name, occupancy_of(case, structure.name, patient), dose.dose_gy, dose.let_kev_um, least_gy
        )
        for structure in case.manifest.structures
    ]
    return tuple(let for let in found if let is not None)


def structure_let(
    name: str, inside: FloatArray, dose_gy: FloatArray, let_kev_um: FloatArray, least_gy: float
) -> StructureLet | None:
    """LET of one structure from arrays of one shape; ``None`` when none of its voxels receives ``least_gy``."""
    counted = (inside >= 0.5) & (dose_gy >= least_gy)
    if not counted.any():
        return None
    let = let_kev_um[counted].astype(np.float64)
    mean = float(np.average(let, weights=dose_gy[counted].astype(np.float64)))
    return StructureLet(structure=name, mean_kev_um=mean, maximum_kev_um=float(let.max()))
