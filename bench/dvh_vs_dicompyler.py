"""DVH of 20 structures drawn on a CT of 512 x 512 x 200, ours against dicompyler-core.

    uv run --with dicompyler-core python bench/dvh_vs_dicompyler.py [--fine]

dicompyler-core is no dependency of the project: `--with` installs it for this run alone. Its last release (0.5.6)
imports two names that pydicom 3 no longer has in that place; they are given to it here, nothing else is changed.

Both sides get the same contours (a point for each millimetre, 2 mm between planes, holes and structures of two parts
among them) and the same dose (2.5 x 2.5 x 2 mm); ours as arrays, dicompyler-core as RTSTRUCT and RTDOSE in memory. By
default dicompyler-core works as it does by default: voxels of the dose grid whose centre is inside. `--fine` lets it
interpolate to 0.625 mm in plane and to three planes for each that was drawn. Neither file reading nor a first, small
structure is timed. The volume of most shapes is known by formula: the table says how far each side is off. Prints a
table and, last, one JSON object.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Sections = Callable[[float], list[tuple[float, float, float, float]]]
"""Ellipses of a plane: centre x, y and half axes, mm; one inside another is a hole."""

CT_MM, CT_SIZE, SLICE_MM, SLICES = 0.9765625, 512, 2.0, 200
GRID_MM = (2.5, 2.5, 2.0)
DOSES = ("D95", "D50", "mean")


@dataclass(frozen=True)
class Shape:
    """A structure by its sections; ``volume_cc`` where a formula gives it."""

    name: str
    low_mm: float
    high_mm: float
    sections: Sections
    volume_cc: float | None = None

    def contours(self) -> Iterator[tuple[float, FloatArray]]:
        """Height and points, shape (n, 2), of each contour on the CT's planes."""
        for z_mm in SLICE_MM * np.arange(SLICES):
            for x, y, a, b in self.sections(float(z_mm)) if self.low_mm <= z_mm <= self.high_mm else []:
                if min(a, b) > 0.25:
                    count = max(12, int(np.pi * (a + b)))
                    step = 2 * np.pi / count
                    angle = step * np.arange(count)
                    # Corners lie so far out that the polygon has the area of the ellipse.
                    size = np.sqrt(step / np.sin(step))
                    yield float(z_mm), np.column_stack([x + size * a * np.cos(angle), y + size * b * np.sin(angle)])


def ellipsoid(name: str, centre: tuple[float, float, float], half: tuple[float, float, float]) -> Shape:
    """A body that closes from all sides."""

    def sections(z_mm: float) -> list[tuple[float, float, float, float]]:
        size = np.sqrt(max(1 - ((z_mm - centre[2]) / half[2]) ** 2, 0.0))
        return [(centre[0], centre[1], half[0] * size, half[1] * size)]

    volume = 4 / 3 * np.pi * float(np.prod(half)) / 1000
    return Shape(name, centre[2] - half[2], centre[2] + half[2], sections, volume)


def tube(
    name: str, at: tuple[float, float], half: tuple[float, float], z: tuple[float, float], lean: float = 0.0
) -> Shape:
    """A tube that leans by ``lean`` mm in x for each mm in z, from half a slice below to half a slice above ``z``."""
    middle = (z[0] + z[1]) / 2

    def sections(z_mm: float) -> list[tuple[float, float, float, float]]:
        return [(at[0] + lean * (z_mm - middle), at[1], *half)]

    return Shape(name, *z, sections, np.pi * half[0] * half[1] * (z[1] - z[0] + SLICE_MM) / 1000)


def wall(name: str, outer: Shape, inner: Shape) -> Shape:
    """What lies between two tubes: contours with a hole."""

    def sections(z_mm: float) -> list[tuple[float, float, float, float]]:
        return [*outer.sections(z_mm), *inner.sections(z_mm)]

    return Shape(name, outer.low_mm, outer.high_mm, sections, (outer.volume_cc or 0.0) - (inner.volume_cc or 0.0))


