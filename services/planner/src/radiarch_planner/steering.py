"""Beam geometry: IEC 61217 and the patient, and the rays of a scanned beam.

The gantry system has its origin at the isocentre; z points to the source, and with the gantry at 0 x and y are
the fixed system's: x to the right of someone who faces the gantry, y towards the gantry. Which directions of the
patient these are with the couch at 0 follows from the patient position (``radiarch_planner.orientation``).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radiarch_planner.orientation import fixed_of_lps

Array = npt.NDArray[np.float64]


def gantry_from_lps(gantry_deg: float, couch_deg: float, position: str) -> Array:
    """Rotation that takes vectors from LPS of a patient in this position to the gantry system: shape (3, 3).

    Raises
    ------
    RefusedError
        When the patient position is none of the eight.

    References
    ----------
    IEC 61217: the gantry turns clockwise for someone who faces it, the couch anticlockwise seen from above.
    """
    gantry, couch = np.deg2rad(gantry_deg), np.deg2rad(couch_deg)
    fixed_of_couch = np.array(
        [[np.cos(couch), -np.sin(couch), 0.0], [np.sin(couch), np.cos(couch), 0.0], [0.0, 0.0, 1.0]]
    )
    fixed_of_gantry = np.array(
        [[np.cos(gantry), 0.0, np.sin(gantry)], [0.0, 1.0, 0.0], [-np.sin(gantry), 0.0, np.cos(gantry)]]
    )
    return np.linalg.multi_dot([fixed_of_gantry.T, fixed_of_couch, fixed_of_lps(position).astype(np.float64)])


@dataclass(frozen=True)
class BeamFrame:
    """Where a beam's spots go.

    Attributes
    ----------
    isocentre_mm
        LPS, mm.
    rotation
        From LPS to the gantry system, shape (3, 3).
    source_mm
        Distance of the scanning magnets that move the spot along x and along y from the isocentre.
    """

    isocentre_mm: Array
    rotation: Array
    source_mm: tuple[float, float]

    @classmethod
    def of(
        cls,
        isocentre_mm: tuple[float, float, float],
        gantry_deg: float,
        couch_deg: float,
        source_mm: tuple[float, float],
        position: str,
    ) -> "BeamFrame":
        """The frame of a beam with these angles, IEC 61217, at a patient in this position.

        Raises
        ------
        RefusedError
            When the patient position is none of the eight.
        """
        rotation = gantry_from_lps(gantry_deg, couch_deg, position)
        return cls(np.asarray(isocentre_mm, dtype=np.float64), rotation, source_mm)

    def to_gantry(self, points_mm: Array) -> Array:
        """Points of shape (..., 3) from LPS to the gantry system, mm."""
        return (points_mm - self.isocentre_mm) @ self.rotation.T

    def to_lps(self, points_mm: Array) -> Array:
        """Points of shape (..., 3) from the gantry system to LPS, mm."""
        return points_mm @ self.rotation + self.isocentre_mm

    def spot_of(self, points_mm: Array) -> Array:
        """The spot position, at the isocentre plane, whose ray goes through points in LPS: shape (..., 2), mm."""
        inside = self.to_gantry(points_mm)
        return inside[..., :2] / self._spread(inside[..., 2])

    def ray(self, xy_mm: Array, heights_mm: Array) -> Array:
        """Points on the rays of spots.

        Parameters
        ----------
        xy_mm
            Shape (n, 2): spot positions at the isocentre plane.
        heights_mm
            Shape (m,): heights above the isocentre plane, towards the source.

        Returns
        -------
        Shape (n, m, 3), LPS, mm.
        """
        across = xy_mm[:, None, :] * self._spread(heights_mm)[None, :, :]
        along = np.broadcast_to(heights_mm[None, :, None], (*across.shape[:2], 1))
        return self.to_lps(np.concatenate([across, along], axis=-1))

    def _spread(self, heights_mm: Array) -> Array:
        """What a spot position at the isocentre plane is multiplied with at a height: shape (..., 2)."""
        return np.stack([(source - heights_mm) / source for source in self.source_mm], axis=-1)
