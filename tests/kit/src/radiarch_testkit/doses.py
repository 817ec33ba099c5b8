"""Two RT Doses compared by their gamma index, read by what the standard says of them."""

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from radiarch_common.geometry import Grid
from radiarch_planner.gamma import Criteria, gamma_index, passing_percent


def grid_of(dose: Dataset) -> Grid:
    """Where the voxels of an axial RT Dose are.

    References
    ----------
    DICOM PS3.3 C.8.8.3.2: the offsets of the frames are relative to Image Position (Patient).
    """
    row_mm, column_mm = (float(value) for value in dose.PixelSpacing)
    offsets = [float(value) for value in dose.GridFrameOffsetVector]
    steps = np.diff(offsets)
    if offsets[0] != 0 or not np.allclose(steps, steps[0], atol=1e-3):
        raise ValueError("the frames of this RT Dose are not evenly spaced from its position on")
    x_mm, y_mm, z_mm = (float(value) for value in dose.ImagePositionPatient)
    return Grid(
        origin_mm=(x_mm, y_mm, z_mm),
        spacing_mm=(column_mm, row_mm, float(steps[0])),
        size=(int(dose.Columns), int(dose.Rows), int(dose.NumberOfFrames)),
    )


def dose_gy_of(dose: Dataset) -> npt.NDArray[np.float64]:
    """Its dose: shape (z, y, x), Gy."""
    return dose.pixel_array.astype(np.float64) * float(dose.DoseGridScaling)


def gamma_passing_percent(reference: Dataset, evaluated: Dataset, criteria: Criteria | None = None) -> float:
    """Share of the reference's points above the cutoff that the evaluated dose agrees with; 2 %/2 mm by default."""
    gamma = gamma_index(
        dose_gy_of(reference), grid_of(reference), dose_gy_of(evaluated), grid_of(evaluated), criteria or Criteria()
    )
    return passing_percent(gamma)