def two(name: str, one: Shape, other: Shape) -> Shape:
    """A structure of two parts at the same height."""

    def sections(z_mm: float) -> list[tuple[float, float, float, float]]:
        return [*one.sections(z_mm), *other.sections(z_mm)]

    return Shape(name, one.low_mm, one.high_mm, sections, (one.volume_cc or 0.0) + (other.volume_cc or 0.0))


def waisted(z_mm: float) -> list[tuple[float, float, float, float]]:
    """The body's outline."""
    size = 1.0 - 0.12 * np.sin(z_mm / 60.0) ** 2
    return [(0.0, 0.0, 195.0 * size, 122.0 * size)]


def shapes() -> list[Shape]:
    """Twenty structures, from a whole body to a lens."""
    rectum, lumen = (tube("Rectum", (0, 55), (s, s), (40, 120), lean=0.15) for s in (16.0, 12.0))
    left, right = (ellipsoid("Parotids", (x, 10, 360), (12, 18, 22)) for x in (-55, 55))
    return [
        Shape("BODY", 0.0, SLICE_MM * (SLICES - 1), waisted),
        ellipsoid("PTV", (18, -12, 190), (34, 26, 31)),
        ellipsoid("CTV", (18, -12, 190), (27, 19, 24)),
        ellipsoid("Lung_L", (85, -10, 270), (55, 75, 100)),
        ellipsoid("Lung_R", (-85, -10, 270), (60, 78, 104)),
        ellipsoid("Heart", (20, -40, 230), (45, 38, 42)),
        ellipsoid("Liver", (-70, -15, 150), (85, 65, 60)),
        ellipsoid("Kidney_L", (65, 50, 140), (22, 18, 50)),
        ellipsoid("Kidney_R", (-65, 50, 135), (23, 19, 52)),
        ellipsoid("Spleen", (110, 30, 165), (25, 35, 45)),
        ellipsoid("Bladder", (0, -20, 60), (38, 30, 28)),
        tube("SpinalCord", (0, 70), (6, 5), (0, 398)),
        tube("SpinalCanal", (0, 70), (9, 8), (0, 398)),
        tube("Esophagus", (5, 45), (8, 6), (180, 380), lean=0.08),
        wall("RectalWall", rectum, lumen),
        ellipsoid("Femur_L", (120, 20, 30), (24, 24, 24)),
        ellipsoid("Femur_R", (-120, 20, 30), (24, 24, 24)),
        two("Parotids", left, right),
        tube("OpticNerve", (14, -60), (2, 2), (380, 394), lean=1.5),
        ellipsoid("Lens", (30, -80, 388), (4.5, 2.5, 4.5)),
    ]


def dose_on_grid() -> tuple[tuple[float, float, float], npt.NDArray[np.float32]]:
    """A target dose of 60 Gy with falling edges over a bath; origin (x, y, z) in mm and shape (z, y, x)."""
    x, y, z = (
        np.arange(low, high, step)
        for low, high, step in zip((-200, -127.5, 0), (201, 128, 398.1), GRID_MM, strict=True)
    )
    place = np.meshgrid(z, y, x, indexing="ij")
    radius = np.sqrt(((place[2] - 18) / 36) ** 2 + ((place[1] + 12) / 28) ** 2 + ((place[0] - 190) / 33) ** 2)
    bath = (3.0 + place[0] / 200) * np.exp(-((place[2] / 140) ** 2))
    dose = 56.0 / (1 + np.exp(np.clip((radius - 1.15) / 0.12, -50, 50))) + bath
    return (float(x[0]), float(y[0]), float(z[0])), dose.astype(np.float32)


