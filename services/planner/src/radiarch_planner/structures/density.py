"""Density overrides: structures whose CT numbers are replaced before the dose is calculated."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from radiarch_common.case import Case, Structure
from radiarch_common.density import DensityOverride
from radiarch_common.errors import RefusedError
from radiarch_common.plans import BODY

from radiarch_planner.dose_grid import FloatArray, occupancy_on_grid
from radiarch_planner.machine import Calibration

_NONE_INSIDE = 0.01
_SAID_OUTSIDE = 0.01


def overridden_ct(
    case: Case, calibration: Calibration, overrides: Sequence[DensityOverride]
) -> tuple[npt.NDArray[np.int16], tuple[str, ...]]:
    """CT of a case with overrides, shape (z, y, x), HU, and what was changed in words.

    A voxel that is partly inside a structure is changed in part.

    Raises
    ------
    RefusedError
        If there is no such structure, it is empty or outside BODY, or the HU lie outside of the CT calibration.
    """
    ct_hu = case.ct_hu()
    if not overrides:
        return ct_hu, ()
    manifest = case.manifest
    [body] = [structure for structure in manifest.structures if structure.number == manifest.body]
    inside = occupancy_on_grid(case.occupancy(body), body.grid, manifest.grid) >= 0.5
    hu = ct_hu.astype(np.float32)
    said: list[str] = []
    for override in overrides:
        _check_hu(override, calibration)
        structure = body if override.structure == BODY else manifest.structure(override.structure)
        share = occupancy_on_grid(case.occupancy(structure), structure.grid, manifest.grid)
        said.append(_said(override, structure, share, inside, manifest.grid.voxel_volume_cc))
        hu += share * (np.float32(override.hu) - hu)
    return np.rint(hu).astype(np.int16), tuple(said)


def _check_hu(override: DensityOverride, calibration: Calibration) -> None:
    file = calibration.file
    if not file.minimum_hu <= override.hu <= file.maximum_hu:
        raise RefusedError(
            f"The density override of '{override.structure}' is {override.hu:g} HU; the CT calibration '{file.id}' was "
            f"measured from {file.minimum_hu:g} to {file.maximum_hu:g} HU.",
            "Give an HU in that range, or use a calibration that reaches further.",
        )


def _said(
    override: DensityOverride, structure: Structure, share: FloatArray, inside: npt.NDArray[np.bool_], voxel_cc: float
) -> str:
    whole, within = (float(part.sum(dtype=np.float64)) * voxel_cc for part in (share, share[inside]))
    if whole <= 0:
        raise RefusedError(
            f"Structure '{structure.name}', whose density is to be overridden, is empty.",
            "Draw it, or leave its override out.",
        )
    if within < _NONE_INSIDE * whole:
        raise RefusedError(
            f"The density override of '{structure.name}' would change nothing: it lies outside BODY, where the dose is "
            "calculated in air.",
            "Include it in the body outline when it shall count, or leave its override out.",
        )
    text = f"Density override: {within:.1f} cm3 of '{structure.name}' were calculated as {override.hu:g} HU."
    outside = 1 - within / whole
    return text if outside < _SAID_OUTSIDE else f"{text} The {outside:.0%} of it outside BODY are air."
