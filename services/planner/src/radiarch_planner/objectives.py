"""Objectives: quadratic terms of the cost, each averaged over its structure's volume.

| kind | cost of a voxel (DMean: of the mean dose) |
|---|---|
| DMin | square of what is missing to the dose |
| DMax | square of what is above it |
| DUniform | square of the difference from it |
| DMean | square of what the mean is above it |
| DVHMin | square of what is missing, of the hottest part of ``volume_percent`` |
| DVHMax | square of what is above it, but of the hottest part of ``volume_percent`` |

Doses are in Gy(RBE), sum of all fractions. A voxel that is half inside a structure counts half.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from radiarch_common.errors import RefusedError
from radiarch_common.plans import Objective, ObjectiveKind

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

    kind: ObjectiveKind
    dose_gy_rbe: float
    weight: float
    region: Region
    volume_percent: float | None = None

    def add_to(self, gradient: FloatArray, dose_gy_rbe: npt.NDArray[np.float32]) -> float:
        """Cost of a dose; its derivative by the dose of each row is added to ``gradient``.

        Parameters
        ----------
        gradient
            Shape (rows,), float64, changed in place.
        dose_gy_rbe
            Shape (rows,), Gy(RBE), sum of all fractions.
        """
        rows, weights = self.region.rows, self.region.weights
        if self.kind == "DMean":
            above = max(self.region.mean(dose_gy_rbe) - self.dose_gy_rbe, 0.0)
            if above > 0:
                gradient[rows] += (2 * self.weight * above) * weights
            return self.weight * above**2
        away = self._away(dose_gy_rbe[rows].astype(np.float64))
        pull = away * weights
        # Rows that were left out hold no dose: what DMin and DUniform miss there is a constant.
        missed = max(1.0 - float(np.sum(weights)), 0.0) * self._missed() ** 2
        gradient[rows] += (2 * self.weight) * pull
        return self.weight * (float(np.sum(pull * away)) + missed)

    def _missed(self) -> float:
        return -self.dose_gy_rbe if self.kind in ("DMin", "DUniform") else 0.0

    def _away(self, dose_gy_rbe: FloatArray) -> FloatArray:
        away = dose_gy_rbe - self.dose_gy_rbe
        if self.kind in ("DMin", "DVHMin"):
            np.minimum(away, 0.0, out=away)
        elif self.kind in ("DMax", "DVHMax"):
            np.maximum(away, 0.0, out=away)
        if self.volume_percent is not None:
            # What counts is between the dose asked for and the dose that the volume receives now.
            edge = self._dose_at(dose_gy_rbe, self.volume_percent / 100.0)
            away[dose_gy_rbe < edge if self.kind == "DVHMin" else dose_gy_rbe > edge] = 0.0
        return away

    def _dose_at(self, dose_gy_rbe: FloatArray, volume: float) -> float:
        """The dose that the hottest share of the structure's volume receives at least."""
        order = np.argsort(dose_gy_rbe)[::-1]
        place = int(np.searchsorted(np.cumsum(self.region.weights[order]), volume))
        return float(dose_gy_rbe[order[place]]) if place < len(order) else 0.0


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
    return tuple(Term(o.kind, o.dose_gy_rbe, o.weight, regions[o.structure], o.volume_percent) for o in objectives)
