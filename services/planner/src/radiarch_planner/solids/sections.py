"""A structure as thin axial sections, from its contours."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import ceil
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from radiarch_common.contours import Slab, slabs
from radiarch_common.geometry import Contour

from radiarch_planner.solids.loft import Loft, second_difference
from radiarch_planner.solids.planes import Plane, Raster, plane_of

_STEPS_PER_GAP = 6


class Section(NamedTuple):
    """A thin part of a structure: ``share`` of each cell inside, shape (ny, nx), around ``z_mm``."""

    z_mm: float
    thickness_mm: float
    share: npt.NDArray[np.float32] | npt.NDArray[np.float64]


class Sectioned(Protocol):
    """A structure as sections by rising z on one raster; None when there is nothing of it."""

    raster: Raster | None

    def sections(self) -> Iterator[Section]:
        """Sections by rising z."""
        ...


class Solid:
    """A structure between, on and half a plane spacing beyond its contours.

    Parameters
    ----------
    contours
        In any order.
    slice_mm
        Slice spacing of the images they were drawn on: the thickness of a structure of one plane.
    """

    def __init__(self, contours: Sequence[Contour], slice_mm: float) -> None:
        self._slabs = slabs(contours, slice_mm)
        self.raster = Raster.around(self._slabs) if self._slabs else None

    def sections(self) -> Iterator[Section]:
        """Sections by rising z, no thicker than two cells of the raster or a sixth of a plane spacing."""
        if self.raster is None:
            return
        for run in _runs(self._slabs):
            yield from _sections_of(run, self.raster)


def _runs(stack: list[Slab]) -> Iterator[list[Slab]]:
    """Slabs that touch."""
    numbers: list[int] = []
    for i, slab in enumerate(stack):
        apart = i > 0 and slab.z_low_mm - stack[i - 1].z_high_mm > 1e-6
        numbers.append(numbers[-1] + apart if numbers else 0)
    for _, run in groupby(zip(numbers, stack, strict=True), key=lambda pair: pair[0]):
        yield [slab for _, slab in run]


def _sections_of(run: list[Slab], raster: Raster) -> Iterator[Section]:
    planes: list[Plane] = [plane_of(slab.polygons, raster) for slab in run]
    z_mm = [slab.z_mm for slab in run]
    areas = [p.area_mm2 for p in planes]
    thicknesses = [p.thickness2_mm2 for p in planes]
    yield from _cap(run[0].z_low_mm, z_mm[0], planes[0], raster)
    for k in range(len(run) - 1):
        bends = (second_difference(areas, z_mm, k), second_difference(thicknesses, z_mm, k))
        loft = Loft(planes[k], planes[k + 1], raster, *bends)
        for t, z, thickness in _steps(z_mm[k], z_mm[k + 1], raster):
            yield Section(z, thickness, loft.section(t))
    yield from _cap(z_mm[-1], run[-1].z_high_mm, planes[-1], raster)


def _cap(low_mm: float, high_mm: float, plane: Plane, raster: Raster) -> Iterator[Section]:
    for _, z, thickness in _steps(low_mm, high_mm, raster):
        yield Section(z, thickness, plane.share)


def _steps(low_mm: float, high_mm: float, raster: Raster) -> Iterator[tuple[float, float, float]]:
    """Fraction of the way, z and thickness of the sections between two heights; an even number of them."""
    gap = high_mm - low_mm
    count = 2 * max(1, min(_STEPS_PER_GAP // 2, ceil(gap / (4 * raster.cell_mm) - 1e-6)))
    for i in range(count):
        t = (i + 0.5) / count
        yield t, low_mm + t * gap, gap / count
