"""Solids from closed planar contours: coverage of cells and voxels, exact in plane; geometry only.

A structure is a stack of slabs. Each plane's contours fill the space half way to the neighbouring planes.
Inside a plane the even-odd rule holds: a contour within a contour is a hole, and a keyhole (one contour
that walks in and out along the same line) is one too.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from radiarch_common.geometry import Contour, Grid

FloatArray = npt.NDArray[np.float64]

SAME_PLANE_MM = 0.05
"""Contours closer than this along z lie on one plane."""

BRIDGED_PLANES = 2.5
"""Neighbouring planes further apart than this many plane spacings are ends, not neighbours."""


class Slab(NamedTuple):
    """What one plane of contours stands for: ``polygons`` of shape (n, 2) mm, from ``z_low_mm`` to ``z_high_mm``.

    ``z_mm`` is where they were drawn.
    """

    z_low_mm: float
    z_high_mm: float
    polygons: list[FloatArray]
    z_mm: float


class Gap(NamedTuple):
    """Two successive planes that are further apart than the structure's plane spacing."""

    z_low_mm: float
    z_high_mm: float
    bridged: bool


def plane_coverage(polygons: Sequence[FloatArray], x_edges_mm: FloatArray, y_edges_mm: FloatArray) -> FloatArray:
    """Share of each cell of a plane that lies inside closed polygons, by the even-odd rule.

    Exact up to rounding for polygons that do not cross themselves or each other; where they do, off by no
    more than the small strip around the crossing.

    Parameters
    ----------
    polygons
        Each of shape (n, 2), columns x y, mm, closed implicitly, of either direction.
    x_edges_mm, y_edges_mm
        Edges of the columns and rows, shape (nx + 1,) and (ny + 1,), rising.

    Returns
    -------
    Shape (ny, nx), float64, 0..1.
    """
    ny, nx = len(y_edges_mm) - 1, len(x_edges_mm) - 1
    cleaned = [p for p in (_cleaned(p) for p in polygons) if len(p) >= 3]
    if not cleaned:
        return np.zeros((ny, nx))
    start = np.concatenate(cleaned)
    end = np.concatenate([np.roll(p, -1, axis=0) for p in cleaned])
    levels = _levels(start, end, x_edges_mm, y_edges_mm)
    if len(levels) < 2:
        return np.zeros((ny, nx))
    strip, x_mm = _crossings(start, end, levels)
    order = np.lexsort((x_mm, strip))
    strip, x_mm = strip[order], x_mm[order]
    # A closed polygon crosses each strip an even number of times, so that entering and leaving alternate
    # along the whole sorted list.
    sign = np.where(np.arange(len(strip)) % 2 == 0, 1.0, -1.0)
    middle = (levels[1:] + levels[:-1]) / 2
    row = np.searchsorted(y_edges_mm, middle, side="right")[strip] - 1
    weight = sign * (np.diff(levels)[strip] / np.diff(y_edges_mm)[row])

    # A crossing in column i covers the rest of that column and all of the columns after it.
    column = np.searchsorted(x_edges_mm, x_mm, side="right") - 1
    inside = (column >= 0) & (column < nx)
    cell = (row * (nx + 1) + column)[inside]
    rest = (x_edges_mm[column[inside] + 1] - x_mm[inside]) / np.diff(x_edges_mm)[column[inside]]
    size = ny * (nx + 1)
    covered = np.zeros((ny, nx + 1))
    covered += np.bincount(row * (nx + 1) + np.minimum(column + 1, nx), weight, minlength=size).reshape(ny, nx + 1)
    np.cumsum(covered, axis=1, out=covered)
    covered += np.bincount(cell, weight[inside] * rest, minlength=size).reshape(ny, nx + 1)
    return np.clip(covered[:, :nx], 0.0, 1.0)


