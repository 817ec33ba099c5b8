"""A small, sound DICOM study (CT and RTSTRUCT) that a test may spoil in one way before it is written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, RTStructureSetStorage

ROOT = "1.2.826.0.1.3680043.8.498.4711"
STUDY_UID = f"{ROOT}.1"
CT_SERIES_UID = f"{ROOT}.2"
STRUCTURE_SET_UID = f"{ROOT}.3"
FRAME_UID = f"{ROOT}.4"
BODY_MM = ((-30.0, -20.0), (30.0, 20.0))
TARGET_MM = ((-9.0, -8.0), (11.0, 7.0))


def rectangle(low: tuple[float, float], high: tuple[float, float]) -> npt.NDArray[np.float64]:
    """Corners of an axial rectangle, shape (4, 2), mm."""
    return np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])


@dataclass
class SyntheticStudy:
    """Water of -30..30 x -20..20 mm in air on 12 slices of 3 mm; BODY on all, PTV on the inner 6.

    Attributes
    ----------
    ct
        By rising z; voxel (0, 0) of every slice at x = -39, y = -28.5 mm, 2 x 1.5 mm.
    structure_set
        Structures 1 BODY (type EXTERNAL) and 2 PTV.
    """

    ct: list[Dataset] = field(default_factory=lambda: [ct_slice(n, -16.0 + 3.0 * n) for n in range(12)])
    structure_set: Dataset = field(default_factory=Dataset)

    def __post_init__(self) -> None:
        if not len(self.structure_set):
            self.structure_set = _structure_set(self.ct)
            z_mm = [float(s.ImagePositionPatient[2]) for s in self.ct]
            self.add_roi(1, "BODY", "EXTERNAL", [(z, rectangle(*BODY_MM)) for z in z_mm])
            self.add_roi(2, "PTV", "PTV", [(z, rectangle(*TARGET_MM)) for z in z_mm[3:9]])

    def add_roi(
        self,
        number: int,
        name: str,
        interpreted_type: str,
        contours: Sequence[tuple[float, npt.NDArray[np.float64]]],
        kind: str = "CLOSED_PLANAR",
    ) -> None:
        """Draw a structure: (z, points of shape (n, 2)), mm."""
        ds = self.structure_set
        ds.StructureSetROISequence.append(
            item(ROINumber=number, ROIName=name, ReferencedFrameOfReferenceUID=FRAME_UID, ROIGenerationAlgorithm="")
        )
        ds.RTROIObservationsSequence.append(
            item(
                ObservationNumber=number,
                ReferencedROINumber=number,
                RTROIInterpretedType=interpreted_type,
                ROIInterpreter="",
            )
        )
        drawn = [contour(np.column_stack([points, np.full(len(points), z)]), kind) for z, points in contours]
        ds.ROIContourSequence.append(item(ReferencedROINumber=number, ContourSequence=drawn))

    def contours(self, number: int) -> list[Dataset]:
        """Items of the Contour Sequence of a structure, to be changed in place."""
        (found,) = [r for r in self.structure_set.ROIContourSequence if r.ReferencedROINumber == number]
        return list(found.ContourSequence)

    def write(self, folder: Path) -> Path:
        """Write the study as files and return the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for number, dataset in enumerate([*self.ct, self.structure_set]):
            dataset.save_as(folder / f"{number:03}.dcm", enforce_file_format=True)
        return folder


def ct_slice(number: int, z_mm: float, rows: int = 39, columns: int = 40) -> Dataset:
    """One CT image of the synthetic study: 16 bits unsigned, intercept -1024."""
    ds = _instance(CTImageStorage, f"{CT_SERIES_UID}.{number + 1}", "CT", CT_SERIES_UID)
    ds.PatientPosition = "HFS"
    ds.FrameOfReferenceUID = FRAME_UID
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.Manufacturer, ds.ManufacturerModelName, ds.KVP = "Nobody", "Synthetic", "120"
    ds.PixelSpacing = ["1.5", "2"]
    ds.SliceThickness = "3"
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.ImagePositionPatient = ["-39", "-28.5", f"{z_mm:g}"]
    ds.InstanceNumber = number + 1
    ds.Rows, ds.Columns = rows, columns
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    x, y = np.meshgrid(-39 + 2.0 * np.arange(columns), -28.5 + 1.5 * np.arange(rows))
    set_hu(ds, np.where((np.abs(x) < 30) & (np.abs(y) < 20), number, -1000))
    return ds


def set_hu(dataset: Dataset, hu: npt.NDArray[np.int_]) -> None:
    """Replace the pixels by HU, shape (rows, columns)."""
    dataset.PixelData = (hu + 1024).astype("<u2").tobytes()


def contour(points_mm: npt.NDArray[np.float64], kind: str) -> Dataset:
    """An item of a Contour Sequence; points of shape (n, 3), LPS, mm."""
    return item(
        ContourGeometricType=kind,
        NumberOfContourPoints=len(points_mm),
        ContourData=[f"{value:.6g}" for value in points_mm.ravel()],
    )


def item(**values: object) -> Dataset:
    """A dataset of these attributes."""
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def _structure_set(ct: Sequence[Dataset]) -> Dataset:
    ds = _instance(RTStructureSetStorage, STRUCTURE_SET_UID, "RTSTRUCT", f"{ROOT}.5")
    ds.StructureSetLabel = "Synthetic"
    images = [item(ReferencedSOPClassUID=s.SOPClassUID, ReferencedSOPInstanceUID=s.SOPInstanceUID) for s in ct]
    series = item(SeriesInstanceUID=CT_SERIES_UID, ContourImageSequence=images)
    study = item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
        ReferencedSOPInstanceUID=STUDY_UID,
        RTReferencedSeriesSequence=[series],
    )
    ds.ReferencedFrameOfReferenceSequence = [item(FrameOfReferenceUID=FRAME_UID, RTReferencedStudySequence=[study])]
    ds.StructureSetROISequence = []
    ds.ROIContourSequence = []
    ds.RTROIObservationsSequence = []
    return ds


def _instance(sop_class_uid: UID, sop_instance_uid: str, modality: str, series_uid: str) -> Dataset:
    ds = item(
        SpecificCharacterSet="ISO_IR 192",
        SOPClassUID=sop_class_uid,
        SOPInstanceUID=sop_instance_uid,
        Modality=modality,
        StudyInstanceUID=STUDY_UID,
        SeriesInstanceUID=series_uid,
        StudyDate="20260102",
        StudyTime="030405",
        StudyID="S1",
        AccessionNumber="",
        ReferringPhysicianName="",
        PatientName="Nobody^Jörg",
        PatientID="SYNTHETIC-1",
        PatientBirthDate="",
        PatientSex="O",
    )
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds
