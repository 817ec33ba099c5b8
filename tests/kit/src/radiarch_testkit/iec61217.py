"""IEC 61217 for a head-first supine patient, written from the standard alone: an oracle.

It shares no code with the planner and is fed by exported DICOM only.

Fixed system: x to the right of someone who faces the gantry, y towards the gantry, z up. A head-first supine
patient lies with the head towards the gantry: patient left is +x, head is +y, front is +z when the support
stands at 0. The support turns counter-clockwise seen from above, the gantry clockwise seen from the front.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


def _support_to_fixed(point: Vector, support_deg: float) -> Vector:
    a = np.deg2rad(support_deg)
    x, y, z = point
    return np.array([np.cos(a) * x - np.sin(a) * y, np.sin(a) * x + np.cos(a) * y, z])


def _fixed_to_support(point: Vector, support_deg: float) -> Vector:
    return _support_to_fixed(point, -support_deg)


def _gantry_to_fixed(point: Vector, gantry_deg: float) -> Vector:
    a = np.deg2rad(gantry_deg)
    x, y, z = point
    return np.array([np.cos(a) * x + np.sin(a) * z, y, -np.sin(a) * x + np.cos(a) * z])


@dataclass(frozen=True)
class Ray:
    """A line in DICOM patient coordinates (LPS), mm, from the source onwards."""

    source_mm: Vector
    direction: Vector

    def distance_mm(self, point_mm: Vector) -> float:
        """How far a point lies from the line."""
        return float(np.linalg.norm(np.cross(point_mm - self.source_mm, self.direction)))

    def at(self, along_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Points at distances from the source: shape (n, 3)."""
        return self.source_mm + along_mm[:, None] * self.direction


def spot_ray(
    gantry_deg: float,
    support_deg: float,
    isocentre_mm: Vector,
    spot_mm: tuple[float, float],
    vsad_mm: tuple[float, float],
) -> Ray:
    """The ray of a scanned spot whose position is given at the isocentre plane.

    ``vsad_mm`` are the distances of the virtual sources along x and y; the ray goes through the plane at half
    the smaller distance and through the isocentre plane.
    """

    def to_patient(point_gantry: Vector) -> Vector:
        x, y, z = _fixed_to_support(_gantry_to_fixed(point_gantry, gantry_deg), support_deg)
        return isocentre_mm + np.array([x, -z, y])  # left, back, head

    height = min(vsad_mm) / 2
    upstream = np.array(
        [spot_mm[0] * (1 - height / vsad_mm[0]), spot_mm[1] * (1 - height / vsad_mm[1]), height], dtype=np.float64
    )
    start = to_patient(upstream)
    end = to_patient(np.array([spot_mm[0], spot_mm[1], 0.0]))
    return Ray(start, (end - start) / np.linalg.norm(end - start))
