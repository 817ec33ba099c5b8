"""The same body in the room, exported as each of the eight patient positions: an oracle and a way to turn studies.

It shares no code with what it checks. A planning system exports images whose pixels stay in the room: columns run
to the right of someone who faces the gantry, rows down, slices towards the gantry. What a position changes is what
those directions are called in the patient, hence the headers and the contours, not the pixels.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.multival import MultiValue

Places = npt.NDArray[np.float64]

ORIENTATION: dict[str, tuple[int, int, int, int, int, int]] = {
    "HFS": (1, 0, 0, 0, 1, 0),
    "HFP": (-1, 0, 0, 0, -1, 0),
    "HFDL": (0, -1, 0, 1, 0, 0),
    "HFDR": (0, 1, 0, -1, 0, 0),
    "FFS": (-1, 0, 0, 0, 1, 0),
    "FFP": (1, 0, 0, 0, -1, 0),
    "FFDL": (0, 1, 0, 1, 0, 0),
    "FFDR": (0, -1, 0, -1, 0, 0),
}
"""ImageOrientationPatient as a commercial system writes it for each position; its cross product is the slices' way."""


def _axes(position: str) -> Places:
    """Rows: the room's right, down and towards the gantry, as vectors in LPS."""
    row, column = np.array(ORIENTATION[position][:3]), np.array(ORIENTATION[position][3:])
    return np.array([row, column, np.cross(row, column)], dtype=np.float64)


def in_patient(position: str, room_mm: npt.ArrayLike) -> Places:
    """Points of the room (right, down, towards the gantry), shape (..., 3), in the patient's LPS."""
    return np.asarray(room_mm, dtype=np.float64) @ _axes(position)


def in_room(position: str, lps_mm: npt.ArrayLike) -> Places:
    """The way back."""
    return np.asarray(lps_mm, dtype=np.float64) @ _axes(position).T


def lay(folder: Path, position: str) -> None:
    """Export the study of a head-first supine patient in a folder as if the same body in the room lay like this.

    Pixels stay as they are; LPS of a head-first supine patient is right, down and towards the gantry.
    """
    for path in sorted(folder.glob("*.dcm")):
        ds = dcmread(path)
        if ds.Modality == "CT":
            ds.PatientPosition = position
            ds.ImageOrientationPatient = list(ORIENTATION[position])
            ds.ImagePositionPatient = _moved(position, ds.ImagePositionPatient)
        for roi in ds.get("ROIContourSequence", []):
            for contour in roi.ContourSequence:
                contour.ContourData = _moved(position, contour.ContourData)
        ds.save_as(path, enforce_file_format=True)


def room_array(position: str, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """An array (z, y, x) of a patient, by the directions of the room: towards the gantry, down, right."""
    axes = _axes(position)[::-1, ::-1]
    order = [int(np.flatnonzero(axis)[0]) for axis in axes]
    turned = values.transpose(order)
    falling = [number for number, axis in enumerate(axes) if axis.sum() < 0]
    return np.flip(turned, falling)


def _moved(position: str, values: Sequence[float] | MultiValue[float]) -> list[str]:
    points = in_patient(position, np.array([float(v) for v in values]).reshape(-1, 3))
    return [f"{value:.9g}" for value in points.ravel()]
