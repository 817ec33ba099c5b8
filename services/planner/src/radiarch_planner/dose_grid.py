"""The calculation grid, and how CT and structures come onto it.

What the CT shows outside BODY (couch, mask, marks, air) is set to air, since the couch of the scanner is not that of
the treatment, and noise outside must not stop protons. A couch, a bolus or a mask that shall count is drawn and given
a density override: what has one is kept, wherever it lies. Dose is given out inside BODY alone.
"""

from math import ceil, floor

import numpy as np
import numpy.typing as npt
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Grid
from scipy.sparse import csr_matrix

FloatArray = npt.NDArray[np.float32]

AIR_HU = -1000.0
_MARGIN_VOXELS = 2


def calculation_grid(ct: Grid, body: Grid, body_occupancy: FloatArray, dose_grid_mm: float) -> Grid:
    """The grid that dose is calculated, given out and exported on.

    BODY here is all that is not air: the patient, and what outside of it has a density override.

    Spacing in plane is ``dose_grid_mm``; along z it is the multiple of the slice spacing (at least one, ties go
    finer) nearest to it. Its origin is the centre of a CT voxel, so that every dose plane is a CT plane. It covers
    BODY and two voxels around, as far as the CT reaches along z.

    Parameters
    ----------
    ct
        Grid of the CT.
    body, body_occupancy
        Grid of BODY's occupancy, and that: shape (z, y, x), 0..1.
    """
    low, high = _box_mm(body, body_occupancy)
    slice_mm = ct.spacing_mm[2]
    multiple = max(1, ceil(dose_grid_mm / slice_mm - 0.5))
    spacing = (dose_grid_mm, dose_grid_mm, multiple * slice_mm)
    origin: list[float] = []
    size: list[int] = []
    for axis in range(3):
        step = ct.spacing_mm[axis]
        margin = _MARGIN_VOXELS * spacing[axis] if axis < 2 else 0.0
        first = max(floor((low[axis] - margin - ct.origin_mm[axis]) / step + 0.5), 0)
        start = ct.origin_mm[axis] + first * step
        count = ceil((high[axis] + step / 2 + margin - start) / spacing[axis] - 0.5 - 1e-6) + 1
        if axis == 2:
            count = min(count, (ct.size[2] - 1 - first) // multiple + 1)
        origin.append(start)
        size.append(max(count, 1))
    return Grid(origin_mm=(origin[0], origin[1], origin[2]), spacing_mm=spacing, size=(size[0], size[1], size[2]))


def ct_on_grid(
    ct_hu: npt.NDArray[np.int16], ct: Grid, body: Grid, body_occupancy: FloatArray, grid: Grid
) -> FloatArray:
    """CT on the calculation grid: the mean over each voxel's volume, air outside BODY.

    Parameters
    ----------
    ct_hu
        Shape (z, y, x) on ``ct``, HU.
    body_occupancy
        Shape (z, y, x) on ``body``, a crop of ``ct``: all that is not air; CT voxels less than half inside are outside.

    Returns
    -------
    Shape (z, y, x) on ``grid``, float32, HU.
    """
    x, y, z = (round(float(i)) for i in ct.index_of(np.asarray([body.origin_mm]))[0])
    nz, ny, nx = body_occupancy.shape
    part = ct_hu[z : z + nz, y : y + ny, x : x + nx]
    # Above air there is something inside BODY alone: a large CT is never held in floats as a whole.
    above_air = np.where(body_occupancy >= 0.5, part - np.float32(AIR_HU), np.float32(0))
    by_x, by_y, by_z = (_overlap(ct, grid, axis).sum(axis=1) for axis in range(3))
    covered = by_z[:, None, None] * by_y[:, None] * by_x
    mean = mean_on_grid(above_air, body, grid)
    return np.divide(mean, covered, out=np.zeros_like(mean), where=covered > 0) + np.float32(AIR_HU)


def occupancy_on_grid(occupancy: FloatArray, structure: Grid, grid: Grid) -> FloatArray:
    """Share of each voxel of ``grid`` inside a structure: shape (z, y, x), float32, 0..1.

    Parameters
    ----------
    occupancy
        Share of each voxel of ``structure`` inside: shape (z, y, x), 0..1.
    """
    return mean_on_grid(occupancy, structure, grid)


def mean_on_grid(values: FloatArray, source: Grid, grid: Grid) -> FloatArray:
    """Mean of ``values`` over each voxel of ``grid``; 0 outside ``source``.

    Shape (z, y, x) on ``source`` in, on ``grid`` out, float32. Both are boxes of boxes, so that the overlap of two
    voxels is the product of those along each axis.
    """
    out = values.astype(np.float32, copy=False)
    for axis in range(3):
        # A sparse product adds up in one order; the bits of a dense one depend on the number of threads.
        weights = csr_matrix(_overlap(source, grid, axis))
        lines = np.moveaxis(out, 2 - axis, 0)
        mean = weights @ lines.reshape(len(lines), -1)
        out = np.moveaxis(mean.reshape(-1, *lines.shape[1:]), 0, 2 - axis)
    return np.ascontiguousarray(out, dtype=np.float32)


def _overlap(source: Grid, grid: Grid, axis: int) -> FloatArray:
    """Share of each voxel of ``grid`` (rows) covered by each voxel of ``source``, along one axis."""
    fine, coarse = source.spacing_mm[axis], grid.spacing_mm[axis]
    near = source.axis_mm(axis)[None, :]
    far = grid.axis_mm(axis)[:, None]
    common = np.minimum(near + fine / 2, far + coarse / 2) - np.maximum(near - fine / 2, far - coarse / 2)
    return (np.maximum(common, 0.0) / coarse).astype(np.float32)


def _box_mm(grid: Grid, occupancy: FloatArray) -> tuple[list[float], list[float]]:
    """Centres of the first and last voxels inside, x y z, mm."""
    filled = occupancy > 0
    if not filled.any():
        raise RefusedError("BODY is empty.", "Contour the patient's outline.")
    low: list[float] = []
    high: list[float] = []
    for axis in range(3):
        places = np.flatnonzero(filled.any(axis=tuple(other for other in range(3) if other != 2 - axis)))
        low.append(grid.origin_mm[axis] + grid.spacing_mm[axis] * int(places[0]))
        high.append(grid.origin_mm[axis] + grid.spacing_mm[axis] * int(places[-1]))
    return low, high