def slabs(contours: Sequence[Contour], slice_mm: float) -> list[Slab]:
    """The slabs that contours stand for, by rising z.

    A plane reaches half way to its neighbours. The ends of a structure, and of its parts when planes are
    missing between them, reach half of the structure's plane spacing.

    Parameters
    ----------
    contours
        In any order; those with fewer than three different points are ignored.
    slice_mm
        Slice spacing of the images they were drawn on: the thickness of a structure of one plane.
    """
    planes = _planes(contours)
    if not planes:
        return []
    z_mm = np.asarray([z for z, _ in planes])
    spacing = _plane_spacing(z_mm, slice_mm)
    reach = np.diff(z_mm) / 2
    reach[reach * 2 > BRIDGED_PLANES * spacing] = spacing / 2
    low = z_mm - np.concatenate([[spacing / 2], reach])
    high = z_mm + np.concatenate([reach, [spacing / 2]])
    return [Slab(float(a), float(b), p, float(z)) for a, b, (z, p) in zip(low, high, planes, strict=True)]


def gaps(contours: Sequence[Contour], slice_mm: float) -> list[Gap]:
    """Where planes seem to be missing: successive planes more than 1.5 plane spacings apart.

    Parameters
    ----------
    contours, slice_mm
        As for ``slabs``.

    Returns
    -------
    By rising z; ``bridged`` tells whether ``slabs`` fills the gap.
    """
    z_mm = np.asarray([z for z, _ in _planes(contours)])
    if len(z_mm) < 2:
        return []
    spacing = _plane_spacing(z_mm, slice_mm)
    wide = [(float(a), float(b)) for a, b in pairwise(z_mm) if b - a > 1.5 * spacing]
    return [Gap(a, b, b - a <= BRIDGED_PLANES * spacing) for a, b in wide]


def volume_cc(contours: Sequence[Contour], slice_mm: float) -> float:
    """Volume of the slabs, cm3, whether or not they lie on an image."""
    total_mm3 = 0.0
    for slab in slabs(contours, slice_mm):
        points = np.concatenate(slab.polygons)
        low, high = points.min(axis=0), points.max(axis=0)
        if np.all(high > low):
            share = plane_coverage(slab.polygons, np.array([low[0], high[0]]), np.array([low[1], high[1]]))
            total_mm3 += float(share[0, 0] * np.prod(high - low)) * (slab.z_high_mm - slab.z_low_mm)
    return total_mm3 / 1000.0


def occupancy(contours: Sequence[Contour], grid: Grid) -> tuple[npt.NDArray[np.uint8], Grid]:
    """Share of each voxel that lies inside a structure.

    Parameters
    ----------
    contours
        Closed planar contours; their planes need not coincide with those of ``grid``.
    grid
        The image; its slice spacing is the ``slice_mm`` of ``slabs``.

    Returns
    -------
    occupancy
        Shape (z, y, x), uint8, in 1/255, cropped to the voxels that the structure can touch.
    grid
        Where the cropped array lies. A structure that has no contour, or lies outside the image, gives one
        empty voxel at the image's origin.
    """
    stack = slabs(contours, grid.spacing_mm[2])
    box = _box(stack, grid)
    if box is None:
        return np.zeros((1, 1, 1), np.uint8), grid.crop((0, 0, 0), (1, 1, 1))
    low, size = box
    cropped = grid.crop(low, size)
    (x0, y0, z0), _ = cropped.edges_mm()
    x_edges = x0 + cropped.spacing_mm[0] * np.arange(size[0] + 1)
    y_edges = y0 + cropped.spacing_mm[1] * np.arange(size[1] + 1)
    filled = np.zeros(cropped.shape, np.uint8)
    covered: dict[int, FloatArray] = {}
    for plane in range(size[2]):
        bottom = z0 + plane * cropped.spacing_mm[2]
        shares = dict(_shares(stack, bottom, bottom + cropped.spacing_mm[2]))
        covered = {i: c for i, c in covered.items() if i in shares}
        total = np.zeros(cropped.shape[1:])
        for i, share in shares.items():
            if i not in covered:
                covered[i] = plane_coverage(stack[i].polygons, x_edges, y_edges)
            total += share * covered[i]
        filled[plane] = np.rint(np.minimum(total, 1.0) * 255)
    return filled, cropped


def _cleaned(points_mm: FloatArray) -> FloatArray:
    """Without points that repeat the one before them."""
    if not np.all(np.isfinite(points_mm)):
        raise ValueError("contour points must be finite")
    if len(points_mm) < 3:
        return points_mm[:0]
    return points_mm[np.any(points_mm != np.roll(points_mm, 1, axis=0), axis=1)]


