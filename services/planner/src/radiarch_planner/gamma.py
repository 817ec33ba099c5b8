"""Gamma index: how well one dose agrees with another, in dose and in distance at once.

Our own: pymedphys's needs a package beside it that nothing else here does (ADR 0023).

References
----------
Low et al., Med. Phys. 25 (1998) 656, for the index; AAPM TG-218, Med. Phys. 45 (2018) e53, for how to use it.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from radiarch_common.geometry import Grid

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Criteria:
    """What counts as agreement.

    Attributes
    ----------
    dose_percent
        Of the reference's maximum, or with ``local`` of the reference's dose at the point.
    distance_mm
        To where the evaluated dose is the same.
    cutoff_percent
        Points with less than this share of the reference's maximum are not judged.
    highest
        The search ends at this index; what is worse is given as this.
    steps
        The evaluated dose is interpolated every ``distance_mm / steps``.
    """

    dose_percent: float = 2.0
    distance_mm: float = 2.0
    cutoff_percent: float = 10.0
    local: bool = False
    highest: float = 2.0
    steps: int = 10


def gamma_index(
    reference: npt.NDArray[np.floating[Any]],
    reference_grid: Grid,
    evaluated: npt.NDArray[np.floating[Any]],
    evaluated_grid: Grid,
    criteria: Criteria,
) -> npt.NDArray[np.float32]:
    """Gamma of every point of a reference dose.

    Around each point the evaluated dose is sought on a lattice of ``distance_mm / steps``, nearest first, linear
    between voxel centres; where there is no evaluated dose, none is assumed.

    Parameters
    ----------
    reference, evaluated
        Shape (z, y, x) on their grids, in the same unit.

    Returns
    -------
    Shape of ``reference``, float32; NaN below the cutoff.

    Raises
    ------
    ValueError
        If a dose does not lie on its grid, or the reference has none.
    """
    for name, dose, grid in (("reference", reference, reference_grid), ("evaluated", evaluated, evaluated_grid)):
        if dose.shape != grid.shape:
            raise ValueError(f"Argument '{name}' must have the shape of its grid, {grid.shape}.")
    highest = float(np.max(reference))
    if highest <= 0:
        raise ValueError("Argument 'reference' must have a dose somewhere.")
    judged = np.argwhere(reference >= criteria.cutoff_percent / 100 * highest)
    spacing = np.array(reference_grid.spacing_mm[::-1])
    places_mm = np.array(reference_grid.origin_mm[::-1]) + spacing * judged
    doses = reference[tuple(judged.T)].astype(np.float64)
    tolerance = criteria.dose_percent / 100 * (doses if criteria.local else np.full(len(doses), highest))
    offsets, squares = _offsets(criteria)
    found = _search(
        doses,
        tolerance,
        (places_mm - np.array(evaluated_grid.origin_mm[::-1])) / np.array(evaluated_grid.spacing_mm[::-1]),
        offsets / np.array(evaluated_grid.spacing_mm[::-1]),
        squares,
        evaluated.astype(np.float64),
        criteria.highest,
    )
    gamma = np.full(reference.shape, np.nan, dtype=np.float32)
    gamma[tuple(judged.T)] = found
    return gamma


def passing_percent(gamma: npt.NDArray[np.float32]) -> float:
    """Share of the judged points with an index of at most 1, percent."""
    judged = gamma[np.isfinite(gamma)]
    return 100.0 * float(np.mean(judged <= 1.0))


def _offsets(criteria: Criteria) -> tuple[FloatArray, FloatArray]:
    """Displacements (z, y, x) in mm, nearest first, and their square in units of the distance criterion."""
    count = round(criteria.steps * criteria.highest)
    axis = np.arange(-count, count + 1) / criteria.steps
    lattice = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    squares = np.sum(lattice**2, axis=1)
    order = np.argsort(squares, kind="stable")
    order = order[squares[order] <= criteria.highest**2]
    return lattice[order] * criteria.distance_mm, squares[order]


@numba.njit(nogil=True)  # pyright: ignore[reportUntypedFunctionDecorator]
def _search(
    doses: FloatArray,
    tolerance: FloatArray,
    places: FloatArray,
    offsets: FloatArray,
    squares: FloatArray,
    evaluated: FloatArray,
    highest: float,
) -> FloatArray:
    """Least index of each point; places and offsets in voxels of the evaluated dose."""
    found = np.full(len(doses), highest)
    for point in range(len(doses)):
        best = highest * highest
        for step in range(len(squares)):
            if squares[step] >= best:
                break
            dose = _interpolated(evaluated, places[point] + offsets[step])
            best = min(best, squares[step] + ((dose - doses[point]) / tolerance[point]) ** 2)
        found[point] = np.sqrt(best)
    return found


@numba.njit(nogil=True)  # pyright: ignore[reportUntypedFunctionDecorator]
def _interpolated(dose: FloatArray, place: FloatArray) -> Any:  # noqa: ANN401 - compiled: a float of the array's kind
    """Trilinear between voxel centres; infinite outside of them."""
    total = 0.0
    for corner in range(8):
        weight = 1.0
        index = 0
        for axis in range(3):
            last = dose.shape[axis] - 1
            # Rounding must not put a point of the outermost plane outside.
            if place[axis] < -1e-6 or place[axis] > last + 1e-6:
                return np.inf
            below = min(max(int(np.floor(place[axis])), 0), max(last - 1, 0))
            share = min(max(place[axis] - below, 0.0), 1.0)
            upper = (corner >> axis) & 1
            weight *= share if upper else 1.0 - share
            index = index * dose.shape[axis] + min(below + upper, last)
        if weight > 0.0:
            total += weight * dose.flat[index]
    return total
