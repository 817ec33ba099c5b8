"""A TG-119 C-shape in a water phantom: CT and RTSTRUCT in DICOM, the same bytes every time.

Geometry, in mm, relative to ``CENTRE_MM`` on the axis of the core (x to the left, y to the back, z to the
head; the patient position is head-first supine):

- **Core**, to be avoided: a cylinder along z, radius 10, length 100.
- **PTV**: a C around the core, inner radius 15 (a gap of 5 to the core), outer radius 37, length 80. It covers
  the 210 degrees in front of the core and is open for the 150 degrees behind it, as in the structure set that
  goes with the report; by formula 167.7 cm3.
- **BODY**: a box of water (HU 0), 300 x 200 x 160, with 20 of air (HU -1000) around it in plane and 5 at
  either end. All its faces lie on voxel faces.

A beam from gantry 90 or 270 crosses 113 mm of water before the target and has 187 mm to its far side: within
the 77 to 317 mm that protons of 100 to 225 MeV reach in water. From gantry 0 the target would start at 63 mm,
too shallow for 100 MeV without a range shifter.

The frame of reference is not centred on the phantom, so that a lost origin shows.

References
----------
Ezzell et al., "IMRT commissioning: multiple institution planning and dosimetry comparisons, a report from AAPM
Task Group 119", Med. Phys. 36 (2009) 5359: test C-shape.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from radiarch_standalone.phantom_dicom import CtGeometry, Roi, RoiContour, ct_slices, structure_set, uid_of

CENTRE_MM = (10.0, -150.0, 40.0)
"""Middle of the core, LPS, mm."""
CORE_RADIUS_MM, CORE_LENGTH_MM = 10.0, 100.0
PTV_INNER_RADIUS_MM, PTV_OUTER_RADIUS_MM, PTV_LENGTH_MM = 15.0, 37.0, 80.0
PTV_ARC_DEG = 210.0
BODY_SIZE_MM = (300.0, 200.0, 160.0)
PIXEL_MM, SLICE_MM = 2.0, 2.5
AIR_HU, WATER_HU = -1000, 0

_AIR_MARGIN_MM = (20.0, 20.0, 5.0)
_ARC_STEP_DEG = 1.5


@dataclass(frozen=True)
class PhantomStudy:
    """What was written, and by which names a plan refers to it.

    Attributes
    ----------
    structure_set_uid
        SOP Instance UID of the RTSTRUCT.
    files
        Every file written: CT slices by rising z, then the RTSTRUCT.
    target, core, body
        Names of the structures.
    """

    study_instance_uid: str
    structure_set_uid: str
    files: tuple[Path, ...]
    target: str = "PTV"
    core: str = "Core"
    body: str = "BODY"


def write_phantom(folder: Path) -> PhantomStudy:
    """Write the phantom's CT (``CT_001.dcm`` ...) and RTSTRUCT (``RS.dcm``) into ``folder``.

    The folder is made when it is missing; files of the same name are replaced. UIDs and dates are fixed: the
    phantom is one study, however often it is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    slices = ct_slices(*_ct())
    structures = structure_set(slices, _rois())
    named = [(f"CT_{number:03d}.dcm", dataset) for number, dataset in enumerate(slices, start=1)]
    named.append(("RS.dcm", structures))
    for name, dataset in named:
        dataset.save_as(folder / name, enforce_file_format=True)
    return PhantomStudy(
        study_instance_uid=uid_of("study"),
        structure_set_uid=uid_of("structure set"),
        files=tuple(folder / name for name, _ in named),
    )


def _ct() -> tuple[CtGeometry, npt.NDArray[np.int16]]:
    """Where the voxels are, and their HU, shape (z, y, x)."""
    spacing = (PIXEL_MM, PIXEL_MM, SLICE_MM)
    extent = [body + 2 * air for body, air in zip(BODY_SIZE_MM, _AIR_MARGIN_MM, strict=True)]
    x, y, z = ((np.arange(round(e / s)) + 0.5) * s - e / 2 for e, s in zip(extent, spacing, strict=True))
    half_x, half_y, half_z = (size / 2 for size in BODY_SIZE_MM)
    inside = (np.abs(z) < half_z)[:, None, None] & (np.abs(y) < half_y)[:, None] & (np.abs(x) < half_x)
    geometry = CtGeometry(
        x_mm=x[0] + CENTRE_MM[0], y_mm=y[0] + CENTRE_MM[1], z_mm=tuple(z + CENTRE_MM[2]), spacing_mm=spacing
    )
    return geometry, np.where(inside, WATER_HU, AIR_HU).astype(np.int16)


def _rois() -> list[Roi]:
    half_x, half_y = BODY_SIZE_MM[0] / 2, BODY_SIZE_MM[1] / 2
    box = np.array([[-half_x, -half_y], [half_x, -half_y], [half_x, half_y], [-half_x, half_y]])
    return [
        Roi(1, "BODY", "EXTERNAL", (0, 160, 0), _prism(box, BODY_SIZE_MM[2])),
        Roi(2, "PTV", "PTV", (220, 0, 0), _prism(_c_shape(), PTV_LENGTH_MM)),
        Roi(3, "Core", "AVOIDANCE", (0, 0, 220), _prism(_arc(CORE_RADIUS_MM, 360.0)[:-1], CORE_LENGTH_MM)),
    ]


def _c_shape() -> npt.NDArray[np.float64]:
    """Outline of the target, shape (n, 2): the outer arc, then the inner one back."""
    outer, inner = _arc(PTV_OUTER_RADIUS_MM, PTV_ARC_DEG), _arc(PTV_INNER_RADIUS_MM, PTV_ARC_DEG)
    return np.concatenate([outer, inner[::-1]])


def _arc(radius_mm: float, arc_deg: float) -> npt.NDArray[np.float64]:
    """Points on an arc whose middle looks to the front (-y): shape (n, 2), both ends included."""
    steps = round(arc_deg / _ARC_STEP_DEG)
    angle = np.deg2rad(np.linspace(-arc_deg / 2, arc_deg / 2, steps + 1))
    return radius_mm * np.stack([np.sin(angle), -np.cos(angle)], axis=1)


def _prism(outline_mm: npt.NDArray[np.float64], length_mm: float) -> list[RoiContour]:
    """The same outline on every slice within ``length_mm``; a contour stands for a slab one slice thick."""
    count = round(length_mm / SLICE_MM)
    z = (np.arange(count) + 0.5) * SLICE_MM - length_mm / 2 + CENTRE_MM[2]
    return [RoiContour(z_mm=float(plane), points_mm=outline_mm + CENTRE_MM[:2]) for plane in z]
