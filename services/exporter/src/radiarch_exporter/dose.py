"""RT Dose: the RBE-weighted dose of all fractions, as DICOM.

References
----------
DICOM PS3.3 A.18 (RT Dose IOD), C.8.8.3 (RT Dose Module), C.8.8.4 (RT DVH Module).
"""

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import RTDoseStorage, RTIonPlanStorage
from radiarch_common.case import CaseManifest, Reference
from radiarch_common.geometry import Grid
from radiarch_common.messages import ExportResult
from radiarch_common.result import ResultManifest

from radiarch_exporter.decimals import ceiling_ds, nearest_ds, nearest_ds_list
from radiarch_exporter.dvh_sequence import dvh_item
from radiarch_exporter.identity import Identity
from radiarch_exporter.record import Kind, date_and_time, new_record, reference_to

_KIND = Kind(sop_class_uid=RTDoseStorage, modality="RTDOSE", series_number=9002)
_LARGEST = 2**32 - 1
# How far a dose plane may lie from a CT plane, mm; viewers tell planes apart by less than this.
_PLANE_TOLERANCE_MM = 1e-3


def rt_dose(
    job: ExportResult, case: CaseManifest, result: ResultManifest, dose_gy_rbe: npt.NDArray[np.float32]
) -> Dataset:
    """The RT Dose of a result, summed over all fractions.

    Parameters
    ----------
    job, case, result
        What is exported.
    dose_gy_rbe
        Shape (z, y, x) on ``result.grid``, Gy(RBE).

    Raises
    ------
    ValueError
        If the dose is not finite, negative or zero everywhere, or its planes are not CT planes.
    """
    _check(dose_gy_rbe, result.grid, case.grid)
    identity = Identity.of(job.job_id, result.digest)
    dose = new_record(job, case, result, _KIND, identity.dose_uid, identity.dose_series_uid)
    dose.ContentDate, dose.ContentTime = date_and_time(job, dose)
    _describe(dose, case, result, identity)
    _lay(dose, result.grid)
    _fill(dose, dose_gy_rbe)
    return dose


def _check(dose_gy_rbe: npt.NDArray[np.float32], grid: Grid, ct: Grid) -> None:
    if dose_gy_rbe.shape != grid.shape:
        raise ValueError(f"dose of shape {dose_gy_rbe.shape} does not lie on a grid of shape {grid.shape}")
    if not np.all(np.isfinite(dose_gy_rbe)) or dose_gy_rbe.min() < 0 or dose_gy_rbe.max() <= 0:
        raise ValueError("the dose must be finite, nowhere negative, and somewhere positive")
    planes = (grid.axis_mm(2) - ct.origin_mm[2]) / ct.spacing_mm[2]
    if np.max(np.abs(planes - np.rint(planes))) * ct.spacing_mm[2] > _PLANE_TOLERANCE_MM:
        raise ValueError("the dose planes do not lie on planes of the CT")


def _describe(dose: Dataset, case: CaseManifest, result: ResultManifest, identity: Identity) -> None:
    spec = result.resolved.spec
    dose.DoseUnits = "GY"
    dose.DoseType = "EFFECTIVE"
    dose.DoseComment = (
        f"RBE {spec.rbe:g} constant, to {result.provenance.dose_to}, {spec.prescription.fractions} fx, "
        "not for clinical use"
    )
    dose.DoseSummationType = "PLAN"
    dose.TissueHeterogeneityCorrection = "IMAGE"
    plan = Reference(sop_class_uid=RTIonPlanStorage, sop_instance_uid=identity.plan_uid)
    dose.ReferencedRTPlanSequence = [reference_to(plan)]
    drawn = [curve for curve in result.dvh if not curve.derived]
    if drawn:
        # The standard's RT DVH Module: neither of the two without the other. It can only refer to ROIs that there are.
        dose.ReferencedStructureSetSequence = [reference_to(case.structure_set)]
        dose.DVHSequence = [dvh_item(curve) for curve in drawn]


def _lay(dose: Dataset, grid: Grid) -> None:
    """Where the voxels are; the grid's axes are the patient's."""
    dose.ImagePositionPatient = nearest_ds_list(grid.origin_mm)
    dose.ImageOrientationPatient = nearest_ds_list((1, 0, 0, 0, 1, 0))
    dose.PixelSpacing = nearest_ds_list((grid.spacing_mm[1], grid.spacing_mm[0]))
    dose.SliceThickness = nearest_ds(grid.spacing_mm[2])
    dose.Columns, dose.Rows, dose.NumberOfFrames = grid.size
    dose.FrameIncrementPointer = Tag(0x3004, 0x000C)
    dose.GridFrameOffsetVector = nearest_ds_list(grid.spacing_mm[2] * k for k in range(grid.size[2]))


def _fill(dose: Dataset, dose_gy_rbe: npt.NDArray[np.float32]) -> None:
    """Pixels, rounded to multiples of the scaling as it is written."""
    scaling = ceiling_ds(float(dose_gy_rbe.max()) / _LARGEST)
    pixels = np.rint(dose_gy_rbe.astype(np.float64) / float(scaling))
    dose.DoseGridScaling = scaling
    dose.SamplesPerPixel = 1
    dose.PhotometricInterpretation = "MONOCHROME2"
    dose.BitsAllocated = 32
    dose.BitsStored = 32
    dose.HighBit = 31
    dose.PixelRepresentation = 0
    dose.PixelData = pixels.astype("<u4").tobytes()
    dose["PixelData"].VR = "OW"
