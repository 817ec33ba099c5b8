"""Objectives: quadratic terms of the cost, each averaged over its structure's volume.

| kind | cost of a voxel (DMean: of the mean dose) |
|---|---|
| DMin | square of what is missing to the dose |
| DMax | square of what is above it |
| DUniform | square of the difference from it |
| DMean | square of what the mean is above it |
| DVHMin | square of what is missing to the dose, in the volume that must still reach it |
| DVHMax | square of what is above the dose, in the volume that must still get below it |

Doses are in Gy(RBE), sum of all fractions. A voxel that is half inside a structure counts half.

Of a DVH objective those voxels count that are nearest to the dose, as many as the volume lacks: the cost is the
integral of the square between the dose asked for and the DVH, from the DVH to the volume asked for. The last voxel
counts in part, and voxels of equal dose count alike, so that the cost has no steps; its slope has, where voxels
change places.

References
----------
Q. Wu, R. Mohan, "Algorithms and functionality of an intensity modulated radiotherapy optimization system", Med.
Phys. 27 (2000) 701-711. U. Oelfke, T. Bortfeld, "Inverse planning for photon and proton beams", Med. Dosim. 26
(2001) 113-124. H.-P. Wieser et al., "Development of the open-source dose calculation and optimization toolkit
matRad", Med. Phys. 44 (2017) 2556-2568.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from radiarch_common.errors import RefusedError
from radiarch_common.plans import Objective

from radiarch_planner.cumulative import CumulativeDose

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
ShareArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Region:
    """A structure on the rows of the beamlets.

    Attributes
    ----------
    rows
        Numbers of the rows that lie in it, rising.
    weights
        Share of the structure's volume that each of them holds; float64, sum 1 when the rows hold all of it.
    """

    rows: IndexArray
    weights: FloatArray

    @classmethod
    def of(cls, name: str, occupancy: ShareArray, voxels: IndexArray) -> "Region":
        """A structure's region.

        Parameters
        ----------
        occupancy
            Share of each voxel inside: shape (z, y, x) on the dose grid, 0..1.
        voxels
            Which voxel each row is: flat indices, C order, rising.

        Raises
        ------
        RefusedError
            If no voxel lies in the structure.
        """
        share = occupancy.reshape(-1)
        whole = float(share.sum(dtype=np.float64))
        if whole <= 0:
            raise RefusedError(
                f"Structure '{name}' has an objective, and no voxel of the dose grid lies in it.",
                "Draw it inside BODY, or leave its objective out.",
            )
        inside = share[voxels].astype(np.float64)
        rows = np.flatnonzero(inside)
        return cls(rows, inside[rows] / whole)

    def cumulative(self, dose: npt.NDArray[np.float32]) -> CumulativeDose:
        """Volume by dose, for doses of shape (rows of the beamlets,); volumes are shares of the structure's."""
        return CumulativeDose.of_voxels(dose[self.rows], self.weights)

    def mean(self, dose: npt.NDArray[np.float32]) -> float:
        """Mean dose, for doses of shape (rows of the beamlets,); rows left out count 0."""
        return float(np.sum(self.weights * dose[self.rows]))


