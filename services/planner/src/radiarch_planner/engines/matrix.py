"""Beamlets as one matrix: its rows are voxels of the patient's grid, its columns spots."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix

from radiarch_planner.engines.base import Patient
from radiarch_planner.engines.inputs import BeamInputs
from radiarch_planner.engines.sparse import Columns, Index, row_lookup


def lookup_of(inputs: BeamInputs, patient: Patient, rows: npt.NDArray[np.int64]) -> Index:
    """The matrix row of each voxel of a beam's crop, in the engine's order."""
    whole = np.full(patient.grid.shape, -1, dtype=np.int32)
    whole.reshape(-1)[rows] = np.arange(len(rows), dtype=np.int32)
    return row_lookup(inputs.turn.array(whole[inputs.slices]))


def matrix_of(parts: list[Columns], rows: int) -> csc_matrix:
    """The columns of all parts beside one another: shape (rows, columns), float32, rows of a column rising."""
    counts = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.indptr) for part in parts)])
    values = np.concatenate([part.values for part in parts])
    indices = np.concatenate([part.indices for part in parts])
    matrix = csc_matrix((values, indices, np.cumsum(counts)), shape=(rows, len(counts) - 1))
    matrix.sort_indices()
    return matrix
