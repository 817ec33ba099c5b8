"""Planes through volumes: where to cut, and what the cut shows.

A plane is seen as clinicians see it: axial from the feet, coronal from the front, sagittal from the left.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from radiarch_common.geometry import Grid

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """One of the three anatomical views.

    Attributes
    ----------
    normal, across, down
        Patient axis (0 = x, 1 = y, 2 = z) along which it is cut, and those it shows.
    head_up
        Whether the vertical axis grows towards the top of the picture.
    letters
        Patient directions at left, right, top and bottom of the picture.
    """

    name: str
    normal: int
    across: int
    down: int
    head_up: bool
    letters: tuple[str, str, str, str]


AXIAL = View("Axial", normal=2, across=0, down=1, head_up=False, letters=("R", "L", "A", "P"))
CORONAL = View("Coronal", normal=1, across=0, down=2, head_up=True, letters=("R", "L", "H", "F"))
SAGITTAL = View("Sagittal", normal=0, across=1, down=2, head_up=True, letters=("A", "P", "H", "F"))


@dataclass(frozen=True)
class Plane:
    """A cut: ``values`` of shape (down, across) at the positions ``down_mm`` and ``across_mm`` (ascending)."""

    values: FloatArray
    across_mm: FloatArray
    down_mm: FloatArray

    def finer(self, step_mm: float) -> "Plane":
        """The same cut sampled about every ``step_mm``, bilinear between the voxel centres."""
        across, down = _between(self.across_mm, step_mm), _between(self.down_mm, step_mm)
        rows = _lerp(self.values, np.interp(down, self.down_mm, np.arange(len(self.down_mm))))
        values = _lerp(rows.T, np.interp(across, self.across_mm, np.arange(len(self.across_mm)))).T
        return Plane(values, across, down)


def cut(volume: npt.NDArray[np.floating[Any] | np.integer[Any]], grid: Grid, view: View, at_mm: float) -> Plane | None:
    """The plane of ``volume`` (z, y, x) at ``at_mm`` along the view's normal; ``None`` outside the grid.

    Between two voxel planes the values are interpolated; within half a voxel of the grid's faces they are
    those of the outermost plane.
    """
    low, high = grid.edges_mm()[0][view.normal], grid.edges_mm()[1][view.normal]
    if not low <= at_mm <= high:
        return None
    axis = 2 - view.normal
    last = volume.shape[axis] - 1
    position = float(np.clip((at_mm - grid.origin_mm[view.normal]) / grid.spacing_mm[view.normal], 0, last))
    below = min(int(position), last)
    share = position - below
    lower, upper = (np.asarray(np.take(volume, k, axis=axis), dtype=np.float64) for k in (below, min(below + 1, last)))
    values: FloatArray = np.add(lower, share * np.subtract(upper, lower))
    return Plane(values, grid.axis_mm(view.across), grid.axis_mm(view.down))


def where_to_cut(
    occupancy: npt.NDArray[np.float32], grid: Grid, isocentre_mm: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Positions along x, y, z of the three planes, mm.

    Along each axis: of the voxel planes that show nearly all (95 %) of what any shows of the target, the one
    nearest to the isocentre. So the cut goes through the isocentre of a compact target, and through the
    target when the isocentre lies in its hollow.
    """
    found: list[float] = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != 2 - axis)
        area = occupancy.sum(axis=others)
        places = grid.axis_mm(axis)[area >= 0.95 * area.max()]
        found.append(float(places[np.argmin(np.abs(places - isocentre_mm[axis]))]))
    return found[0], found[1], found[2]


def extent_mm(occupancy: npt.NDArray[np.float32], grid: Grid) -> tuple[tuple[float, float], ...]:
    """From where to where a structure reaches along x, y, z, mm (outer faces of its voxels)."""
    ranges: list[tuple[float, float]] = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != 2 - axis)
        filled = np.flatnonzero(occupancy.max(axis=others) >= 0.5)
        first, last = (filled[0], filled[-1]) if len(filled) else (0, grid.size[axis] - 1)
        origin, spacing = grid.origin_mm[axis], grid.spacing_mm[axis]
        ranges.append((origin + (first - 0.5) * spacing, origin + (last + 0.5) * spacing))
    return tuple(ranges)


def _between(places_mm: FloatArray, step_mm: float) -> FloatArray:
    count = max(2, 1 + round(float(places_mm[-1] - places_mm[0]) / step_mm)) if len(places_mm) > 1 else 1
    return np.linspace(places_mm[0], places_mm[-1], count)


def _lerp(rows: FloatArray, positions: FloatArray) -> FloatArray:
    below = np.minimum(positions.astype(np.int64), len(rows) - 1)
    above = np.minimum(below + 1, len(rows) - 1)
    share = (positions - below)[:, None]
    return (1 - share) * rows[below] + share * rows[above]
