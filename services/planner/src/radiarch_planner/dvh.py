"""DVH of a structure: contours against a dose grid."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Contour, Grid
from radiarch_common.result import DvhCurve

from radiarch_planner.cumulative import CumulativeDose, DoseHistogram
from radiarch_planner.metrics import DEFAULT_METRICS, Metric
from radiarch_planner.solids.planes import FloatArray
from radiarch_planner.solids.sections import Sectioned, Solid


@dataclass(frozen=True)
class Dvh:
    """The DVH of one structure, and what to know about it.

    Attributes
    ----------
    curve
        As it is stored.
    cumulative
        What its metrics are read from; finer than the curve.
    outside_percent
        Share of the structure's volume that lies outside the dose grid, where the dose counts as 0.
    warnings
        In words, for the result.
    """

    curve: DvhCurve
    cumulative: CumulativeDose
    outside_percent: float
    warnings: tuple[str, ...]


def dvh_of(
    name: str,
    number: int,
    contours: Sequence[Contour],
    dose_gy_rbe: npt.NDArray[np.float32],
    grid: Grid,
    metrics: Sequence[str],
    *,
    slice_mm: float,
) -> Dvh:
    """Cumulative DVH of a structure, in Gy(RBE).

    The structure is taken between its contours as ``radiarch_planner.solids`` tells, on a raster of 0.25 mm or,
    above a bounding box of 50 x 50 mm, of about 40,000 cells in plane; partly covered cells count in part. The
    dose is interpolated linearly along x, y and z.

    Parameters
    ----------
    dose_gy_rbe
        Shape (z, y, x) on ``grid``, Gy(RBE), sum of all fractions.
    metrics
        Asked for in addition to ``DEFAULT_METRICS``, such as ``V20Gy[%]``.
    slice_mm
        Slice spacing of the CT that the contours were drawn on.

    Raises
    ------
    RefusedError
        If the contours enclose no volume, or a metric cannot be read.
    """
    return dvh_of_solid(name, number, Solid(contours, slice_mm), dose_gy_rbe, grid, metrics)


def dvh_of_solid(
    name: str,
    number: int,
    solid: Sectioned,
    dose_gy_rbe: npt.NDArray[np.float32],
    grid: Grid,
    metrics: Sequence[str],
) -> Dvh:
    """Cumulative DVH of a structure that is given by its sections; see ``dvh_of``."""
    parsed = [Metric.parse(text) for text in dict.fromkeys([*DEFAULT_METRICS, *metrics])]
    histogram = DoseHistogram(float(dose_gy_rbe.max(initial=0.0)))
    outside_cc = _collect(solid, dose_gy_rbe, grid, histogram)
    cumulative = histogram.cumulative()
    if cumulative.volume_cc <= 0:
        raise RefusedError(
            f"Structure '{name}' has no volume: its contours enclose nothing.", "Draw it, or leave it out of the plan."
        )
    doses, volumes = cumulative.curve()
    curve = DvhCurve(
        structure=name,
        number=number,
        volume_cc=cumulative.volume_cc,
        dose_gy_rbe=doses,
        volume_percent=volumes,
        metrics={metric.text: metric.evaluate(cumulative) for metric in parsed},
    )
    outside_percent = 100 * outside_cc / cumulative.volume_cc
    return Dvh(curve, cumulative, outside_percent, tuple(_warnings(name, cumulative, parsed, outside_percent)))


def _warnings(name: str, cumulative: CumulativeDose, metrics: Sequence[Metric], outside_percent: float) -> list[str]:
    found: list[str] = []
    if outside_percent >= 0.05:
        found.append(f"{outside_percent:.1f} % of structure '{name}' lies outside the dose grid; it counts as 0 Gy.")
    found += [
        f"Structure '{name}' has {cumulative.volume_cc:.3g} cc, less than {metric.text} asks for: "
        f"its {'minimum' if metric.kind == 'D' else 'maximum'} dose is given."
        for metric in metrics
        if metric.kind in ("D", "DC") and metric.volume_cc(cumulative.volume_cc) > cumulative.volume_cc
    ]
    return found


def _collect(solid: Sectioned, dose: npt.NDArray[np.float32], grid: Grid, histogram: DoseHistogram) -> float:
    """Put all sections into the histogram; the volume outside the grid, cm3."""
    if solid.raster is None:
        return 0.0
    raster = solid.raster
    along_x = _Line(raster.x_mm, grid, 0)
    along_y = _Line(raster.y_mm, grid, 1)
    in_plane = along_y.inside[:, None] & along_x.inside[None, :]
    outside_cc = 0.0
    for section in solid.sections():
        along_z = _Line(np.array([section.z_mm]), grid, 2)
        filled = section.share > 0
        cell_cc = raster.cell_mm**2 * section.thickness_mm / 1000.0
        volume_cc = section.share[filled] * cell_cc
        here = in_plane[filled] if along_z.inside[0] else np.zeros(len(volume_cc), dtype=bool)
        outside_cc += float(volume_cc[~here].sum())
        i, t = int(along_z.below[0]), float(along_z.share[0])
        low, high = dose[i], dose[along_z.above[0]]
        plane = along_y.of_rows(along_x.of_columns(low + np.float32(t) * (high - low)))
        rise = along_y.of_rows(along_x.of_columns(high - low))[filled] * (section.thickness_mm / grid.spacing_mm[2])
        slope_y, slope_x = np.gradient(plane)
        span = np.sqrt(slope_y[filled] ** 2 + slope_x[filled] ** 2 + rise**2)
        histogram.add(np.where(here, plane[filled], 0.0), volume_cc, np.where(here, span, 0.0))
    return outside_cc


class _Line:
    """Linear interpolation along one axis of a grid; the outer half voxels hold the outermost voxel's dose."""

    def __init__(self, positions_mm: FloatArray, grid: Grid, axis: int) -> None:
        index = (positions_mm - grid.origin_mm[axis]) / grid.spacing_mm[axis]
        last = grid.size[axis] - 1
        self.inside = (index >= -0.5) & (index <= last + 0.5)
        index = np.clip(index, 0, last)
        self.below = np.minimum(np.floor(index).astype(np.int64), max(last - 1, 0))
        self.above = np.minimum(self.below + 1, last)
        self.share = (index - self.below).astype(np.float32)

    def of_columns(self, plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """At these x: shape (rows, n) from a plane of shape (rows, columns)."""
        low = plane[:, self.below]
        return low + self.share * (plane[:, self.above] - low)

    def of_rows(self, plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """At these y: shape (n, columns) from a plane of shape (rows, columns)."""
        low = plane[self.below]
        return low + self.share[:, None] * (plane[self.above] - low)
