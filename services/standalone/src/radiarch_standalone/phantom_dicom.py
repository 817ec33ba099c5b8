"""DICOM of a phantom: CT slices and a structure set, from arrays and outlines, with fixed UIDs and dates."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage

_SEED = UUID("7d9a5a0e-2f39-5c0a-9d0f-119119119119")
_DATE, _TIME = "20090901", "120000"
_INTERCEPT = -1024
_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"  # retired, and what RT Referenced Study Sequence still names (C.8.8.5)


@dataclass(frozen=True)
class CtGeometry:
    """Centre of the first voxel in plane and of every slice (rising), LPS; spacing along x, y, z; mm."""

    x_mm: float
    y_mm: float
    z_mm: tuple[float, ...]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True)
class RoiContour:
    """One closed outline: points of shape (n, 2), x and y in LPS, mm."""

    z_mm: float
    points_mm: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Roi:
    """One region of interest; ``interpreted_type`` is RT ROI Interpreted Type (3006,00A4)."""

    number: int
    name: str
    interpreted_type: str
    colour: tuple[int, int, int]
    contours: list[RoiContour]


def uid_of(thing: str) -> UID:
    """A UID that is always the same for the same thing (PS3.5 B.2)."""
    return UID(f"2.25.{uuid5(_SEED, thing).int}")


def ct_slices(geometry: CtGeometry, hu: npt.NDArray[np.int16]) -> list[Dataset]:
    """One CT Image per plane of ``hu``, shape (z, y, x)."""
    return [
        _ct_slice(geometry, number, z_mm, plane)
        for number, (z_mm, plane) in enumerate(zip(geometry.z_mm, hu, strict=True), start=1)
    ]


def _ct_slice(geometry: CtGeometry, number: int, z_mm: float, hu: npt.NDArray[np.int16]) -> Dataset:
    ds = _instance(CTImageStorage, uid_of(f"CT {number}"), "CT", "CT series", 1)
    ds.SeriesDescription = "Computed water phantom"
    ds.Laterality = None
    ds.PatientPosition = "HFS"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.AcquisitionNumber = 1
    ds.InstanceNumber = number
    ds.KVP = None  # computed, not scanned
    ds.PixelSpacing = [_ds(geometry.spacing_mm[1]), _ds(geometry.spacing_mm[0])]
    ds.SliceThickness = _ds(geometry.spacing_mm[2])
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [_ds(geometry.x_mm), _ds(geometry.y_mm), _ds(z_mm)]
    ds.Rows, ds.Columns = hu.shape
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = _INTERCEPT, 1, "HU"
    ds.WindowCenter, ds.WindowWidth = 0, 600
    ds.PixelData = (hu.astype(np.int32) - _INTERCEPT).astype("<u2").tobytes()
    return ds


def structure_set(slices: Sequence[Dataset], rois: Sequence[Roi]) -> Dataset:
    """The RT Structure Set of ``rois``; each contour refers to the slice it lies on."""
    ds = _instance(RTStructureSetStorage, uid_of("structure set"), "RTSTRUCT", "structure series", 2)
    ds.SeriesDescription = "TG-119 C-shape structures"
    ds.OperatorsName = None
    ds.StructureSetLabel = "TG119 C-SHAPE"
    ds.StructureSetDescription = "Phantom, not a patient"
    ds.StructureSetDate, ds.StructureSetTime = _DATE, _TIME
    ds.ApprovalStatus = "UNAPPROVED"
    images = {round(float(s.ImagePositionPatient[2]), 3): _reference(s) for s in slices}
    ds.ReferencedFrameOfReferenceSequence = [_frame(list(images.values()))]
    ds.StructureSetROISequence = [_item(_roi_of(roi)) for roi in rois]
    ds.ROIContourSequence = [_roi_contour(roi, images) for roi in rois]
    ds.RTROIObservationsSequence = [_item(_observation_of(roi)) for roi in rois]
    return ds


def _frame(images: list[Dataset]) -> Dataset:
    series = _item({"SeriesInstanceUID": uid_of("CT series"), "ContourImageSequence": images})
    study = _item(
        {
            "ReferencedSOPClassUID": _STUDY_MANAGEMENT,
            "ReferencedSOPInstanceUID": uid_of("study"),
            "RTReferencedSeriesSequence": [series],
        }
    )
    return _item({"FrameOfReferenceUID": uid_of("frame of reference"), "RTReferencedStudySequence": [study]})


def _roi_of(roi: Roi) -> dict[str, object]:
    return {
        "ROINumber": roi.number,
        "ReferencedFrameOfReferenceUID": uid_of("frame of reference"),
        "ROIName": roi.name,
        "ROIGenerationAlgorithm": "AUTOMATIC",
    }


def _observation_of(roi: Roi) -> dict[str, object]:
    return {
        "ObservationNumber": roi.number,
        "ReferencedROINumber": roi.number,
        "RTROIInterpretedType": roi.interpreted_type,
        "ROIInterpreter": None,
    }


def _roi_contour(roi: Roi, images: dict[float, Dataset]) -> Dataset:
    contours: list[Dataset] = []
    for number, contour in enumerate(roi.contours, start=1):
        points = np.column_stack([contour.points_mm, np.full(len(contour.points_mm), contour.z_mm)])
        contours.append(
            _item(
                {
                    "ContourNumber": number,
                    "ContourImageSequence": [images[round(contour.z_mm, 3)]],
                    "ContourGeometricType": "CLOSED_PLANAR",
                    "NumberOfContourPoints": len(points),
                    "ContourData": [_ds(float(value)) for value in points.ravel()],
                }
            )
        )
    return _item({"ReferencedROINumber": roi.number, "ROIDisplayColor": list(roi.colour), "ContourSequence": contours})


def _instance(sop_class_uid: str, sop_instance_uid: str, modality: str, series: str, series_number: int) -> Dataset:
    """What every object of the phantom carries: patient, study, series, equipment, frame, and file meta."""
    ds = _item(
        {
            "SOPClassUID": sop_class_uid,
            "SOPInstanceUID": sop_instance_uid,
            "PatientName": "PHANTOM^TG119",
            "PatientID": "PHANTOM-TG119",
            "PatientBirthDate": None,
            "PatientSex": "O",
            "QualityControlSubject": "YES",
            "PatientComments": "A computed phantom, not a patient.",
            "StudyInstanceUID": uid_of("study"),
            "StudyDate": _DATE,
            "StudyTime": _TIME,
            "StudyID": "TG119",
            "StudyDescription": "TG-119 C-shape in water: a phantom, not a patient",
            "AccessionNumber": None,
            "ReferringPhysicianName": None,
            "Modality": modality,
            "SeriesInstanceUID": uid_of(series),
            "SeriesNumber": series_number,
            "Manufacturer": "Radiarch",
            "ManufacturerModelName": "Phantom",
            "FrameOfReferenceUID": uid_of("frame of reference"),
            "PositionReferenceIndicator": None,
        }
    )
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = uid_of("implementation")
    ds.file_meta.ImplementationVersionName = "RADIARCH_PHANTOM"
    return ds


def _item(values: dict[str, object]) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def _reference(instance: Dataset) -> Dataset:
    return _item({"ReferencedSOPClassUID": instance.SOPClassUID, "ReferencedSOPInstanceUID": instance.SOPInstanceUID})


def _ds(value: float) -> str:
    """A decimal string: at most 16 characters, to 0.001."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
