"""Density overrides: structures whose CT numbers are replaced before the dose is calculated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from radiarch_common.case import Case, Structure
from radiarch_common.density import DensityOverride
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Grid
from radiarch_common.plans import BODY

from radiarch_planner.dose_grid import AIR_HU, FloatArray, occupancy_on_grid
from radiarch_planner.entry_tables import calibration_densities
from radiarch_planner.machine import Calibration

_HALF = 0.5
_SAID_OUTSIDE = 0.01
"""Share of a structure; less outside BODY is the coarseness of voxels."""


@dataclass(frozen=True)
class SeenCt:
    """The CT that beams go through.

    Attributes
    ----------
    ct_hu
        Shape (z, y, x) on the case's grid, int16, HU.
    grid, share
        What of it is not air, and where: BODY, and outside of it the structures with an override. ``share`` of each
        voxel of ``grid``, a crop of the case's: shape (z, y, x), float32, 0..1; voxels less than half in it are air.
    changes
        In words.
    """

    ct_hu: npt.NDArray[np.int16]
    grid: Grid
    share: FloatArray
    changes: tuple[str, ...] = ()


def overridden_ct(case: Case, calibration: Calibration, overrides: Sequence[DensityOverride]) -> SeenCt:
    """CT of a case with overrides.

    A voxel that is partly inside a structure is changed in part. Outside BODY the rest of it is air, and a structure
    stays there with its HU, for the beams to go through.

    Raises
    ------
    RefusedError
        If there is no such structure, it is empty, or HU or density lie outside of the CT calibration.
    """
    ct_hu = case.ct_hu()
    manifest = case.manifest
    [body] = [structure for structure in manifest.structures if structure.number == manifest.body]
    body_share = case.occupancy(body)
    if not overrides:
        return SeenCt(ct_hu, body.grid, body_share)
    inside = occupancy_on_grid(body_share, body.grid, manifest.grid) >= _HALF
    kept = inside.copy()
    hu = np.where(inside, ct_hu, np.float32(AIR_HU)).astype(np.float32, copy=False)
    said: list[str] = []
    for override in overrides:
        override_hu = _hu_of(override, calibration)
        structure = body if override.structure == BODY else manifest.structure(override.structure)
        share = occupancy_on_grid(case.occupancy(structure), structure.grid, manifest.grid)
        outside = ~inside & (structure is not body)
        said.append(_said(_in_words(override, override_hu), structure, share, outside, manifest.grid.voxel_volume_cc))
        hu += share * (np.float32(override_hu) - hu)
        kept |= outside & (share > 0)
    low, size = _box(kept)
    place = tuple(slice(first, first + count) for first, count in zip(low[::-1], size[::-1], strict=True))
    return SeenCt(
        np.rint(hu).astype(np.int16), manifest.grid.crop(low, size), kept[place].astype(np.float32), tuple(said)
    )


def _box(kept: npt.NDArray[np.bool_]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """First voxel (x, y, z) and size of the box around what is kept; all of it where that is nothing."""
    if not kept.any():
        nz, ny, nx = kept.shape
        return (0, 0, 0), (nx, ny, nz)
    ends = [np.flatnonzero(kept.any(axis=tuple(o for o in range(3) if o != 2 - axis)))[[0, -1]] for axis in range(3)]
    (x, xx), (y, yy), (z, zz) = ((int(first), int(last)) for first, last in ends)
    return (x, y, z), (xx - x + 1, yy - y + 1, zz - z + 1)


def _hu_of(override: DensityOverride, calibration: Calibration) -> float:
    file = calibration.file
    hu = override.hu
    if hu is None:
        hu = _hu_of_density(override.structure, override.mass_density_g_cm3 or 0.0, calibration)
    if not file.minimum_hu <= hu <= file.maximum_hu:
        raise RefusedError(
            f"The density override of '{override.structure}' is {hu:g} HU; the CT calibration '{file.id}' was "
            f"measured from {file.minimum_hu:g} to {file.maximum_hu:g} HU.",
            "Give an HU in that range, or use a calibration that reaches further.",
        )
    return hu


def _hu_of_density(structure: str, density_g_cm3: float, calibration: Calibration) -> float:
    """The lowest HU of this mass density, straight between the rows of the calibration."""
    hu, densities = calibration_densities(calibration.tables)
    if not densities[0] <= density_g_cm3 <= densities[-1]:
        raise RefusedError(
            f"The density override of '{structure}' is {density_g_cm3:g} g/cm3; the CT calibration "
            f"'{calibration.file.id}' has {densities[0]:g} to {densities[-1]:g} g/cm3.",
            "Give a density in that range, or use a calibration that reaches further.",
        )
    rising, first = np.unique(densities, return_index=True)
    return float(np.interp(density_g_cm3, rising, np.asarray(hu)[first]))


def _in_words(override: DensityOverride, hu: float) -> str:
    if override.mass_density_g_cm3 is None:
        return f"{hu:g} HU"
    return f"{override.mass_density_g_cm3:g} g/cm3 ({hu:.0f} HU of the CT calibration)"


def _said(
    density: str, structure: Structure, share: FloatArray, outside: npt.NDArray[np.bool_], voxel_cc: float
) -> str:
    whole, beyond = (float(part.sum(dtype=np.float64)) * voxel_cc for part in (share, share[outside]))
    if whole <= 0:
        raise RefusedError(
            f"Structure '{structure.name}', whose density is to be overridden, is empty.",
            "Draw it, or leave its override out.",
        )
    text = f"Density override: {whole:.1f} cm3 of '{structure.name}' were calculated as {density}"
    if beyond <= _SAID_OUTSIDE * whole:
        return f"{text}."
    return (
        f"{text}, {beyond:.1f} cm3 of them outside BODY: the beams go through them, and dose is given out inside BODY "
        "alone."
    )
