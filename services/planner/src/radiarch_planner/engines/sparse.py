"""Reads the engine's sparse beamlets.

For each spot: number of non-zero voxels, beam, layer (uint32), x, y (float32, mm), then runs of
``n, first index, n values`` (uint32, uint32, float32). Voxels are counted in Fortran order of an image whose x
and y axes run against the patient's.
"""

from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import numpy.typing as npt

from radiarch_planner.engines.processes import EngineFailedError

Index = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint32]
Values = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Places = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """Some columns of a sparse matrix: ``indptr`` of shape (columns + 1,), row ``indices`` and ``values``."""

    indptr: Counts
    indices: Index
    values: Values


def row_lookup(rows: Index) -> Index:
    """For each voxel in the engine's order the matrix row it has, -1 when it has none.

    Parameters
    ----------
    rows
        The same, shape (z, y, x), in the patient's order.
    """
    return np.ascontiguousarray(rows[:, ::-1, ::-1]).reshape(-1)


def read_columns(path: Path, lookup: Index, xy_mm: Places) -> Columns:
    """The beamlets of spots at ``xy_mm`` (shape (n, 2), in the order asked for), in the rows of ``lookup``.

    Raises
    ------
    EngineFailedError
        If the file is cut short or holds other spots.
    """
    words = np.fromfile(path, dtype=np.uint32)
    indptr, indices, values, found = _parse(words, words.view(np.float32), lookup, len(xy_mm))
    if indptr[-1] < 0:
        raise EngineFailedError(f"The engine's beamlets are damaged: {path.name} has {words.size} words.")
    if np.abs(found - xy_mm).max(initial=0.0) > 1e-3:
        raise EngineFailedError("The engine's beamlets are not those of the spots that were asked for.")
    return Columns(indptr, indices, values)


@numba.njit(nogil=True)  # pyright: ignore[reportUntypedFunctionDecorator]
def _parse(words: Words, floats: Values, lookup: Index, count: int) -> tuple[Counts, Index, Values, Places]:
    indptr = np.zeros(count + 1, dtype=np.int64)
    indices = np.empty(words.size, dtype=np.int32)
    values = np.empty(words.size, dtype=np.float32)
    found = np.zeros((count, 2), dtype=np.float64)
    at = 0
    filled = 0
    for spot in range(count):
        if at + 5 > words.size:
            indptr[count] = -1
            break
        left = np.int64(words[at])
        found[spot, 0] = floats[at + 3]
        found[spot, 1] = floats[at + 4]
        at += 5
        while left > 0:
            run = np.int64(words[at]) if at + 2 <= words.size else 0
            if run <= 0 or at + 2 + run > words.size or np.int64(words[at + 1]) + run > lookup.size:
                indptr[count] = -1
                return indptr, indices[:0], values[:0], found
            first = np.int64(words[at + 1])
            for k in range(run):
                row = lookup[first + k]
                if row >= 0:
                    indices[filled] = row
                    values[filled] = floats[at + 2 + k]
                    filled += 1
            at += 2 + run
            left -= run
        indptr[spot + 1] = filled
    if at != words.size:
        indptr[count] = -1
    return indptr, indices[:filled].copy(), values[:filled].copy(), found
