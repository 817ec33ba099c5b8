"""Drawn structures on a lattice, and shapes of a lattice as solids of a DVH."""

from collections.abc import Iterator, Sequence
from math import sqrt

import numpy as np
import numpy.typing as npt
from radiarch_common.contours import slabs
from radiarch_common.geometry import Contour, Grid
from scipy.sparse import csr_matrix

from radiarch_planner.solids.planes import Raster
from radiarch_planner.solids.sections import Section, Sectioned
from radiarch_planner.structures.lattice import Box, Extent, FloatArray, Lattice, Shape


def extent_of(contours: Sequence[Contour], slice_mm: float) -> Extent | None:
    """Where a drawn structure lies, end caps included; None when it has no closed contour."""
    stack = slabs(contours, slice_mm)
    if not stack:
        return None
    points = np.concatenate([polygon for slab in stack for polygon in slab.polygons])
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return Extent((x0, y0, stack[0].z_low_mm), (x1, y1, stack[-1].z_high_mm))


def rasterised(solid: Sectioned, lattice: Lattice, box: Box) -> Shape:
    """A solid on the cells of a box: the solid that its DVH is taken of."""
    share = np.zeros(box.shape, np.float32)
    if solid.raster is None or 0 in box.shape:
        return Shape(box, share)
    # Sparse products add up in one order; the bits of dense ones depend on the number of threads.
    columns = csr_matrix(_overlap(solid.raster.x_edges_mm, lattice.edges_mm(box, 0)))
    rows = csr_matrix(_overlap(solid.raster.y_edges_mm, lattice.edges_mm(box, 1)))
    planes = lattice.edges_mm(box, 2)
    for section in solid.sections():
        half = section.thickness_mm / 2
        parts = _overlap(np.array([section.z_mm - half, section.z_mm + half]), planes)[:, 0]
        touched = np.flatnonzero(parts)
        if len(touched):
            plane = (columns @ (rows @ section.share.astype(np.float32, copy=False)).T).T
            share[touched] += parts[touched, None, None] * plane
    return Shape(box, np.clip(share, 0, 1, out=share))


class VoxelSolid:
    """A structure that is known by voxels alone, as the sections that a DVH is taken of: its planes.

    Parameters
    ----------
    share
        Share of each voxel of ``grid`` inside: shape (z, y, x), 0..1.
    """

    def __init__(self, share: FloatArray, grid: Grid) -> None:
        self._share, self._grid = share, grid
        edges = [grid.edges_mm()[0][axis] + grid.spacing_mm[axis] * np.arange(grid.size[axis] + 1) for axis in (0, 1)]
        # The raster's only use of its edge is the area of a cell.
        self.raster: Raster | None = Raster(sqrt(grid.spacing_mm[0] * grid.spacing_mm[1]), edges[0], edges[1])

    def sections(self) -> Iterator[Section]:
        """One for each plane of voxels."""
        for z_mm, plane in zip(self._grid.axis_mm(2), self._share, strict=True):
            yield Section(float(z_mm), self._grid.spacing_mm[2], plane)


def _overlap(source: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> FloatArray:
    """Share of each interval between ``target`` edges (rows) that each between ``source`` edges covers."""
    low = np.maximum(source[None, :-1], target[:-1, None])
    high = np.minimum(source[None, 1:], target[1:, None])
    return (np.maximum(high - low, 0) / np.diff(target)[:, None]).astype(np.float32)
