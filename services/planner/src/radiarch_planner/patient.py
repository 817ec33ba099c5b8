"""The patient as the engines see it, made of a case."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from radiarch_common.case import Case
from radiarch_common.density import DensityOverride
from radiarch_common.errors import RefusedError

from radiarch_planner.dose_grid import AIR_HU, calculation_grid, ct_on_grid, occupancy_on_grid
from radiarch_planner.engines.base import FloatArray, Patient
from radiarch_planner.machine import Calibration
from radiarch_planner.memory import machine_memory_bytes, refuse_large_grid
from radiarch_planner.structures.density import overridden_ct

_TOLERATED_CC = 0.5
"""A few voxels of enamel or a clip beyond the calibration are set to its end, and said; more are refused."""


def patient_of(
    case: Case, calibration: Calibration, dose_grid_mm: float, overrides: Sequence[DensityOverride] = ()
) -> Patient:
    """CT of a case on the calculation grid, with its density overrides, within the limits of a CT calibration.

    Raises
    ------
    RefusedError
        If more than half a cubic centimetre is denser than the calibration was made for, or the volumes of a plan
        on that grid do not fit into the memory; or if an override cannot be made.
    """
    whole = case.manifest.grid
    seen = overridden_ct(case, calibration, overrides)
    grid = calculation_grid(whole, seen.grid, seen.share, dose_grid_mm)
    refuse_large_grid(whole, grid, machine_memory_bytes())
    hu = ct_on_grid(seen.ct_hu, whole, seen.grid, seen.share, grid)
    return within_calibration(Patient(grid, hu, case.manifest.patient_position, seen.changes), calibration)


def occupancy_of(case: Case, name: str, patient: Patient) -> FloatArray:
    """Share of each voxel of the patient's grid inside a structure: shape (z, y, x), float32, 0..1."""
    structure = case.manifest.structure(name)
    return occupancy_on_grid(case.occupancy(structure), structure.grid, patient.grid)


def within_calibration(patient: Patient, calibration: Calibration) -> Patient:
    """The same patient with HU inside the limits of a CT calibration; see ``patient_of``."""
    file = calibration.file
    beyond = patient.ct_hu > file.maximum_hu
    beyond_cc = float(np.count_nonzero(beyond)) * patient.grid.voxel_volume_cc
    highest = float(patient.ct_hu.max())
    if beyond_cc > _TOLERATED_CC:
        raise RefusedError(
            f"{beyond_cc:.1f} cm3 inside BODY lie above {file.maximum_hu:g} HU (up to {highest:.0f} HU), beyond what "
            f"the CT calibration '{file.id}' was measured for.",
            "Overwrite metal and its artefacts in the CT, or use a calibration that reaches further.",
        )
    warnings = patient.warnings
    if beyond_cc > 0:
        warnings += (
            f"{beyond_cc:.2f} cm3 inside BODY above {file.maximum_hu:g} HU (up to {highest:.0f} HU) were calculated as "
            f"{file.maximum_hu:g} HU, the end of the CT calibration '{file.id}'.",
        )
    clipped = np.clip(patient.ct_hu, max(file.minimum_hu, AIR_HU), file.maximum_hu)
    return replace(patient, ct_hu=clipped.astype(np.float32, copy=False), warnings=warnings)
