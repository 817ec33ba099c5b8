"""What every exported DICOM object has: patient, study, series, equipment, and how it becomes bytes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta, timezone
from io import BytesIO
from typing import Any

from pydicom import DataElement, Dataset, dcmwrite
from pydicom.charset import convert_encodings
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import PersonName
from radiarch_common.case import CaseManifest, Reference
from radiarch_common.maker import MANUFACTURER, MODEL
from radiarch_common.messages import ExportResult
from radiarch_common.result import ResultManifest

from radiarch_exporter.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

NOTICE = "NOT FOR CLINICAL USE"

# Type 2 attributes of the Patient and General Study modules: there, if empty, in every object.
_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
_LO_LENGTH = 64


@dataclass(frozen=True)
class Kind:
    """What makes one kind of object differ from another."""

    sop_class_uid: str
    modality: str
    series_number: int


def new_record(
    job: ExportResult, case: CaseManifest, result: ResultManifest, kind: Kind, sop_uid: str, series_uid: str
) -> Dataset:
    """A data set with everything that does not depend on the kind of object.

    Patient and study attributes are those of the study; dates are those of the job's creation.

    Parameters
    ----------
    sop_uid, series_uid
        SOP Instance UID and Series Instance UID of the new object.
    """
    record = Dataset.from_json(case.header)
    for keyword in _TYPE_2:
        if keyword not in record:
            setattr(record, keyword, None)
    record.SOPClassUID = kind.sop_class_uid
    record.SOPInstanceUID = sop_uid
    record.StudyInstanceUID = case.study_instance_uid
    record.SeriesInstanceUID = series_uid
    record.Modality = kind.modality
    record.SeriesNumber = kind.series_number
    record.SeriesDescription = f"Radiarch {kind.modality}, research, not for treatment"
    record.InstanceNumber = 1
    record.OperatorsName = None
    record.Manufacturer = MANUFACTURER
    record.ManufacturerModelName = MODEL
    record.SoftwareVersions = [f"{n} {v}"[:_LO_LENGTH] for n, v in sorted(result.provenance.software.items())]
    record.FrameOfReferenceUID = case.frame_of_reference_uid
    record.PositionReferenceIndicator = None
    record.InstanceCreationDate, record.InstanceCreationTime = date_and_time(job, record)
    record.SeriesDate, record.SeriesTime = record.InstanceCreationDate, record.InstanceCreationTime
    return record


def date_and_time(job: ExportResult, record: Dataset) -> tuple[str, str]:
    """When the job was asked for, as DA and TM: UTC, or the time zone that the record declares."""
    declared = re.fullmatch(r"([+-])(\d\d)(\d\d)", str(record.get("TimezoneOffsetFromUTC", "") or "+0000"))
    sign, hours, minutes = declared.groups() if declared else ("+", "0", "0")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    local = job.created_at.astimezone(timezone(-offset if sign == "-" else offset))
    return local.strftime("%Y%m%d"), local.strftime("%H%M%S")


def reference_to(reference: Reference) -> Dataset:
    """An item that refers to a SOP instance."""
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def encoded(record: Dataset) -> bytes:
    """The record as a DICOM file, Explicit VR Little Endian; the same record gives the same bytes.

    The study's character set is kept where it can write every text of the record, else it is UTF-8.
    """
    if not _writable(record):
        record.SpecificCharacterSet = "ISO_IR 192"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = record.SOPClassUID
    meta.MediaStorageSOPInstanceUID = record.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    record.file_meta = meta
    out = BytesIO()
    dcmwrite(out, record, enforce_file_format=True)
    return out.getvalue()


def _writable(record: Dataset) -> bool:
    codecs = convert_encodings(record.get("SpecificCharacterSet"))
    return all(any(_encodes(text, codec) for codec in codecs) for text in _texts(record))


def _encodes(text: str, codec: str) -> bool:
    try:
        # pydicom takes "iso8859" for the default repertoire, which is ASCII.
        text.encode("ascii" if codec == "iso8859" else codec)
    except UnicodeEncodeError:
        return False
    return True


def _texts(record: Dataset) -> Iterator[str]:
    for element in record.iterall():
        if element.VR in ("SH", "LO", "ST", "LT", "UC", "UT", "PN"):
            yield from _values(element)


def _values(element: DataElement) -> Iterator[str]:
    value: Any = element.value
    values = [value] if isinstance(value, str | PersonName) or value is None else list(value)
    yield from (str(v) for v in values if v is not None)
