"""Structures of an RTSTRUCT: contours, and which of them outlines the patient."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from radiarch_common.contours import SAME_PLANE_MM, gaps
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Contour

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
"""The second says in words what the even-odd rule does to both."""

BODY_NAMES = ("BODY", "EXTERNAL", "SKIN")


@dataclass(frozen=True)
class Roi:
    """One region of interest as drawn.

    Attributes
    ----------
    contours
        Closed and axial.
    unused
        How many contours are not, by what they are (``POINT``, ``not axial``, ...).
    frame_of_reference_uid
        "" when the structure set does not say.
    """

    number: int
    name: str
    interpreted_type: str
    frame_of_reference_uid: str
    contours: list[Contour]
    unused: dict[str, int]

    @property
    def drawn(self) -> bool:
        """Whether it has contours of any kind."""
        return bool(self.contours or self.unused)


def read_rois(structure_set: Dataset) -> list[Roi]:
    """Every region of interest, by number. Raises RefusedError when numbers are not unique."""
    types = {
        int(item.ReferencedROINumber): str(item.get("RTROIInterpretedType", "") or "").strip().upper()
        for item in structure_set.get("RTROIObservationsSequence") or ()
    }
    drawn: dict[int, list[Dataset]] = {}
    for item in structure_set.get("ROIContourSequence") or ():
        drawn.setdefault(int(item.ReferencedROINumber), []).extend(item.get("ContourSequence") or ())
    frame = str(structure_set.get("FrameOfReferenceUID", "") or "")
    rois: list[Roi] = []
    for item in structure_set.get("StructureSetROISequence") or ():
        number = int(item.ROINumber)
        contours, unused = _contours(drawn.get(number, []))
        rois.append(
            Roi(
                number=number,
                name=str(item.get("ROIName", "") or "").strip() or f"ROI {number}",
                interpreted_type=types.get(number, ""),
                frame_of_reference_uid=str(item.get("ReferencedFrameOfReferenceUID", "") or frame),
                contours=contours,
                unused=unused,
            )
        )
    numbers = [roi.number for roi in rois]
    if len(set(numbers)) < len(numbers):
        raise RefusedError("The RTSTRUCT gives one ROI Number to several structures.", "Export it again.")
    return sorted(rois, key=lambda roi: roi.number)


def find_body(rois: Sequence[Roi], *, may_be_made: bool = False) -> Roi | None:
    """The structure that outlines the patient.

    It is the one of type EXTERNAL, else the one named BODY, EXTERNAL or SKIN in any case; structures without
    contours outline nothing. ``None`` when there is none, and one may be made from the CT.

    Raises
    ------
    RefusedError
        When there is none and none may be made, several, or one that has contours which are not closed and axial.
    """
    drawn = [roi for roi in rois if roi.drawn]
    bodies = [roi for roi in drawn if roi.interpreted_type == "EXTERNAL"]
    bodies = bodies or [roi for roi in drawn if roi.name.upper() in BODY_NAMES]
    if not bodies and may_be_made:
        return None
    if not bodies:
        raise RefusedError(
            "The structure set has no body contour: no structure of type EXTERNAL, and none named BODY, EXTERNAL "
            "or SKIN, has contours.",
            "Draw the patient's outline and give it the type EXTERNAL, or set `body_from_ct` to have one made.",
        )
    if len(bodies) > 1:
        names = ", ".join(f"'{roi.name}'" for roi in bodies)
        raise RefusedError(
            f"The structure set has {len(bodies)} body contours: {names}.", "Give the type EXTERNAL to one alone."
        )
    if bodies[0].unused:
        raise RefusedError(
            f"The body contour '{bodies[0].name}' has contours that cannot be used: {_counted(bodies[0].unused)}.",
            "Draw it as closed contours on axial planes.",
        )
    return bodies[0]


def check_frame(rois: Iterable[Roi], frame_of_reference_uid: str) -> None:
    """Refuse structures that were drawn in another frame of reference than the CT's. Raises RefusedError."""
    others = [roi for roi in rois if roi.drawn and roi.frame_of_reference_uid != frame_of_reference_uid]
    if others:
        names = ", ".join(f"'{roi.name}'" for roi in others[:5])
        raise RefusedError(
            f"{len(others)} structures ({names}) lie in frame of reference "
            f"{others[0].frame_of_reference_uid or '(none named)'}, the CT in {frame_of_reference_uid}.",
            "Draw the structures on this CT, or transfer them to it, and export again.",
        )


def warnings_of(roi: Roi, slice_mm: float) -> list[str]:
    """What a reader should know of how a structure was taken."""
    found: list[str] = []
    if roi.unused:
        found.append(f"Structure '{roi.name}': contours left out: {_counted(roi.unused)}.")
    for gap in gaps(roi.contours, slice_mm):
        taken = "filled" if gap.bridged else "left open"
        found.append(
            f"Structure '{roi.name}': no contour between z = {gap.z_low_mm:g} and {gap.z_high_mm:g} mm; {taken}."
        )
    return found


def _contours(items: Sequence[Dataset]) -> tuple[list[Contour], dict[str, int]]:
    contours: list[Contour] = []
    unused: dict[str, int] = {}
    for item in items:
        kind = str(item.get("ContourGeometricType", "") or "without a type").strip().upper()
        points = _points(item)
        axial = len(points) > 0 and float(np.ptp(points[:, 2])) <= SAME_PLANE_MM
        if kind in CLOSED and axial:
            if len(np.unique(points, axis=0)) >= 3:
                contours.append(Contour(z_mm=float(points[:, 2].mean()), points_mm=points[:, :2].copy()))
        elif len(points):
            name = kind if kind not in CLOSED else "not axial"
            unused[name] = unused.get(name, 0) + 1
    return contours, unused


def _points(contour: Dataset) -> npt.NDArray[np.float64]:
    """Shape (n, 3), LPS, mm. Raises ValueError when the data are no points."""
    if "ContourData" not in contour:
        return np.zeros((0, 3))
    value = contour.get_item("ContourData").value
    if isinstance(value, bytes):
        # Still as read: pydicom would make an object of each of a million numbers.
        text = value.decode("ascii").strip(" \0")
        value = text.split("\\") if text else []
    points = np.asarray(value if value is not None else [], dtype=np.float64).reshape(-1, 3)
    if not np.all(np.isfinite(points)):
        raise ValueError("contour points are not finite")
    return points


def _counted(unused: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(unused.items()))
