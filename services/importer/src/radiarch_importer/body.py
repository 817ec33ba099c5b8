"""BODY made from the CT, when a request asks for it and the structure set has none."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from radiarch_common.body import BodyFromCt
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Grid
from scipy import ndimage

Mask = npt.NDArray[np.bool_]

MADE_NAME = "BODY"
SMALLEST_CC = 50.0
"""Less than this is no patient and no phantom of one."""


@dataclass(frozen=True)
class MadeBody:
    """A body outline made from the CT.

    Attributes
    ----------
    occupancy
        Shape (z, y, x) on ``grid``, uint8: 255 inside, 0 outside.
    grid
        The crop of the CT's grid that holds it.
    recipe
        How it was made, in words.
    warnings
        What a reader should know of it.
    """

    occupancy: npt.NDArray[np.uint8]
    grid: Grid
    volume_cc: float
    recipe: str
    warnings: tuple[str, ...]


def make_body(ct_hu: npt.NDArray[np.int16], grid: Grid, asked: BodyFromCt) -> MadeBody:
    """The largest connected part of the CT above a threshold, without thin parts, its holes filled slice by slice.

    Parameters
    ----------
    ct_hu
        Shape (z, y, x) on ``grid``, HU.

    Raises
    ------
    RefusedError
        If less than ``SMALLEST_CC`` are found.
    """
    above: Mask = ct_hu > asked.threshold_hu
    core = _largest(_eroded(above, grid, asked.opening_mm))
    volume_cc = 0.0
    inside = core
    if core.any():
        inside = _filled(_dilated(core, grid, asked.opening_mm) & above)
        volume_cc = float(np.count_nonzero(inside)) * grid.voxel_volume_cc
    if volume_cc < SMALLEST_CC:
        raise RefusedError(
            f"No body can be made from the CT: {volume_cc:.1f} cm3 hang together above {asked.threshold_hu:g} HU.",
            "Draw the outline, or choose another `threshold_hu` or a smaller `opening_mm` in `body_from_ct`.",
        )
    occupancy, cropped = _cropped(inside, grid)
    recipe = (
        f"made from the CT: largest connected part above {asked.threshold_hu:g} HU, parts thinner than "
        f"{2 * asked.opening_mm:g} mm cut away, holes filled slice by slice"
    )
    return MadeBody(occupancy, cropped, volume_cc, recipe, tuple(_warnings(inside, grid, volume_cc, recipe)))


def _eroded(mask: Mask, grid: Grid, radius_mm: float) -> Mask:
    """Slice by slice: what lies deeper than a radius; the edge of the image is no surface."""
    if radius_mm <= 0:
        return mask
    found = np.zeros_like(mask)
    for plane, out in zip(mask, found, strict=True):
        if plane.any():
            out[:] = plane if plane.all() else _distance(plane, grid) > radius_mm
    return found


def _dilated(mask: Mask, grid: Grid, radius_mm: float) -> Mask:
    """Slice by slice: what lies within a radius."""
    if radius_mm <= 0:
        return mask
    found = mask.copy()
    for plane, out in zip(mask, found, strict=True):
        if plane.any():
            out[:] = _distance(~plane, grid) <= radius_mm + 1e-6
    return found


def _distance(plane: Mask, grid: Grid) -> npt.NDArray[np.float64]:
    sampling = (grid.spacing_mm[1], grid.spacing_mm[0])
    return cast("npt.NDArray[np.float64]", ndimage.distance_transform_edt(plane, sampling=sampling))


def _largest(mask: Mask) -> Mask:
    """The largest part that hangs together by faces."""
    labels, count = cast("tuple[npt.NDArray[np.int32], int]", ndimage.label(mask))
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == int(np.argmax(sizes))


def _filled(mask: Mask) -> Mask:
    """Holes of each slice filled: lungs, bowel gas, airways."""
    found = np.zeros_like(mask)
    for plane, out in zip(mask, found, strict=True):
        ndimage.binary_fill_holes(plane, output=out)
    return found


def _cropped(mask: Mask, grid: Grid) -> tuple[npt.NDArray[np.uint8], Grid]:
    places = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in (2, 1, 0)]
    x, y, z = ((int(p[0]), int(p[-1]) + 1) for p in places)
    part = mask[z[0] : z[1], y[0] : y[1], x[0] : x[1]]
    size = (x[1] - x[0], y[1] - y[0], z[1] - z[0])
    return part.astype(np.uint8) * np.uint8(255), grid.crop((x[0], y[0], z[0]), size)


def _warnings(inside: Mask, grid: Grid, volume_cc: float, recipe: str) -> list[str]:
    found = [
        f"The structure set has no body contour; BODY ({volume_cc:.0f} cm3) was {recipe}. It is known to a voxel "
        f"({grid.spacing_mm[0]:.3g} x {grid.spacing_mm[1]:.3g} mm) and may miss limbs that lie apart or hold parts of "
        "the couch: look at it."
    ]
    if inside[:, [0, -1], :].any() or inside[:, :, [0, -1]].any():
        found.append("BODY reaches the edge of the CT: what lies beyond is missing from the dose calculation.")
    return found
