"""Reads the engine's sparse beamlets.

For each spot: number of non-zero voxels, beam, layer (uint32), x, y (float32, mm), then runs of
``n, first index, n values`` (uint32, uint32, float32). Voxels are counted in Fortran order of an image whose x
and y axes run against those of the image that the engine was given.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from radiarch_planner.engines.processes import EngineFailedError

Index = npt.NDArray[np.int32]
Values = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Places = npt.NDArray[np.float64]

_HEAD_WORDS = 5


@dataclass(frozen=True)
class Columns:
    """Some columns of a sparse matrix: ``indptr`` of shape (columns + 1,), row ``indices`` and ``values``."""

    indptr: Counts
    indices: Index
    values: Values

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Its parts by name."""
        return {"indptr": self.indptr, "indices": self.indices, "values": self.values}


@dataclass(frozen=True)
class _Runs:
    """Where the runs of a file are: the word of its first value, its length, its first voxel, its spot."""

    start: Counts
    length: Counts
    voxel: Counts
    spot: Counts


def row_lookup(rows: Index) -> Index:
    """For each voxel in the engine's order the matrix row it has, -1 when it has none.

    Parameters
    ----------
    rows
        The same, shape (z, y, x), in the order of the image that the engine was given.
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
    heads, runs = _walk(words, len(xy_mm), path.name)
    if np.any(runs.voxel + runs.length > lookup.size):
        raise _damaged(path.name, words.size)
    floats = words.view(np.float32)
    found = np.column_stack([floats[heads + 3], floats[heads + 4]]).astype(np.float64)
    if np.abs(found - xy_mm).max(initial=0.0) > 1e-3:
        raise EngineFailedError("The engine's beamlets are not those of the spots that were asked for.")
    # 32 bits hold any place in a file of less than 8 GB, and are twice as fast as 64.
    length = runs.length.astype(np.int32)
    filled = np.cumsum(runs.length) - runs.length
    place = np.arange(int(runs.length.sum()), dtype=np.int32)
    rows = lookup[place + np.repeat((runs.voxel - filled).astype(np.int32), length)]
    wanted = np.flatnonzero(rows >= 0)
    source = place[wanted] + np.repeat((runs.start - filled).astype(np.int32), length)[wanted]
    counts = np.bincount(np.repeat(runs.spot, length)[wanted], minlength=len(xy_mm))
    return Columns(np.concatenate([[0], np.cumsum(counts)]), rows[wanted], floats[source])


def _walk(words: npt.NDArray[np.uint32], spots: int, name: str) -> tuple[Counts, _Runs]:
    """Place of each spot's head, and all runs: where one ends only its own length tells."""
    view = words.data
    heads: list[int] = []
    starts: list[int] = []
    owners: list[int] = []
    at, size = 0, words.size
    for spot in range(spots):
        if at + _HEAD_WORDS > size:
            raise _damaged(name, size)
        heads.append(at)
        left = view[at]
        at += _HEAD_WORDS
        while left > 0:
            run = view[at] if at + 2 <= size else 0
            if run == 0 or at + 2 + run > size:
                raise _damaged(name, size)
            starts.append(at + 2)
            owners.append(spot)
            at += 2 + run
            left -= run
    if at != size:
        raise _damaged(name, size)
    start = np.array(starts, dtype=np.int64)
    length, voxel = words[start - 2].astype(np.int64), words[start - 1].astype(np.int64)
    return np.array(heads, dtype=np.int64), _Runs(start, length, voxel, np.array(owners, dtype=np.int64))


def _damaged(name: str, words: int) -> EngineFailedError:
    return EngineFailedError(f"The engine's beamlets are damaged: {name} has {words} words.")
