"""What two shapes have in common, cell by cell.

Two shares alone do not say how much of a cell lies in both: of two halves it may be a half (the shapes share the
surface) or nothing (they touch in it). Which it is, the directions of the two surfaces tell.
"""

import numpy as np
import numpy.typing as npt

from radiarch_planner.structures.lattice import FloatArray


def overlap(a: FloatArray, b: FloatArray) -> FloatArray:
    """Share of each cell that lies in both of two shapes; all of shape (z, y, x), float32, 0..1.

    Between the most that the shares allow (surfaces that face the same way), the least (surfaces that face each
    other), and their product (surfaces at right angles).
    """
    common = a * b
    where = np.nonzero((a > 0) & (a < 1) & (b > 0) & (b < 1))
    if len(where[0]) == 0:
        return common
    part_a, part_b = a[where], b[where]
    gradients = [(_slope_at(a, where, axis), _slope_at(b, where, axis)) for axis in range(3)]
    dot = sum((p * q for p, q in gradients), np.zeros_like(part_a))
    lengths = np.sqrt(sum(np.square(p) for p, _ in gradients)) * np.sqrt(sum(np.square(q) for _, q in gradients))
    cosine = np.clip(dot / np.maximum(lengths, 1e-9), -1, 1)
    product = part_a * part_b
    most, least = np.minimum(part_a, part_b), np.maximum(part_a + part_b - 1, 0)
    end = np.where(cosine > 0, most, least)
    common[where] = product + np.abs(cosine) * (end - product)
    return common


def _slope_at(share: FloatArray, where: tuple[npt.NDArray[np.intp], ...], axis: int) -> FloatArray:
    """Central difference along an array axis, in cells; outside of the array there is nothing of the shape."""
    last = share.shape[axis] - 1
    below, above = list(where), list(where)
    below[axis], above[axis] = np.maximum(where[axis] - 1, 0), np.minimum(where[axis] + 1, last)
    low = np.where(where[axis] > 0, share[tuple(below)], np.float32(0))
    high = np.where(where[axis] < last, share[tuple(above)], np.float32(0))
    return (high - low).astype(np.float32)