@dataclass(frozen=True)
class Term:
    """One objective on the rows of the beamlets."""

    objective: Objective
    region: Region

    def add_to(self, gradient: FloatArray, dose_gy_rbe: npt.NDArray[np.float32]) -> float:
        """Cost of a dose; its derivative by the dose of each row is added to ``gradient``.

        Parameters
        ----------
        gradient
            Shape (rows,), float64, changed in place.
        dose_gy_rbe
            Shape (rows,), Gy(RBE), sum of all fractions.
        """
        rows, weight = self.region.rows, self.objective.weight
        if self.objective.kind == "DMean":
            above = max(self.region.mean(dose_gy_rbe) - self.objective.dose_gy_rbe, 0.0)
            if above > 0:
                gradient[rows] += (2 * weight * above) * self.region.weights
            return weight * above**2
        away = self._away(dose_gy_rbe[rows].astype(np.float64))
        counted, left_out = self._counted(away)
        pull = away * counted
        gradient[rows] += (2 * weight) * pull
        # Rows that were left out hold no dose: what is missing there is a constant.
        return weight * (float(np.sum(pull * away)) + left_out * self.objective.dose_gy_rbe**2)

    def _away(self, dose_gy_rbe: FloatArray) -> FloatArray:
        """How far each voxel is on the wrong side of the dose asked for, with its sign."""
        away = dose_gy_rbe - self.objective.dose_gy_rbe
        if self.objective.floor is None:
            np.maximum(away, 0.0, out=away)
        elif self.objective.ceiling is None:
            np.minimum(away, 0.0, out=away)
        return away

    def _counted(self, away: FloatArray) -> tuple[FloatArray, float]:
        """Share of the structure that counts in each voxel, and in the rows that were left out as far as they miss."""
        weights, volume_percent = self.region.weights, self.objective.volume_percent
        left_out = max(1.0 - float(np.sum(weights)), 0.0)
        if volume_percent is None:
            return weights, 0.0 if self.objective.floor is None else left_out
        volume = volume_percent / 100.0
        if self.objective.kind == "DVHMax":
            return nearest(away, weights, float(np.sum(weights[away > 0])) - volume), 0.0
        lacking = volume - float(np.sum(weights[away >= 0]))
        below = float(np.sum(weights[away < 0]))
        return nearest(-away, weights, lacking), min(max(lacking - below, 0.0), left_out)


def nearest(distance: FloatArray, weights: FloatArray, volume: float) -> FloatArray:
    """The weights of those voxels at positive distances that are nearest, ``volume`` together.

    The furthest of them count in part, those of equal distance alike.

    Parameters
    ----------
    distance, weights
        Shape (n,).

    Returns
    -------
    Shape (n,); all 0 when ``volume`` is not positive, all weights at positive distances when they do not reach it.
    """
    counted = np.zeros(len(weights))
    out = np.flatnonzero(distance > 0)
    if volume <= 0 or len(out) == 0:
        return counted
    order = out[np.argsort(distance[out], kind="stable")]
    place = int(np.searchsorted(np.cumsum(weights[order]), volume))
    if place == len(order):
        counted[out] = weights[out]
        return counted
    inside = (distance > 0) & (distance < distance[order[place]])
    edge = distance == distance[order[place]]
    counted[inside] = weights[inside]
    share = (volume - float(np.sum(weights[inside]))) / float(np.sum(weights[edge]))
    counted[edge] = min(max(share, 0.0), 1.0) * weights[edge]
    return counted


def voxels_needed(occupancies: Sequence[ShareArray]) -> IndexArray:
    """Voxels that lie in any of some structures: flat indices, C order, rising; the rows beamlets need.

    Parameters
    ----------
    occupancies
        Each of shape (z, y, x) on the dose grid.
    """
    inside = np.zeros(occupancies[0].size, dtype=bool)
    for occupancy in occupancies:
        inside |= occupancy.reshape(-1) > 0
    return np.flatnonzero(inside)


def terms_of(
    objectives: Sequence[Objective], occupancies: Mapping[str, ShareArray], voxels: IndexArray
) -> tuple[Term, ...]:
    """Objectives on the rows of the beamlets.

    Parameters
    ----------
    occupancies
        By structure name, shape (z, y, x) on the dose grid.
    voxels
        Which voxel each row is.

    Raises
    ------
    RefusedError
        If an objective's structure is not there or has no voxel.
    """
    missing = sorted({o.structure for o in objectives} - set(occupancies))
    if missing:
        names = ", ".join(sorted(occupancies))
        raise RefusedError(f"No structure '{missing[0]}', which an objective names.", f"There are: {names}.")
    regions = {
        name: Region.of(name, occupancies[name], voxels) for name in dict.fromkeys(o.structure for o in objectives)
    }
    return tuple(Term(objective, regions[objective.structure]) for objective in objectives)
