"""Which way the pixels of an axial slice run in the patient, and how they are put in LPS order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

AXIAL_WITHIN = 1e-4
"""How far a direction cosine may be from -1, 0 or 1: 0.05 mm over 500 mm."""
_WAYS = {(1, 0), (-1, 0), (0, 1), (0, -1)}


@dataclass(frozen=True)
class PixelOrder:
    """Directions of a slice's pixels, each -1, 0 or 1 along x and along y of LPS.

    Attributes
    ----------
    along_row
        The way of a rising column index: the first three numbers of ImageOrientationPatient, without z.
    along_column
        The way of a rising row index: the last three, without z.

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1.
    """

    along_row: tuple[int, int]
    along_column: tuple[int, int]

    @classmethod
    def of(cls, orientation: Sequence[float]) -> Self | None:
        """Read ImageOrientationPatient; ``None`` unless rows and columns run along x and y of LPS."""
        nearest = [round(value) for value in orientation]
        off = max(abs(value - whole) for value, whole in zip(orientation, nearest, strict=True))
        rx, ry, rz, cx, cy, cz = nearest
        row, column = (rx, ry), (cx, cy)
        if off > AXIAL_WITHIN or (rz, cz) != (0, 0) or {row, column} - _WAYS or rx * cx + ry * cy:
            return None
        return cls(row, column)

    @property
    def transposed(self) -> bool:
        """Whether rows run along y and columns along x."""
        return self.along_row[0] == 0

    @property
    def signs(self) -> tuple[int, int]:
        """Of the pixel order along x and along y: -1 where it falls."""
        x, y = (self.along_column, self.along_row) if self.transposed else (self.along_row, self.along_column)
        return x[0], y[1]

    def in_lps(self, pixels: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
        """Pixels of shape (rows, columns), as stored, as a view of shape (y, x), both rising."""
        turned = pixels.T if self.transposed else pixels
        x, y = self.signs
        return turned[::y, ::x]

    def __str__(self) -> str:
        (rx, ry), (cx, cy) = self.along_row, self.along_column
        return f"{rx}, {ry}, 0, {cx}, {cy}, 0"
