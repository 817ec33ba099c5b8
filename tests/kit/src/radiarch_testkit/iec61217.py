"""IEC 61217 for a patient in any of the eight positions, written from the standard alone: an oracle.

It shares no code with the planner and is fed by exported DICOM only.

Fixed system: x to the right of someone who faces the gantry, y towards the gantry, z up. A head-first supine
patient lies with the head towards the gantry: patient left is +x, head is +y, front is +z when the support
stands at 0 (``IN_ROOM`` for the others). The support turns counter-clockwise seen from above, the gantry clockwise
seen from the front.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

DIRECTIONS = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}
"""Left, right, posterior, anterior, head and foot in LPS."""
IN_ROOM = {
    "HFS": "LHA",
    "HFP": "RHP",
    "HFDL": "AHR",
    "HFDR": "PHL",
    "FFS": "RFA",
    "FFP": "LFP",
    "FFDL": "PFR",
    "FFDR": "AFL",
}
"""Which side of the patient is to the right of someone who faces the gantry, towards the gantry, and up.

Towards the gantry is what goes in first; up is the face when supine, the back when prone, and the side that the
patient does not lie on. What is to the right then: with the head in and the face up the left hand; each of turning
over and lying the other way round swaps hands, so that with both it is the left hand again. On the left side with
the head in, the face looks to where the left hand was; with the feet in, to the other side. On the right side it is
the other way round.
"""


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
    position: str = "HFS",
) -> Ray:
    """The ray of a scanned spot whose position is given at the isocentre plane.

    ``vsad_mm`` are the distances of the virtual sources along x and y; the ray goes through the plane at half
    the smaller distance and through the isocentre plane.
    """

    def to_patient(point_gantry: Vector) -> Vector:
        place = _fixed_to_support(_gantry_to_fixed(point_gantry, gantry_deg), support_deg)
        sides = np.array([DIRECTIONS[side] for side in IN_ROOM[position]])
        return isocentre_mm + place @ sides

    height = min(vsad_mm) / 2
    upstream = np.array(
        [spot_mm[0] * (1 - height / vsad_mm[0]), spot_mm[1] * (1 - height / vsad_mm[1]), height], dtype=np.float64
    )
    start = to_patient(upstream)
    end = to_patient(np.array([spot_mm[0], spot_mm[1], 0.0]))
    return Ray(start, (end - start) / np.linalg.norm(end - start))
