"""Planes of contours on a fine raster: coverage, nearest boundary, size."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
import numpy.typing as npt
from radiarch_common.contours import Slab, plane_coverage
from scipy import ndimage

FloatArray = npt.NDArray[np.float64]
ShareArray = npt.NDArray[np.float32]

FINEST_MM = 0.25
CELLS_PER_PLANE = 40_000
"""A structure's bounding box is cut into about this many cells, none smaller than ``FINEST_MM``."""


@dataclass(frozen=True)
class Raster:
    """Square cells in the axial plane that hold a whole structure and two cells around it.

    Attributes
    ----------
    cell_mm
        Edge of a cell: 0.25 mm up to a bounding box of 50 x 50 mm, 1.6 mm for one of 400 x 250 mm.
    x_edges_mm, y_edges_mm
        Rising, LPS, mm.
    """

    cell_mm: float
    x_edges_mm: FloatArray
    y_edges_mm: FloatArray

    @classmethod
    def around(cls, slabs: Sequence[Slab]) -> "Raster":
        """The raster of a structure: its cells grow with the area of its bounding box."""
        points = np.concatenate([p for slab in slabs for p in slab.polygons])
        low, high = points.min(axis=0), points.max(axis=0)
        cell = max(FINEST_MM, sqrt(float(np.prod(high - low)) / CELLS_PER_PLANE), float((high - low).max()) / 2000)
        edges = [
            cell * np.arange(np.floor(a / cell) - 2, np.floor(a / cell) + ceil((b - a) / cell) + 4)
            for a, b in zip(low, high, strict=True)
        ]
        return cls(cell, edges[0], edges[1])

    @property
    def x_mm(self) -> FloatArray:
        """Centres of the columns."""
        return (self.x_edges_mm[1:] + self.x_edges_mm[:-1]) / 2

    @property
    def y_mm(self) -> FloatArray:
        """Centres of the rows."""
        return (self.y_edges_mm[1:] + self.y_edges_mm[:-1]) / 2


@dataclass(frozen=True)
class Plane:
    """The contours of one plane on a raster.

    Attributes
    ----------
    share
        Share of each cell inside: shape (ny, nx), float32, 0..1.
    present
        Cells that the contours cover or cross; a contour that is a point or a line covers none.
    x_mm, y_mm
        For each cell, the boundary point nearest to it: shape (ny, nx), float32, mm.
    area_mm2
        Inside the contours.
    thickness2_mm2
        Square of the radius of the largest circle inside the contours.
    """

    share: ShareArray
    present: npt.NDArray[np.bool_]
    x_mm: ShareArray
    y_mm: ShareArray
    area_mm2: float
    thickness2_mm2: float


def plane_of(polygons: Sequence[FloatArray], raster: Raster) -> Plane:
    """Contours of one plane, each of shape (n, 2), mm, on a raster that holds them."""
    share = plane_coverage(polygons, raster.x_edges_mm, raster.y_edges_mm).astype(np.float32)
    x_mm, y_mm, crossed = _nearest_boundary(polygons, raster)
    inside = share >= 0.5
    distance2 = np.square(raster.x_mm[None, :] - x_mm) + np.square(raster.y_mm[:, None] - y_mm)
    thickness2 = float(distance2[inside].max()) if np.any(inside) else 0.0
    area = float(share.sum(dtype=np.float64)) * raster.cell_mm**2
    return Plane(share, crossed | (share > 0), x_mm, y_mm, area, thickness2)


def _nearest_boundary(
    polygons: Sequence[FloatArray], raster: Raster
) -> tuple[ShareArray, ShareArray, npt.NDArray[np.bool_]]:
    """The boundary point nearest to each cell (x and y), and which cells the boundary crosses.

    The point is the mean of the boundary in the nearest cell that it crosses.
    """
    points = np.concatenate([_walked(p, raster.cell_mm / 2) for p in polygons])
    nx, ny = len(raster.x_edges_mm) - 1, len(raster.y_edges_mm) - 1
    column = np.clip(np.searchsorted(raster.x_edges_mm, points[:, 0], side="right") - 1, 0, nx - 1)
    row = np.clip(np.searchsorted(raster.y_edges_mm, points[:, 1], side="right") - 1, 0, ny - 1)
    cell = row * nx + column
    count = np.bincount(cell, minlength=nx * ny)
    crossed = (count > 0).reshape(ny, nx)
    nearest = ndimage.distance_transform_edt(~crossed, return_distances=False, return_indices=True)
    rows, columns = np.asarray(nearest)
    source = rows * nx + columns
    x_mm, y_mm = (
        (np.bincount(cell, points[:, i], minlength=nx * ny) / np.maximum(count, 1)).astype(np.float32)[source]
        for i in (0, 1)
    )
    return x_mm, y_mm, crossed


def _walked(polygon: FloatArray, step_mm: float) -> FloatArray:
    """Points along a closed polygon, no further apart than ``step_mm``."""
    edge = np.roll(polygon, -1, axis=0) - polygon
    count = np.maximum(1, np.ceil(np.hypot(edge[:, 0], edge[:, 1]) / step_mm)).astype(np.int64)
    start = np.repeat(np.arange(len(polygon)), count)
    step = np.arange(len(start)) - np.repeat(np.cumsum(count) - count, count)
    return polygon[start] + edge[start] * ((step + 0.5) / count[start])[:, None]
