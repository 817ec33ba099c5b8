"""What an exported RTDOSE and RT Ion Plan say, read from the DICOM alone."""

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from radiarch_testkit.iec61217 import Ray, spot_ray


def dose_of(record: Dataset) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Dose and voxel centres (LPS, mm) of an RTDOSE whose rows and columns run along x and y: (n,), (n, 3)."""
    assert [float(v) for v in record.ImageOrientationPatient] == [1, 0, 0, 0, 1, 0]
    dose = record.pixel_array.astype(np.float64) * float(record.DoseGridScaling)
    origin = [float(v) for v in record.ImagePositionPatient]
    rows, columns = (float(v) for v in record.PixelSpacing)
    z = origin[2] + np.asarray([float(v) for v in record.GridFrameOffsetVector])
    y = origin[1] + rows * np.arange(record.Rows)
    x = origin[0] + columns * np.arange(record.Columns)
    zz, yy, xx = np.meshgrid(z, y, x, indexing="ij")
    return dose.ravel(), np.column_stack([xx.ravel(), yy.ravel(), zz.ravel()])


def centroid(record: Dataset) -> npt.NDArray[np.float64]:
    """Dose-weighted centre of what lies above 70 % of the maximum."""
    dose, points = dose_of(record)
    hot = dose > 0.7 * dose.max()
    return np.average(points[hot], axis=0, weights=dose[hot])


def planned_ray(plan: Dataset, *, mirror: bool = False) -> Ray:
    """The only spot's ray, from the RT Ion Plan alone; ``mirror`` turns the gantry the wrong way."""
    beam = plan.IonBeamSequence[0]
    first = beam.IonControlPointSequence[0]
    spot = [float(v) for v in np.atleast_1d(first.ScanSpotPositionMap)]
    vsad = [float(v) for v in beam.VirtualSourceAxisDistances]
    gantry = float(first.GantryAngle)
    return spot_ray(
        (360.0 - gantry) % 360.0 if mirror else gantry,
        float(first.PatientSupportAngle),
        np.asarray([float(v) for v in first.IsocenterPosition]),
        (spot[0], spot[1]),
        (vsad[0], vsad[1]),
        str(plan.PatientSetupSequence[0].PatientPosition),
    )
