"""Where voxels are: DICOM patient coordinates (LPS), mm; arrays are indexed (z, y, x)."""

from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator


class Grid(BaseModel):
    """A regular grid whose axes are the patient's, LPS, however the patient lies on the couch.

    Attributes
    ----------
    origin_mm
        Centre of voxel (0, 0, 0): x, y, z in LPS, mm.
    spacing_mm
        Along x, y, z, mm; positive.
    size
        Number of voxels along x, y, z.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin_mm: tuple[float, float, float]
    spacing_mm: tuple[float, float, float]
    size: tuple[int, int, int]

    @model_validator(mode="after")
    def _is_a_grid(self) -> Self:
        if min(self.spacing_mm) <= 0 or not np.all(np.isfinite([*self.spacing_mm, *self.origin_mm])):
            raise ValueError("a grid needs finite origins and positive spacings")
        if min(self.size) < 1:
            raise ValueError("a grid needs at least one voxel along each axis")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an array on this grid: (z, y, x)."""
        return self.size[2], self.size[1], self.size[0]

    @property
    def voxel_volume_cc(self) -> float:
        """Volume of one voxel, cm3."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    def axis_mm(self, axis: int) -> npt.NDArray[np.float64]:
        """Voxel centres along one axis (0 = x, 1 = y, 2 = z), mm."""
        return self.origin_mm[axis] + self.spacing_mm[axis] * np.arange(self.size[axis], dtype=np.float64)

    def edges_mm(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Outer faces of the grid: lower and upper corner, mm."""
        low = tuple(o - s / 2 for o, s in zip(self.origin_mm, self.spacing_mm, strict=True))
        high = tuple(lo + n * s for lo, n, s in zip(low, self.size, self.spacing_mm, strict=True))
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    def index_of(self, points_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Fractional voxel indices (columns x, y, z) of points of shape (n, 3), LPS, mm."""
        return (points_mm - np.asarray(self.origin_mm)) / np.asarray(self.spacing_mm)

    def crop(self, low: tuple[int, int, int], size: tuple[int, int, int]) -> "Grid":
        """The part of this grid that starts at voxel index ``low`` (x, y, z)."""
        origin = tuple(o + s * i for o, s, i in zip(self.origin_mm, self.spacing_mm, low, strict=True))
        return Grid(origin_mm=(origin[0], origin[1], origin[2]), spacing_mm=self.spacing_mm, size=size)


class Contour(BaseModel):
    """One closed planar contour on an axial plane; not sent in messages."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    z_mm: float
    points_mm: npt.NDArray[np.float64] = Field(description="Shape (n, 2): x, y in LPS, mm; closed implicitly.")
