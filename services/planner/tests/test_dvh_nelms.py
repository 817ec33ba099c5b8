"""The DVH against analytic curves that others made, at voxel sizes and slice spacings of the clinic.

The set is Nelms et al. 2015 (doi 10.1118/1.4923175): five shapes, contoured every 1, 2 and 3 mm, in dose
gradients of 1 Gy/mm along two axes on grids of 1, 2 and 3 mm.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openpyxl
import pydicom
import pytest
from radiarch_common.geometry import Contour, Grid
from radiarch_planner.dvh import dvh_of

COLUMNS = ("volume", "mean", "D99", "D95", "D5", "D1")
# Worst deviation in percent, of COLUMNS, that a careful DVH of plain slabs leaves. For D1 there is
# no such figure; its bound is the largest of its shape.
SLABS = {
    "Sphere": (1.8, 0.04, 5.1, 1.8, 0.5, 5.1),
    "Cylinder": (0.4, 0.01, 3.5, 1.7, 0.4, 3.5),
    "Cone": (0.3, 0.06, 0.4, 1.8, 0.6, 1.8),
    "RtCone": (1.8, 0.4, 1.4, 1.0, 0.3, 1.8),
    "RtCylinder": (4.0, 0.8, 19.0, 7.5, 1.9, 19.0),
}
ASKED = [f"{name}%[Gy]" for name in COLUMNS[2:]]
# Half of what is largest with slabs, for the shapes that run across the planes.
HALVED = {"RtCone": 0.9, "RtCylinder": 9.5}


@pytest.fixture(scope="module")
def nelms() -> Path:
    root = os.environ.get("RADIARCH_TEST_DATA")
    if not root:
        pytest.skip("RADIARCH_TEST_DATA does not name a folder of real data")
    folder = Path(root) / "nelms"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


def contours_of(path: Path) -> list[Contour]:
    dataset = pydicom.dcmread(path)
    points = [np.asarray(c.ContourData, float).reshape(-1, 3) for c in dataset.ROIContourSequence[0].ContourSequence]
    return [Contour(z_mm=float(p[0, 2]), points_mm=p[:, :2]) for p in points]


def doses(folder: Path) -> Iterator[tuple[str, Grid, npt.NDArray[np.float32]]]:
    for path in sorted((folder / "DOSE").glob("*.dcm")):
        dataset = pydicom.dcmread(path)
        array = (dataset.pixel_array * float(dataset.DoseGridScaling)).astype(np.float32)
        x, y, z = (float(v) for v in dataset.ImagePositionPatient)
        dy, dx = (float(v) for v in dataset.PixelSpacing)
        dz = float(dataset.GridFrameOffsetVector[1])
        grid = Grid(origin_mm=(x, y, z), spacing_mm=(dx, dy, dz), size=array.shape[::-1])
        yield ("SI" if "SupInf" in path.name else "AP"), grid, array


def analytic(sheet: npt.NDArray[np.float64], column: int) -> npt.NDArray[np.float64]:
    """What COLUMNS name, of a tabulated cumulative DVH (cGy, cc)."""
    gy, cc = sheet[:, 0] / 100, sheet[:, column]
    mean = float(np.sum((cc[1:] + cc[:-1]) / 2 * np.diff(gy))) / cc[0]
    return np.array([cc[0], mean, *(float(np.interp(-q / 100 * cc[0], -cc, gy)) for q in (99, 95, 5, 1))])


def test_no_shape_is_worse_than_careful_slabs(nelms: Path) -> None:
    """Fails when planes are joined wrongly, the raster is biased, or the dose is taken half a voxel off.

    Slabs are what a rotated shape must beat twice: fails when structures are no longer joined by their shapes.
    """
    workbook = openpyxl.load_workbook(nelms / "analytical_data.xlsx", read_only=True, data_only=True)
    grids = list(doses(nelms))
    rows: list[str] = []
    worse: list[str] = []
    for shape, bounds in SLABS.items():
        values = [r for r in workbook[shape].iter_rows(min_row=2, max_col=9, values_only=True) if None not in r]
        sheet = np.array(values, dtype=np.float64)
        limits = np.minimum(bounds, HALVED.get(shape, np.inf))
        worst = np.zeros(len(COLUMNS))
        for slice_mm in (1, 2, 3):
            contours = contours_of(nelms / "STRUCTURES" / f"{shape}_{slice_mm}0_0.dcm")
            for gradient, grid, dose in grids:
                found = dvh_of(shape, 1, contours, dose, grid, ASKED, slice_mm=slice_mm).curve
                m = found.metrics
                got = np.array([found.volume_cc, m["Mean[Gy]"], *(m[f"{name}%[Gy]"] for name in COLUMNS[2:])])
                expected = analytic(sheet, slice_mm + (1 if gradient == "SI" else 5))
                worst = np.maximum(worst, 100 * np.abs(got / expected - 1))
        cells = (f"{w:.2f} ({b:g})" for w, b in zip(worst, limits, strict=True))
        rows.append(f"{shape:11}" + "".join(f"{cell:>13}" for cell in cells))
        worse += [rows[-1]] if np.any(worst > limits) else []
    workbook.close()
    head = "worst deviation, % (bound)\n" + " " * 11 + "".join(f"{name:>13}" for name in COLUMNS)
    table = "\n".join([head, *rows])
    sys.stdout.write(f"\n{table}\n")
    assert not worse, table