def _levels(start: FloatArray, end: FloatArray, x_edges_mm: FloatArray, y_edges_mm: FloatArray) -> FloatArray:
    """Heights between which every edge is straight and stays in one row and one column."""
    low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    first = np.searchsorted(x_edges_mm, low, side="right")
    count = np.maximum(np.searchsorted(x_edges_mm, high, side="left") - first, 0)
    edge, step = _expanded(count)
    x_mm = x_edges_mm[first[edge] + step]
    slope = (end[edge, 1] - start[edge, 1]) / (end[edge, 0] - start[edge, 0])
    y_mm = start[edge, 1] + (x_mm - start[edge, 0]) * slope
    bottom, top = max(y_edges_mm[0], start[:, 1].min()), min(y_edges_mm[-1], start[:, 1].max())
    levels = np.concatenate([start[:, 1], y_mm, y_edges_mm, [bottom, top]])
    return np.unique(levels[(levels >= bottom) & (levels <= top)])


def _crossings(start: FloatArray, end: FloatArray, levels: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Strip number and x at mid height of each passage of an edge through a strip between two levels."""
    y_low = np.clip(np.minimum(start[:, 1], end[:, 1]), levels[0], levels[-1])
    y_high = np.clip(np.maximum(start[:, 1], end[:, 1]), levels[0], levels[-1])
    first = np.searchsorted(levels, y_low)
    edge, step = _expanded(np.searchsorted(levels, y_high) - first)
    strip = first[edge] + step
    y_mm = (levels[strip] + levels[strip + 1]) / 2
    slope = (end[edge, 0] - start[edge, 0]) / (end[edge, 1] - start[edge, 1])
    return strip, start[edge, 0] + (y_mm - start[edge, 1]) * slope


def _expanded(count: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """For counts (2, 0, 3): which entry (0, 0, 2, 2, 2), and its how-manieth (0, 1, 0, 1, 2)."""
    entry = np.repeat(np.arange(len(count)), count)
    return entry, np.arange(len(entry)) - np.repeat(np.cumsum(count) - count, count)


def _planes(contours: Sequence[Contour]) -> list[tuple[float, list[FloatArray]]]:
    """Contours by plane, rising z."""
    planes: list[tuple[float, list[FloatArray]]] = []
    for contour in sorted(contours, key=lambda c: c.z_mm):
        points = _cleaned(contour.points_mm)
        if len(points) < 3:
            continue
        if planes and contour.z_mm - planes[-1][0] < SAME_PLANE_MM:
            planes[-1][1].append(points)
        else:
            planes.append((contour.z_mm, [points]))
    return planes


def _plane_spacing(z_mm: FloatArray, slice_mm: float) -> float:
    """The structure's own: its smallest, unless that is a stray plane next to another."""
    if len(z_mm) < 2:
        return slice_mm
    steps = np.sort(np.diff(z_mm))
    usual = float(steps[(len(steps) - 1) // 2])
    return float(steps[steps >= 0.5 * min(usual, slice_mm)][0])


def _box(stack: list[Slab], grid: Grid) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    """First voxel and number of voxels along x, y, z that the slabs can touch; None when there is none."""
    if not stack:
        return None
    points = np.concatenate([p for slab in stack for p in slab.polygons])
    corners = np.array(
        [[*points.min(axis=0), stack[0].z_low_mm], [*points.max(axis=0), stack[-1].z_high_mm]], dtype=np.float64
    )
    index = grid.index_of(corners) + 0.5
    low = np.clip(np.floor(index[0]), 0, grid.size).astype(int)
    high = np.clip(np.ceil(index[1]), 0, grid.size).astype(int)
    if np.any(high <= low):
        return None
    nx, ny, nz = (high - low).tolist()
    i, j, k = low.tolist()
    return (i, j, k), (nx, ny, nz)


def _shares(stack: list[Slab], bottom_mm: float, top_mm: float) -> Iterator[tuple[int, float]]:
    """Number of each slab that reaches into a plane of voxels, and the share of its thickness that it fills."""
    for i, slab in enumerate(stack):
        overlap = min(slab.z_high_mm, top_mm) - max(slab.z_low_mm, bottom_mm)
        if overlap > 0:
            yield i, overlap / (top_mm - bottom_mm)
