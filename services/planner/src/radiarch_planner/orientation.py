"""How the patient lies on the couch, for beam geometry and for an engine that knows head-first supine only.

All eight positions differ by quarter and half turns, which permute the patient's axes and change signs. An engine
is given the patient turned into the coordinates that the same body in the room would have if it were a patient
head-first supine: exact, no voxel is interpolated.

References
----------
DICOM PS3.3 C.7.3.1.1.2: what the positions mean. IEC 61217: the fixed system, x to the right of someone who faces
the gantry, y towards the gantry, z up.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from radiarch_common.geometry import Grid
from radiarch_common.positions import check_position

Triple = tuple[int, int, int]
Point = tuple[float, float, float]

_TOWARDS_GANTRY: dict[str, Triple] = {"HF": (0, 0, 1), "FF": (0, 0, -1)}
_UP: dict[str, Triple] = {"S": (0, -1, 0), "P": (0, 1, 0), "DL": (-1, 0, 0), "DR": (1, 0, 0)}
"""Patient directions, LPS: the front is up when supine, the right side when the left is down."""


def fixed_of_lps(position: str) -> npt.NDArray[np.int64]:
    """Rotation from LPS to the IEC 61217 fixed system with the couch at 0: shape (3, 3), a signed permutation.

    Raises
    ------
    RefusedError
        When it is none of the eight positions.
    """
    check_position(position)
    y, z = np.array(_TOWARDS_GANTRY[position[:2]]), np.array(_UP[position[2:]])
    return np.array([np.cross(y, z), y, z])


@dataclass(frozen=True)
class Turn:
    """A turn of the axes: axis ``a`` of the turned system is ``signs[a]`` times axis ``axes[a]`` of the other.

    Axes are 0, 1, 2 for x, y, z. The origin stays where it is.
    """

    axes: Triple
    signs: Triple

    @classmethod
    def to_supine(cls, position: str) -> "Turn":
        """From LPS to what LPS would be if the body, as it lies, were a patient head-first supine.

        Raises
        ------
        RefusedError
            When it is none of the eight positions.
        """
        matrix = fixed_of_lps("HFS").T @ fixed_of_lps(position)
        x, y, z = (int(axis) for axis in np.abs(matrix).argmax(axis=1))
        sx, sy, sz = (int(sign) for sign in matrix.sum(axis=1))
        return cls((x, y, z), (sx, sy, sz))

    @property
    def inverse(self) -> "Turn":
        """The turn back."""
        x, y, z = (self.axes.index(axis) for axis in range(3))
        return Turn((x, y, z), (self.signs[x], self.signs[y], self.signs[z]))

    def array(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A volume of shape (z, y, x) on a grid, as a view on ``grid`` of it: also shape (z, y, x)."""
        turned = values.transpose([2 - axis for axis in reversed(self.axes)])
        x, y, z = self.signs
        return turned[::z, ::y, ::x]

    def point(self, point_mm: Point) -> Point:
        """A point, x, y, z, mm."""
        x, y, z = (sign * point_mm[axis] for axis, sign in zip(self.axes, self.signs, strict=True))
        return x, y, z

    def grid(self, grid: Grid) -> Grid:
        """The same voxels in the turned system, its first one where all turned coordinates are lowest."""
        last = [float(grid.axis_mm(axis)[-1]) for axis in range(3)]
        ends = [
            grid.origin_mm[axis] if sign > 0 else -last[axis] for axis, sign in zip(self.axes, self.signs, strict=True)
        ]
        spacing = [grid.spacing_mm[axis] for axis in self.axes]
        size = [grid.size[axis] for axis in self.axes]
        return Grid(
            origin_mm=(ends[0], ends[1], ends[2]),
            spacing_mm=(spacing[0], spacing[1], spacing[2]),
            size=(size[0], size[1], size[2]),
        )
