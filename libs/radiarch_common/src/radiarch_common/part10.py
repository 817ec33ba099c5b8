"""DICOM files (PS3.10): writing them whole, and what reading broken ones raises."""

import struct
import zlib
from io import BytesIO

from pydicom import Dataset, dcmwrite
from pydicom.errors import BytesLengthException, InvalidDicomError

from radiarch_common.errors import RefusedError

UNREADABLE = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    ValueError,
    AttributeError,
    TypeError,
    LookupError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What reading or decoding bytes that are not the DICOM they claim to be raises."""


def encoded(dataset: Dataset) -> bytes:
    """A dataset as a file with preamble and complete meta information; the dataset stays as it is."""
    out = BytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def unreadable(sop_instance_uid: str, error: Exception) -> RefusedError:
    """The refusal of an instance that is not the DICOM it claims to be.

    It names the kind of error only: messages of decoders quote values, and values are patient data.
    """
    return RefusedError(
        f"Instance {sop_instance_uid} cannot be read: its content is damaged, cut off or in a form that cannot "
        f"be decoded ({type(error).__name__}).",
        "Send it to the PACS again from where it came from, uncompressed (Explicit VR Little Endian).",
    )