def ours(made: list[Shape], origin: tuple[float, float, float], dose: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Radiarch's DVH from contours in memory."""
    from radiarch_common.geometry import Contour, Grid
    from radiarch_planner.dvh import dvh_of

    grid = Grid(origin_mm=origin, spacing_mm=GRID_MM, size=(dose.shape[2], dose.shape[1], dose.shape[0]))
    drawn = {s.name: [Contour(z_mm=z, points_mm=points) for z, points in s.contours()] for s in made}
    found: dict[str, Any] = {}
    for name in ("Lens", *(s.name for s in made)):
        start = time.perf_counter()
        curve = dvh_of(name, 1, drawn[name], dose, grid, [], slice_mm=SLICE_MM).curve
        metrics = curve.metrics
        found[name] = {
            "s": time.perf_counter() - start,
            "volume": curve.volume_cc,
            "mean": metrics["Mean[Gy]"],
            "D95": metrics["D95%[Gy]"],
            "D50": metrics["D50%[Gy]"],
        }
    return found


def dicompyler(
    made: list[Shape], origin: tuple[float, float, float], dose: npt.NDArray[np.float32], fine: bool
) -> dict[str, Any]:
    """dicompyler-core's DVH from datasets in memory."""
    import pydicom.dataset
    import pydicom.dicomio
    import pydicom.filewriter

    pydicom.dicomio.read_file = pydicom.dcmread  # pyright: ignore[reportAttributeAccessIssue]
    pydicom.dataset.validate_file_meta = pydicom.filewriter.validate_file_meta  # pyright: ignore[reportAttributeAccessIssue, reportPrivateImportUsage]
    from dicompylercore import dvhcalc  # pyright: ignore[reportMissingImports]

    structures, rtdose = rtstruct(made), rtdose_of(origin, dose)
    extra: dict[str, Any] = {"calculate_full_volume": True}
    if fine:
        extra |= {
            "use_structure_extents": True,
            "interpolation_resolution": 0.625,
            "interpolation_segments_between_planes": 2,
        }
    found: dict[str, Any] = {}
    for number in (len(made), *range(1, len(made) + 1)):
        start = time.perf_counter()
        curve = dvhcalc.get_dvh(structures, rtdose, number, **extra)
        doses = {name: float(curve.statistic(name).value) for name in ("D95", "D50")}
        seconds = time.perf_counter() - start
        found[made[number - 1].name] = {"s": seconds, "volume": float(curve.volume), "mean": float(curve.mean), **doses}
    return found


def record_of(sop_class: str, modality: str) -> Any:  # noqa: ANN401 - pydicom's dataset
    """An empty record with the file meta information that dicompyler-core looks at."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    record: Any = Dataset()
    record.SOPClassUID, record.SOPInstanceUID, record.Modality = UID(sop_class), UID("1.2.3.4"), modality
    record.file_meta = FileMetaDataset()
    record.file_meta.MediaStorageSOPClassUID = UID(sop_class)
    record.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    record.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return record


def rtstruct(made: list[Shape]) -> Any:  # noqa: ANN401 - pydicom's dataset
    """The shapes as an RTSTRUCT, ROI Numbers from 1."""
    from pydicom.dataset import Dataset

    record = record_of("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT")
    record.StructureSetROISequence, record.ROIContourSequence, record.RTROIObservationsSequence = [], [], []
    for number, shape in enumerate(made, start=1):
        roi, drawn, seen = Dataset(), Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, shape.name
        drawn.ReferencedROINumber, drawn.ROIDisplayColor, drawn.ContourSequence = number, [255, 0, 0], []
        seen.ReferencedROINumber, seen.RTROIInterpretedType = number, ""
        for z_mm, points in shape.contours():
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
            contour.ContourData = np.column_stack([points.round(3), np.full(len(points), z_mm)]).ravel().tolist()
            drawn.ContourSequence.append(contour)
        record.StructureSetROISequence.append(roi)
        record.ROIContourSequence.append(drawn)
        record.RTROIObservationsSequence.append(seen)
    return record


def rtdose_of(origin: tuple[float, float, float], dose: npt.NDArray[np.float32]) -> Any:  # noqa: ANN401
    """The dose as an RTDOSE of 32 bits."""
    record = record_of("1.2.840.10008.5.1.4.1.1.481.2", "RTDOSE")
    record.Rows, record.Columns, record.NumberOfFrames = dose.shape[1], dose.shape[2], dose.shape[0]
    record.ImagePositionPatient, record.ImageOrientationPatient = list(origin), [1, 0, 0, 0, 1, 0]
    record.PixelSpacing, record.PatientPosition = [GRID_MM[1], GRID_MM[0]], "HFS"
    record.GridFrameOffsetVector = [GRID_MM[2] * k for k in range(dose.shape[0])]
    record.DoseUnits, record.DoseType, record.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    record.SamplesPerPixel, record.PhotometricInterpretation, record.PixelRepresentation = 1, "MONOCHROME2", 0
    record.BitsAllocated, record.BitsStored, record.HighBit = 32, 32, 31
    record.DoseGridScaling = 1e-6
    record.PixelData = np.rint(dose / 1e-6).astype("<u4").tobytes()
    return record


def table(made: list[Shape], sides: dict[str, dict[str, Any]]) -> None:
    """Seconds of each side, how far each is off a volume that is known, and how far their doses differ."""
    print(f"{'':12}{'':10}{'seconds':>19}{'':8}{'volume off, %':>18}{'theirs - ours, Gy':>24}")
    print(f"{'':12}{'cm3':>10}{'ours':>9}{'theirs':>10}{'ratio':>8}{'ours':>9}{'theirs':>9}", end="")
    print("".join(f"{name:>8}" for name in DOSES))
    for shape in made:
        a, b = sides["radiarch"][shape.name], sides["dicompyler"][shape.name]
        off = ["" if shape.volume_cc is None else f"{100 * (v['volume'] / shape.volume_cc - 1):.2f}" for v in (a, b)]
        print(f"{shape.name:12}{a['volume']:10.2f}{_seconds(a['s'], b['s'])}{off[0]:>9}{off[1]:>9}", end="")
        print("".join(f"{b[name] - a[name]:8.2f}" for name in DOSES))
    print(f"{'all':12}{'':10}{_seconds(*(total_s(found, made) for found in sides.values()))}")


def _seconds(mine: float, theirs: float) -> str:
    return f"{mine:9.3f}{theirs:10.3f}{mine / theirs:8.2f}"


def total_s(found: dict[str, Any], made: list[Shape]) -> float:
    """Seconds of all structures."""
    return sum(found[shape.name]["s"] for shape in made)


def main() -> None:
    """Measure both, one after the other, in one process and on one core."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fine", action="store_true", help="let dicompyler-core interpolate")
    options = parser.parse_args()
    made = shapes()
    origin, dose = dose_on_grid()
    sides = {"radiarch": ours(made, origin, dose), "dicompyler": dicompyler(made, origin, dose, options.fine)}
    table(made, sides)
    total = {side: total_s(found, made) for side, found in sides.items()}
    known = [s for s in made if s.volume_cc is not None]
    worst = {
        name: max(abs(sides["dicompyler"][s.name][name] - sides["radiarch"][s.name][name]) for s in made)
        for name in DOSES
    }
    told = {
        "structures": len(made),
        "ct": [CT_SIZE, CT_SIZE, SLICES],
        "dose_grid": list(dose.shape[::-1]),
        "fine": options.fine,
        "seconds": total,
        "ratio": total["radiarch"] / total["dicompyler"],
        "largest_difference_gy": worst,
        "largest_volume_difference_percent": max(
            100 * abs(sides["dicompyler"][s.name]["volume"] / sides["radiarch"][s.name]["volume"] - 1) for s in made
        ),
        "worst_volume_error_percent": {
            side: max(100 * abs(found[s.name]["volume"] / (s.volume_cc or 1.0) - 1) for s in known)
            for side, found in sides.items()
        },
        **sides,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
