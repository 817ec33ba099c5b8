"""A fine lattice of cells, and shapes on parts of it."""

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt
from radiarch_common.geometry import Grid

FloatArray = npt.NDArray[np.float32]
Point = tuple[float, float, float]
Index = tuple[int, int, int]

FINEST_MM = 0.5
CELLS = 4_000_000
"""Of the largest shape; above it the cells grow."""
_STORED = 1 / 510
"""The least share that is more than nothing in 1/255."""


@dataclass(frozen=True)
class Extent:
    """A box in LPS, mm; empty when a lower corner is not below the upper one."""

    low_mm: Point
    high_mm: Point

    @property
    def empty(self) -> bool:
        """Whether nothing lies in it."""
        return any(low >= high for low, high in zip(self.low_mm, self.high_mm, strict=True))

    @property
    def volume_mm3(self) -> float:
        """Its volume; 0 when it is empty."""
        sides = np.subtract(self.high_mm, self.low_mm)
        return 0.0 if self.empty else float(np.prod(sides))

    def grown(self, lower_mm: Point, upper_mm: Point) -> "Extent":
        """With margins on the sides of falling and of rising coordinates."""
        low, high = np.subtract(self.low_mm, lower_mm), np.add(self.high_mm, upper_mm)
        return Extent(_point(low), _point(high))

    def __and__(self, other: "Extent") -> "Extent":
        """What lies in both."""
        return Extent(_point(np.maximum(self.low_mm, other.low_mm)), _point(np.minimum(self.high_mm, other.high_mm)))

    def __or__(self, other: "Extent") -> "Extent":
        """The box around both."""
        return Extent(_point(np.minimum(self.low_mm, other.low_mm)), _point(np.maximum(self.high_mm, other.high_mm)))


@dataclass(frozen=True)
class Box:
    """Cells of a lattice from ``low`` to below ``high``, x y z."""

    low: Index
    high: Index

    @property
    def shape(self) -> Index:
        """Shape of an array on it: (z, y, x)."""
        x, y, z = (max(high - low, 0) for low, high in zip(self.low, self.high, strict=True))
        return z, y, x

    def __and__(self, other: "Box") -> "Box":
        """Cells that are in both; of no size when there are none."""
        low = tuple(max(a, b) for a, b in zip(self.low, other.low, strict=True))
        high = tuple(max(min(a, b), c) for a, b, c in zip(self.high, other.high, low, strict=True))
        return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))

    def slices_in(self, outer: "Box") -> tuple[slice, slice, slice]:
        """Where the box lies in an array on ``outer``, which holds it."""
        x, y, z = (
            slice(low - start, high - start) for low, high, start in zip(self.low, self.high, outer.low, strict=True)
        )
        return z, y, x


@dataclass(frozen=True)
class Shape:
    """Share of each cell of a box inside: shape (z, y, x), float32, 0..1; outside of the box there is none."""

    box: Box
    share: FloatArray

    def on(self, box: Box) -> FloatArray:
        """On other cells of the same lattice."""
        found = np.zeros(box.shape, np.float32)
        common = self.box & box
        found[common.slices_in(box)] = self.share[common.slices_in(self.box)]
        return found

    def trimmed(self) -> "Shape":
        """Without empty cells around; of no size when all are. A share too small to be stored is none."""
        low: list[int] = []
        high: list[int] = []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != 2 - axis)
            filled = np.flatnonzero(self.share.max(axis=others, initial=0) >= _STORED)
            low.append(self.box.low[axis] + (int(filled[0]) if len(filled) else 0))
            high.append(self.box.low[axis] + (int(filled[-1]) + 1 if len(filled) else 0))
        box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
        return Shape(box, self.on(box))


@dataclass(frozen=True)
class Lattice:
    """Cells in space; those of one CT slice fill it from face to face.

    Attributes
    ----------
    anchor
        Its cell (0, 0, 0).
    """

    anchor: Grid

    @classmethod
    def of(cls, ct: Grid, largest_mm3: float) -> "Lattice":
        """A lattice for shapes up to a volume: cells of 0.5 mm, or as large as 4 million of them need be.

        Along z a whole number of cells fills a slice.
        """
        cell = max(FINEST_MM, (largest_mm3 / CELLS) ** (1 / 3))
        slice_mm = ct.spacing_mm[2]
        spacing = (cell, cell, slice_mm / ceil(slice_mm / cell - 1e-6))
        edge, _ = ct.edges_mm()
        origin = np.add(edge, np.divide(spacing, 2))
        return cls(Grid(origin_mm=_point(origin), spacing_mm=spacing, size=(1, 1, 1)))

    @property
    def cell_mm(self) -> Point:
        """Edges of a cell along x, y, z."""
        return self.anchor.spacing_mm

    def box(self, extent: Extent) -> Box:
        """The cells that an extent touches, and one around, so that every shape ends inside its box."""
        if extent.empty:
            return Box((0, 0, 0), (0, 0, 0))
        corners = self.anchor.index_of(np.array([extent.low_mm, extent.high_mm])) + 0.5
        low = np.floor(corners[0] - 1e-6).astype(int) - 1
        high = np.ceil(corners[1] + 1e-6).astype(int) + 1
        return Box((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2])))

    def grid(self, box: Box) -> Grid:
        """Where an array on a box lies; the box must have a size."""
        z, y, x = box.shape
        return self.anchor.crop(box.low, (x, y, z))

    def edges_mm(self, box: Box, axis: int) -> npt.NDArray[np.float64]:
        """Faces of a box's cells along one axis, rising."""
        start = self.anchor.origin_mm[axis] + (box.low[axis] - 0.5) * self.cell_mm[axis]
        return start + self.cell_mm[axis] * np.arange(box.high[axis] - box.low[axis] + 1)


def _point(values: npt.NDArray[np.float64]) -> Point:
    x, y, z = values.tolist()
    return x, y, z
