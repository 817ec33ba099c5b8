"""What each CT slice must be like, and what all slices of a series must share."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from pydicom import Dataset
from radiarch_common.errors import RefusedError
from radiarch_common.positions import ACCEPTED, check_position

from radiarch_importer.pixel_order import PixelOrder

SAME_WITHIN_MM = 0.01
UNIFORM_WITHIN_MM = 0.11
"""Scanners round positions to 0.1 mm: each slice is off by up to 0.05 mm, and so are the ends it is measured by."""


@dataclass(frozen=True)
class SliceFrame:
    """What all slices of one CT share; mm, LPS.

    Rows and columns are those of the slice in LPS order: ``rows`` along y, ``columns`` along x, and the first
    voxel, at ``x_mm`` and ``y_mm``, is the one of lowest x and y.
    """

    patient_position: str
    order: PixelOrder
    rows: int
    columns: int
    column_spacing_mm: float
    row_spacing_mm: float
    x_mm: float
    y_mm: float
    frame_of_reference_uid: str
    patient_id: str


@dataclass(frozen=True)
class SlicePlace:
    """One slice: its UIDs and where it lies."""

    sop_class_uid: str
    sop_instance_uid: str
    z_mm: float


def read_slice(dataset: Dataset) -> tuple[SliceFrame, SlicePlace]:
    """Frame and place of one CT slice.

    Raises
    ------
    RefusedError
        When it is tilted, of an unknown patient position, colour, multi-frame, or lacks an attribute.
    """
    uid = str(dataset.SOPInstanceUID)
    position = str(dataset.get("PatientPosition", "") or "").strip()
    _check_position(position, uid)
    order = _order(dataset)
    if int(dataset.get("SamplesPerPixel", 1)) != 1 or int(dataset.get("NumberOfFrames", 1) or 1) != 1:
        raise RefusedError(f"CT slice {uid} is a colour or multi-frame image.", "Export single-frame CT images.")
    frame_of_reference_uid = str(dataset.get("FrameOfReferenceUID", "") or "")
    if not frame_of_reference_uid:
        raise RefusedError(
            f"CT slice {uid} has no Frame of Reference UID, so nothing can be placed on it.",
            "Export CT and RTSTRUCT with their Frame of Reference UID.",
        )
    between_rows, between_columns = _numbers(dataset, "PixelSpacing", 2)
    if min(between_rows, between_columns) <= 0:
        raise RefusedError(f"CT slice {uid} has a PixelSpacing that is not positive.", "Export the CT again.")
    x, y, z = _numbers(dataset, "ImagePositionPatient", 3)
    size = (int(dataset.get("Columns", 0)), int(dataset.get("Rows", 0)))
    spacing = (between_columns, between_rows)
    if order.transposed:
        size, spacing = size[::-1], spacing[::-1]
    frame = SliceFrame(
        patient_position=position,
        order=order,
        rows=size[1],
        columns=size[0],
        column_spacing_mm=spacing[0],
        row_spacing_mm=spacing[1],
        x_mm=_lowest(x, order.signs[0], size[0], spacing[0]),
        y_mm=_lowest(y, order.signs[1], size[1], spacing[1]),
        frame_of_reference_uid=frame_of_reference_uid,
        patient_id=str(dataset.get("PatientID", "") or "").strip(),
    )
    return frame, SlicePlace(str(dataset.SOPClassUID), uid, z)


def check_same(first: SliceFrame, other: SliceFrame, place: SlicePlace) -> None:
    """Refuse a slice that does not belong to the same CT as the first. Raises RefusedError."""
    for field in fields(SliceFrame):
        a, b = getattr(first, field.name), getattr(other, field.name)
        if a == b or (isinstance(a, float) and abs(a - b) <= _tolerance(field.name)):
            continue
        # Who the patient is stays out of messages.
        values = "" if field.name == "patient_id" else f" ({_shown(a)} and {_shown(b)})"
        raise RefusedError(
            f"The CT series holds slices of differing {_WORDS[field.name]}{values}, such as the slice at "
            f"z = {place.z_mm:g} mm, {place.sop_instance_uid}: it is two CTs under one series UID.",
            "Send each CT under a series UID of its own.",
        )


def check_spacing(z_mm: Sequence[float]) -> float:
    """Slice spacing, mm, of slice positions that must be uniform.

    Parameters
    ----------
    z_mm
        Rising.

    Raises
    ------
    RefusedError
        When there is one slice, two share a position, or a slice lies further from where uniform spacing
        puts it than ``UNIFORM_WITHIN_MM``.
    """
    if len(z_mm) < 2:
        raise RefusedError("The CT series has a single slice.", "Send the whole CT series.")
    gaps = np.diff(np.asarray(z_mm))
    same = np.flatnonzero(gaps <= SAME_WITHIN_MM)
    if len(same):
        raise RefusedError(
            f"{len(same)} pairs of CT slices share a position, such as z = {z_mm[int(same[0])]:g} mm: "
            "it is two CTs under one series UID.",
            "Send each CT under a series UID of its own.",
        )
    spacing = (z_mm[-1] - z_mm[0]) / (len(z_mm) - 1)
    off = np.abs(np.asarray(z_mm) - (z_mm[0] + spacing * np.arange(len(z_mm))))
    if off.max() > UNIFORM_WITHIN_MM:
        raise _not_uniform(z_mm, gaps)
    return float(spacing)


_WORDS = {
    "patient_position": "patient position",
    "order": "image orientation",
    "rows": "image size",
    "columns": "image size",
    "column_spacing_mm": "pixel spacing",
    "row_spacing_mm": "pixel spacing",
    "x_mm": "x position",
    "y_mm": "y position",
    "frame_of_reference_uid": "frame of reference",
    "patient_id": "PatientID",
}


def _not_uniform(z_mm: Sequence[float], gaps: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> RefusedError:
    usual = float(np.median(gaps))
    widest = int(np.argmax(gaps))
    times = gaps[widest] / usual
    regular = float(np.mean(np.abs(gaps - usual) <= UNIFORM_WITHIN_MM))
    where = f"between z = {z_mm[widest]:g} and {z_mm[widest + 1]:g} mm"
    if times > 1.5 and abs(times - round(times)) < 0.1 and regular > 0.7:
        return RefusedError(
            f"{round(times) - 1} CT slices are missing {where}: the slice spacing is {usual:g} mm.",
            "Send the whole CT series again.",
        )
    return RefusedError(
        f"CT slices are not uniformly spaced: {gaps.min():g} to {gaps.max():g} mm, the widest {where} "
        f"(positions may be off by {UNIFORM_WITHIN_MM} mm).",
        "Slices may be missing, or two CTs may share one series UID; else resample to a uniform spacing.",
    )


def _check_position(position: str, uid: str) -> None:
    if not position:
        raise RefusedError(
            f"CT slice {uid} does not say the patient position (PatientPosition is empty).",
            f"Export the CT with the position in which the patient is treated; these can be planned: {ACCEPTED}.",
        )
    check_position(position)


def _order(dataset: Dataset) -> PixelOrder:
    orientation = _numbers(dataset, "ImageOrientationPatient", 6)
    order = PixelOrder.of(orientation)
    if order is None:
        raise RefusedError(
            f"CT slice {dataset.SOPInstanceUID} is not axial: ImageOrientationPatient is "
            f"{', '.join(f'{o:.4f}' for o in orientation)}.",
            "Scan without gantry tilt, or resample the CT to axial slices, whose rows and columns run along the "
            "patient's left-right and front-back axes, and draw on those.",
        )
    return order


def _lowest(first_mm: float, sign: int, count: int, spacing_mm: float) -> float:
    """Lowest voxel centre along an axis, of the pixels that start at ``first_mm`` and run up or down."""
    return first_mm if sign > 0 else first_mm - (count - 1) * spacing_mm


def _numbers(dataset: Dataset, keyword: str, count: int) -> list[float]:
    value = dataset.get(keyword)
    numbers = [float(v) for v in value] if value is not None and not isinstance(value, str | float) else []
    if len(numbers) != count or not np.all(np.isfinite(numbers)):
        raise RefusedError(f"CT slice {dataset.SOPInstanceUID} has no valid {keyword}.", "Export the CT again.")
    return numbers


def _tolerance(name: str) -> float:
    # A spacing adds up over some 500 pixels.
    return SAME_WITHIN_MM / 100 if "spacing" in name else SAME_WITHIN_MM


def _shown(value: object) -> str:
    return f"{value:g} mm" if isinstance(value, float) else str(value)
