"""The solid between two planes of contours.

Where one plane's contours lie inside the other's, the boundary moves from the inner to the outer one along
rays that start at the nearest point of the inner. It passes each point of a ray once, so that the solid
always lies between the intersection and the union of the two planes.

How fast it moves cannot be told from two planes. It follows the mean of two paces: that which lets the area
change as the planes around say (right for a body that closes from all sides), and that which lets the square
of the largest inscribed circle's radius do so (right for one that closes from two sides only, as a lying
cylinder does).

A part that is there in one plane only ends half way, as a structure's ends do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from radiarch_planner.solids.planes import Plane, Raster, ShareArray

FloatArray = npt.NDArray[np.float64]
Pace = Callable[[float], float]

_PACES = np.linspace(0.0, 1.0, 65)
_ONE_WAY = 0.1
"""A pace is taken from sizes when this share of the change at most goes the other way; else it is uniform."""


@dataclass(frozen=True)
class Ring:
    """Cells that are more inside one plane (the outer) than the other (the inner).

    Attributes
    ----------
    cells
        Flat indices.
    inner, outer
        Share of each cell in the two planes.
    start_mm, length_mm
        How far along its ray the cell lies, and how long the ray is.
    """

    cells: npt.NDArray[np.intp]
    inner: ShareArray
    outer: ShareArray
    start_mm: FloatArray
    length_mm: FloatArray

    def share(self, pace: float, cell_mm: float) -> FloatArray:
        """Share of each cell when the boundary has gone ``pace`` (0..1) of its way."""
        passed = (pace * self.length_mm - self.start_mm) / cell_mm + 0.5
        return np.clip(passed, self.inner, self.outer)

    def areas(self) -> FloatArray:
        """Area gained, in cells, at each of ``_PACES``."""
        gain = self.outer.astype(np.float64) - self.inner
        reached = np.clip(self.start_mm / self.length_mm, 0.0, 1.0)
        bins = np.searchsorted(_PACES, reached)
        return np.cumsum(np.bincount(bins, gain, minlength=len(_PACES)).astype(np.float64))


class Loft:
    """The solid from ``low`` to ``high``, neighbouring planes on one raster.

    Parameters
    ----------
    area_bend, thickness_bend
        Second differences of area and of squared thickness, as ``second_difference`` gives them.
    """

    def __init__(self, low: Plane, high: Plane, raster: Raster, area_bend: float, thickness_bend: float) -> None:
        self._low, self._high, self._cell_mm = low, high, raster.cell_mm
        self._ends = _one_sided(low, high)
        through = ~self._ends
        self._common = np.where(through, np.minimum(low.share, high.share), np.float32(0))
        self._growing = _ring(low, high, through, raster)
        self._shrinking = _ring(high, low, through, raster)
        self._thickness = _thickness_pace(low, high, thickness_bend, raster.cell_mm)
        self._area = _area_pace(self._growing, self._shrinking, area_bend / raster.cell_mm**2)

    def section(self, t: float) -> FloatArray:
        """Share of each cell inside, at the fraction ``t`` of the way from low to high: shape (ny, nx)."""
        pace = (self._area(t) + self._thickness(t)) / 2
        found = self._common.astype(np.float64)
        flat = found.reshape(-1)
        flat[self._growing.cells] = self._growing.share(pace, self._cell_mm)
        flat[self._shrinking.cells] = self._shrinking.share(1.0 - pace, self._cell_mm)
        near = self._low if t < 0.5 else self._high
        return np.where(self._ends, near.share, found)


def second_difference(values: list[float], z_mm: list[float], k: int) -> float:
    """How a size bends between planes ``k`` and ``k + 1``: the smoother of the two sides' second differences.

    Zero when the sides disagree in sign; never so much that the size would turn between the planes.
    """
    step = z_mm[k + 1] - z_mm[k]
    sides = [
        2 * ((values[i + 1] - values[i]) / after - (values[i] - values[i - 1]) / before) / (after + before) * step**2
        for i in (k, k + 1)
        if 0 < i < len(values) - 1
        for before, after in [(z_mm[i] - z_mm[i - 1], z_mm[i + 1] - z_mm[i])]
    ]
    if not sides or min(sides) * max(sides) <= 0:
        return 0.0
    smooth = min(sides, key=abs)
    most = 2 * abs(values[k + 1] - values[k])
    return float(np.clip(smooth, -most, most))


def _between(a: float, b: float, bend: float, t: float) -> float:
    return (1 - t) * a + t * b - t * (1 - t) / 2 * bend


def _one_sided(low: Plane, high: Plane) -> npt.NDArray[np.bool_]:
    """Cells of connected parts that only one of the planes has."""
    labels = np.zeros(low.present.shape, dtype=np.int32)
    ndimage.label(low.present | high.present, structure=np.ones((3, 3)), output=labels)
    count = int(labels.max()) + 1
    has_low, has_high = (np.bincount(labels[p.present], minlength=count) > 0 for p in (low, high))
    ends = has_low != has_high
    ends[0] = False
    return ends[labels]


def _ring(inner: Plane, outer: Plane, through: npt.NDArray[np.bool_], raster: Raster) -> Ring:
    """Cells between two planes, and their rays from the inner boundary outwards."""
    rows, columns = np.nonzero((outer.share > inner.share + 1e-6) & through)
    x0, y0 = inner.x_mm[rows, columns].astype(np.float64), inner.y_mm[rows, columns].astype(np.float64)
    dx, dy = raster.x_mm[columns] - x0, raster.y_mm[rows] - y0
    distance = np.maximum(np.hypot(dx, dy), 1e-6)
    start = (np.stack([y0 - raster.y_mm[0], x0 - raster.x_mm[0]])) / raster.cell_mm
    direction = np.stack([dy, dx]) / distance
    length = _marched(outer.share, start, direction, distance / raster.cell_mm) * raster.cell_mm
    part = inner.share[rows, columns]
    # A cell that the inner boundary crosses: what its coverage says is finer than the distance of its centre.
    from_boundary = np.where(part > 0, (0.5 - part) * raster.cell_mm, distance)
    cells = rows * outer.share.shape[1] + columns
    return Ring(cells, part, outer.share[rows, columns], from_boundary, np.maximum(length, 1e-3))


@numba.njit(nogil=True)  # pyright: ignore[reportUntypedFunctionDecorator]
def _marched(share: ShareArray, start: FloatArray, direction: FloatArray, length: FloatArray) -> FloatArray:
    """Where rays leave a plane's contours; all in cells, ``length`` is where to start looking.

    ``start`` and ``direction`` have the shape (2, n), rows y and x.
    """
    found = length.copy()
    for ray in range(len(length)):
        y, x = start[0, ray], start[1, ray]
        dy, dx = direction[0, ray], direction[1, ray]
        before = max(_at(share, y + dy * found[ray], x + dx * found[ray]), 0.5)
        for _ in range(share.shape[0] + share.shape[1]):
            after = _at(share, y + dy * (found[ray] + 1.0), x + dx * (found[ray] + 1.0))
            if after < 0.5:
                found[ray] += (before - 0.5) / max(before - after, 1e-9)
                break
            before = after
            found[ray] += 1.0
    return found


@numba.njit(nogil=True)  # pyright: ignore[reportUntypedFunctionDecorator]
def _at(share: ShareArray, y: float, x: float) -> Any:  # noqa: ANN401 - compiled: a float
    """Bilinear between the centres of cells; 0 outside of them."""
    rows, columns = share.shape
    if y < 0 or x < 0 or y > rows - 1 or x > columns - 1:
        return 0.0
    j, i = min(int(y), rows - 2), min(int(x), columns - 2)
    v, u = y - j, x - i
    low = (1 - u) * share[j, i] + u * share[j, i + 1]
    high = (1 - u) * share[j + 1, i] + u * share[j + 1, i + 1]
    return (1 - v) * low + v * high


def _thickness_pace(low: Plane, high: Plane, bend: float, cell_mm: float) -> Pace:
    a, b = np.sqrt(low.thickness2_mm2), np.sqrt(high.thickness2_mm2)
    if abs(b - a) < 0.02 * cell_mm:
        return lambda t: t

    def pace(t: float) -> float:
        now = np.sqrt(max(_between(low.thickness2_mm2, high.thickness2_mm2, bend, t), 0.0))
        return float(np.clip((now - a) / (b - a), 0.0, 1.0))

    return pace


def _area_pace(growing: Ring, shrinking: Ring, bend: float) -> Pace:
    gained, lost = growing.areas(), shrinking.areas()
    if min(gained[-1], lost[-1]) > _ONE_WAY * max(gained[-1], lost[-1]) or gained[-1] == lost[-1]:
        return lambda t: t
    change = gained + lost[::-1] - lost[-1]
    if gained[-1] < lost[-1]:
        change, bend = -change, -bend
    change = np.maximum.accumulate(change - change[0])
    return lambda t: float(np.interp(_between(0.0, float(change[-1]), bend, t), change, _PACES))
