"""Derived structures of a case, one after the other."""

from collections.abc import Mapping, Sequence

import numpy as np
from radiarch_common.case import Case, Structure
from radiarch_common.derived import (
    CombinedStructure,
    DerivedStructure,
    MarginStructure,
    RingStructure,
    check_names,
    named_for,
)
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Contour
from radiarch_common.plans import BODY
from radiarch_common.watch import Watch

from radiarch_planner.solids.sections import Sectioned, Solid
from radiarch_planner.structures.lattice import Box, Extent, FloatArray, Lattice, Point, Shape
from radiarch_planner.structures.margins import grown, shrunk
from radiarch_planner.structures.overlap import overlap
from radiarch_planner.structures.raster import VoxelSolid, extent_of, rasterised

_EMPTY_CC = 1e-3


class Derivation:
    """Makes the derived structures of one plan.

    Parameters
    ----------
    case
        Has the structures that they are made of.
    derived
        In the order in which they are made.

    Raises
    ------
    RefusedError
        If a name is taken, or one is made of a structure that there is not, or that is empty.
    """

    def __init__(self, case: Case, derived: Sequence[DerivedStructure]) -> None:
        manifest = case.manifest
        body = next(s.name for s in manifest.structures if s.number == manifest.body)
        self.derived = tuple(named_for(structure, {BODY: body}) for structure in derived)
        self._case = case
        self._contours = case.contours()
        self._solids: dict[str, Sectioned] = {}
        self._shapes: dict[str, Shape] = {}
        self._extents: dict[str, Extent] = {}
        _check(self.derived, manifest.structures)
        for structure in self.derived:
            self._extents[structure.name] = self._extent(structure)
        self.lattice = Lattice.of(manifest.grid, max(self._work_mm3(structure) for structure in self.derived))

    def shapes(self, watch: Watch) -> Mapping[str, Shape]:
        """The derived structures by name, on ``lattice``. Raises RefusedError when one is empty."""
        for index, structure in enumerate(self.derived):
            watch.progress(index / len(self.derived), f"deriving structure {index + 1} of {len(self.derived)}")
            shape = self._made(structure).trimmed()
            if self.volume_cc(shape) < _EMPTY_CC:
                raise RefusedError(
                    f"Derived structure '{structure.name}' is empty: nothing is left of {structure.recipe}.",
                    "Check the structures that it is made of, and its margins.",
                )
            self._shapes[structure.name] = shape
        return self._shapes

    def volume_cc(self, shape: Shape) -> float:
        """Volume of a shape on ``lattice``, cm3."""
        return float(shape.share.sum(dtype=np.float64)) * self.lattice.anchor.voxel_volume_cc

    def _extent(self, structure: DerivedStructure) -> Extent:
        """A box that the structure lies in."""
        parts = [self._extent_of(name, structure) for name in structure.operands]
        box = parts[0]
        if isinstance(structure, CombinedStructure):
            for part in parts[1 : len(structure.of)]:
                if structure.kind != "subtraction":
                    box = box | part if structure.kind == "union" else box & part
        else:
            box = _reach(box, structure)
        return box if structure.crop_to is None else box & parts[-1]

    def _extent_of(self, name: str, user: DerivedStructure) -> Extent:
        if name not in self._extents:
            drawn = self._drawn(name, user)
            if drawn.derived:
                found = Extent(*drawn.grid.edges_mm())
            else:
                found = extent_of(self._contours_of(drawn, user), self._case.manifest.grid.spacing_mm[2])
            if found is None:
                raise RefusedError(
                    f"Structure '{name}', which '{user.name}' is made of, is empty: it has no closed contours.",
                    "Draw it, or leave the derived structure out.",
                )
            self._extents[name] = found
        return self._extents[name]

    def _contours_of(self, drawn: Structure, user: DerivedStructure) -> list[Contour]:
        if drawn.unused_contours:
            raise RefusedError(
                f"Structure '{drawn.name}', which '{user.name}' is made of, has {drawn.unused_contours} contours that "
                "are not closed, or not axial.",
                "Draw it as closed contours on axial planes.",
            )
        return self._contours.get(drawn.number, [])

    def _drawn(self, name: str, user: DerivedStructure) -> Structure:
        try:
            return self._case.manifest.structure(name)
        except RefusedError as refusal:
            raise RefusedError(
                f"Derived structure '{user.name}' is made of '{name}': {refusal.reason}",
                f"{refusal.hint} A derived structure may be made of those and of the ones derived before it.",
            ) from refusal

    def _work_mm3(self, structure: DerivedStructure) -> float:
        """Volume of the largest array that making it needs."""
        box = self._extents[structure.name]
        return box.volume_mm3 if isinstance(structure, CombinedStructure) else self._uncropped(structure).volume_mm3

    def _uncropped(self, structure: MarginStructure | RingStructure) -> Extent:
        own = self._extent_of(structure.of, structure)
        return own | _reach(own, structure)

    def _made(self, structure: DerivedStructure) -> Shape:
        if isinstance(structure, CombinedStructure):
            box = self.lattice.box(self._extents[structure.name])
            shape = Shape(box, self._combined(structure, box))
        else:
            box = self.lattice.box(self._uncropped(structure))
            shape = Shape(box, self._margins(structure, self._share(structure.of, box)))
        if structure.crop_to is None:
            return shape
        kept = shape.box & self.lattice.box(self._extents[structure.name])
        return Shape(kept, overlap(shape.on(kept), self._share(structure.crop_to, kept)))

    def _combined(self, structure: CombinedStructure, box: Box) -> FloatArray:
        found = self._share(structure.of[0], box)
        for name in structure.of[1:]:
            other = self._share(name, box)
            common = overlap(found, other)
            if structure.kind == "intersection":
                found = common
            else:
                found = found - common if structure.kind == "subtraction" else found + other - common
        return np.clip(found, 0, 1)

    def _margins(self, structure: MarginStructure | RingStructure, share: FloatArray) -> FloatArray:
        if isinstance(structure, MarginStructure):
            sides = structure.all_sides
            return self._moved(share, sides.lower_mm, sides.upper_mm)
        outer, inner = (self._moved(share, (mm, mm, mm), (mm, mm, mm)) for mm in (structure.to_mm, structure.from_mm))
        return np.clip(outer - overlap(outer, inner), 0, 1)

    def _moved(self, share: FloatArray, lower_mm: Point, upper_mm: Point) -> FloatArray:
        """A share grown or shrunk on all sides."""
        cell = self.lattice.cell_mm
        if min(lower_mm + upper_mm) < 0:
            right, anterior, inferior = (-mm for mm in lower_mm)
            left, posterior, superior = (-mm for mm in upper_mm)
            return shrunk(share, cell, (right, anterior, inferior), (left, posterior, superior))
        return grown(share, cell, lower_mm, upper_mm) if max(lower_mm + upper_mm) > 0 else share

    def _share(self, name: str, box: Box) -> FloatArray:
        """A structure on the cells of a box."""
        if name in self._shapes:
            return self._shapes[name].on(box)
        if name not in self._solids:
            drawn = self._case.manifest.structure(name)
            if drawn.derived:
                self._solids[name] = VoxelSolid(self._case.occupancy(drawn), drawn.grid)
            else:
                self._solids[name] = Solid(self._contours[drawn.number], self._case.manifest.grid.spacing_mm[2])
        return rasterised(self._solids[name], self.lattice, box).share


def _reach(box: Extent, structure: MarginStructure | RingStructure) -> Extent:
    if isinstance(structure, RingStructure):
        reach = (structure.to_mm, structure.to_mm, structure.to_mm)
        return box.grown(reach, reach)
    return box.grown(structure.all_sides.lower_mm, structure.all_sides.upper_mm)


def _check(derived: Sequence[DerivedStructure], drawn: Sequence[Structure]) -> None:
    try:
        check_names(derived)
    except ValueError as error:
        raise RefusedError(f"{str(error)[0].upper()}{str(error)[1:]}.", "Rename all but one.") from error
    taken = {structure.name for structure in drawn}
    for structure in derived:
        if structure.name in taken:
            raise RefusedError(
                f"The structure set has a structure '{structure.name}' already; a derived one cannot have its name.",
                "Give the derived structure another name, or plan on the one that was drawn.",
            )
