"""A case together with the structures that a plan derives from its own."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from radiarch_common.case import Case, CaseManifest, Structure
from radiarch_common.derived import DerivedStructure
from radiarch_common.geometry import Grid
from radiarch_common.targets import check_inside_body
from radiarch_common.watch import Watch

from radiarch_planner.structures.derive import Derivation
from radiarch_planner.structures.lattice import FloatArray, Lattice, Shape


class DerivedCase(Case):
    """A case whose manifest has the derived structures too, numbered after the drawn ones.

    They are known by voxels alone: ``occupancy`` has them, ``contours`` does not. Digest and key are those of the
    case itself, since what is derived follows from it and from the request.

    ``shares`` are the derived structures by number: share of each voxel of the structure's grid inside, float32.
    """

    def __init__(self, case: Case, manifest: CaseManifest, shares: Mapping[int, FloatArray]) -> None:
        super().__init__(case._objects, case.key, manifest)
        self.shares = shares

    def occupancy(self, structure: Structure) -> FloatArray:
        """Share of each voxel of ``structure.grid`` inside the structure: shape (z, y, x), float32, 0..1."""
        share = self.shares.get(structure.number)
        return super().occupancy(structure) if share is None else share


def with_derived(case: Case, derived: Sequence[DerivedStructure], watch: Watch) -> Case:
    """The case and its derived structures; the same case when there are none.

    Raises
    ------
    RefusedError
        If a name is taken, a structure is made of one that there is not, or nothing is left of one.
    """
    if not derived:
        return case
    derivation = Derivation(case, derived)
    shapes = derivation.shapes(watch)
    number = max(structure.number for structure in case.manifest.structures)
    structures = list(case.manifest.structures)
    shares: dict[int, FloatArray] = {}
    for recipe in derivation.derived:
        number += 1
        shape = shapes[recipe.name]
        structures.append(_structure(number, recipe, shape, derivation))
        shares[number] = shape.share
    manifest = case.manifest.model_copy(update={"structures": tuple(structures)})
    return DerivedCase(case, manifest, shares)


def _structure(number: int, recipe: DerivedStructure, shape: Shape, derivation: Derivation) -> Structure:
    return Structure(
        number=number,
        name=recipe.name,
        interpreted_type="",
        volume_cc=derivation.volume_cc(shape),
        grid=derivation.lattice.grid(shape.box),
        derived=f"{recipe.recipe}; voxels of {_words(derivation.lattice)}",
    )


def _words(lattice: Lattice) -> str:
    return " x ".join(f"{edge:.3g}" for edge in lattice.cell_mm) + " mm"


def derived_of(case: Case) -> tuple[Structure, ...]:
    """The structures of a case that the plan has derived."""
    return case.manifest.structures[-len(case.shares) :] if isinstance(case, DerivedCase) else ()


def stored_shares(case: Case) -> dict[int, npt.NDArray[np.uint8]]:
    """Derived structures as a result stores them, by number: uint8, in 1/255."""
    if not isinstance(case, DerivedCase):
        return {}
    return {number: np.rint(share * 255).astype(np.uint8) for number, share in case.shares.items()}


def check_derived_target(case: Case, name: str, target: FloatArray, body: FloatArray, grid: Grid) -> None:
    """Refuse a derived target that lies too far outside the body; of a drawn one the importer has made sure.

    Parameters
    ----------
    target, body
        Share of each voxel of ``grid`` inside: shape (z, y, x), 0..1.
    """
    structure = case.manifest.structure(name)
    if structure in derived_of(case):
        inside_cc = float(np.minimum(target, body).sum(dtype=np.float64)) * grid.voxel_volume_cc
        check_inside_body(name, max(0.0, 1.0 - inside_cc / structure.volume_cc))
