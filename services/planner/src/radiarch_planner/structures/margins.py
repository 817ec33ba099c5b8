"""A shape grown or shrunk by margins that may differ from side to side.

A point belongs to the grown shape when some point of the shape lies within the margin of it; with sides that differ,
within the ellipsoid whose semi-axes are the margins of the octant it looks to. The sum of squares of the three
distances, each in parts of its margin, is minimised axis by axis. It starts from where the surface crosses the
lattice's lines, found between cell centres from the share of the cells inside, so that the surface is known better
than to a cell; a line along each of the axes takes its turn to start.

The share of a cell that the new surface crosses follows from its distance to it. On average over a sphere the
surface is off by less than a tenth of a cell, by less than a twentieth for margins of two cells and more.
"""

from math import ceil, inf

import numpy as np
import numpy.typing as npt

from radiarch_planner.structures.lattice import FloatArray, Point

_LEAST = 1e-3
"""A side without a margin counts as this part of a cell, so that it can be divided by."""
_FAR = 1e8
"""Squared distances above this many margins need not be told apart."""


def grown(share: FloatArray, cell_mm: Point, lower_mm: Point, upper_mm: Point) -> FloatArray:
    """A shape and its margin.

    Parameters
    ----------
    share
        Share of each cell inside, shape (z, y, x), 0..1, with room for the margin around.
    cell_mm, lower_mm, upper_mm
        Along x, y, z: edge of a cell; margins towards falling and rising coordinates, not negative.
    """
    lower, upper = (
        [max(mm / cell, _LEAST) for mm, cell in zip(sides, cell_mm, strict=True)] for sides in (lower_mm, upper_mm)
    )
    squared = np.full(share.shape, inf, np.float32)
    for first in range(3):
        part = _along(share, first, lower[first], upper[first])
        for axis in range(3):
            if axis != first:
                part = _spread(part, axis, lower[axis], upper[axis])
        np.minimum(squared, part, out=squared)
    return np.maximum(share, _share_of(share, squared, lower, upper))


def shrunk(share: FloatArray, cell_mm: Point, lower_mm: Point, upper_mm: Point) -> FloatArray:
    """A shape without its margin: what is outside grows into it. See ``grown``; the box must end outside."""
    return np.float32(1) - grown(np.float32(1) - share, cell_mm, upper_mm, lower_mm)


def _share_of(share: FloatArray, squared: FloatArray, lower: list[float], upper: list[float]) -> FloatArray:
    """Share of each cell inside the grown shape."""
    beyond = np.sqrt(np.minimum(squared, np.float32(_FAR))) - np.float32(1)
    slope = np.maximum(_slope(beyond, (squared > 0) & (squared < _FAR)), np.float32(1e-6))
    found = np.clip(np.float32(0.5) - beyond / slope, 0, 1)
    # Cells of the shape's own surface: the new one lies as far outside of them as the margin along the normal says.
    own = np.nonzero((share >= 0.5) & (share < 1))
    found[share >= 1] = 1
    gradient = [np.gradient(share, axis=2 - axis)[own] if share.shape[2 - axis] > 1 else 0.0 for axis in range(3)]
    length = np.maximum(np.sqrt(sum(np.square(g) for g in gradient)), 1e-6)
    reach = [np.where(g < 0, up, low) * g / length for g, low, up in zip(gradient, lower, upper, strict=True)]
    # In a thin part the share has no slope: the surface moves by the least margin at least.
    moved = np.maximum(np.sqrt(sum(np.square(r) for r in reach)), min(lower + upper))
    found[own] = np.minimum(share[own] + moved, 1.0)
    return found.astype(np.float32, copy=False)


def _slope(values: FloatArray, outside: npt.NDArray[np.bool_]) -> FloatArray:
    """Steepness per cell, from neighbours outside of the old shape whose distance was followed."""
    total = np.zeros_like(values)
    for axis in range(3):
        lines, valid = np.moveaxis(values, axis, 0), np.moveaxis(outside, axis, 0)
        steps = np.where(valid[1:] & valid[:-1], np.diff(lines, axis=0), np.float32(0))
        rise = np.zeros_like(lines)
        rise[1:] += steps
        rise[:-1] += steps
        count = np.zeros(lines.shape, np.float32)
        count[1:] += valid[:-1]
        count[:-1] += valid[1:]
        total += np.moveaxis(np.square(rise / np.maximum(count, 1)), 0, axis)
    return np.sqrt(total, out=total)


def _along(share: FloatArray, axis: int, lower: float, upper: float) -> FloatArray:
    """Squared distance of each cell from the shape along one axis, in margins; 0 inside."""
    lines = np.moveaxis(share, 2 - axis, -1)
    inside = lines >= 0.5
    place = np.arange(lines.shape[-1], dtype=np.float32)
    # Between cells i and i + 1, where they lie on different sides: the place where the share passes a half.
    a, b = lines[..., :-1], lines[..., 1:]
    step = np.where(a == b, np.float32(1), b - a)
    crossing = place[:-1] + np.clip((np.float32(0.5) - a) / step, 0, 1)
    left = np.full(lines.shape, -inf, np.float32)
    left[..., 1:] = np.where(inside[..., :-1] & ~inside[..., 1:], crossing, -inf)
    right = np.full(lines.shape, inf, np.float32)
    right[..., :-1] = np.where(~inside[..., :-1] & inside[..., 1:], crossing, inf)
    np.maximum.accumulate(left, axis=-1, out=left)
    right = np.minimum.accumulate(right[..., ::-1], axis=-1)[..., ::-1]
    distance = np.minimum((place - left) / np.float32(upper), (right - place) / np.float32(lower))
    squared = np.where(inside, np.float32(0), np.square(distance))
    return np.ascontiguousarray(np.moveaxis(squared, -1, 2 - axis))


def _spread(squared: FloatArray, axis: int, lower: float, upper: float) -> FloatArray:
    """The least of each cell's and its neighbours' values plus their squared distance along an axis, in margins."""
    lines = np.moveaxis(squared, 2 - axis, 0)
    found = lines.copy()
    for steps in range(1, min(_steps(upper), len(lines) - 1) + 1):
        cost = np.float32((steps / upper) ** 2)
        np.minimum(found[steps:], lines[:-steps] + cost, out=found[steps:])
    for steps in range(1, min(_steps(lower), len(lines) - 1) + 1):
        cost = np.float32((steps / lower) ** 2)
        np.minimum(found[:-steps], lines[steps:] + cost, out=found[:-steps])
    return np.moveaxis(found, 0, 2 - axis)


def _steps(margin: float) -> int:
    """Cells that a margin reaches, and two for the slope of the surface."""
    return ceil(margin) + 2 if margin > _LEAST else 0
