"""Whether a case can be planned on one of its structures, or on one made of them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from radiarch_common.case import Case, Structure
from radiarch_common.derived import DerivedStructure, drawn_sources
from radiarch_common.errors import RefusedError
from radiarch_common.targets import check_inside_body


def check_target(case: Case, target: str, derived: Sequence[DerivedStructure] = ()) -> None:
    """Refuse a target that cannot be planned on.

    Of a derived target only the drawn structures that it is made of are looked at: the target itself is made, and
    checked, by the planner.

    Raises
    ------
    RefusedError
        When the structure set has no such structure (the names there are are listed), when it is empty, has
        contours that cannot be used, or lies too far outside the body.
    """
    if any(structure.name == target for structure in derived):
        for name in drawn_sources(target, derived):
            _check_drawn(case.manifest.structure(name), f"Structure '{name}', which target '{target}' is made of,")
        return
    structure = case.manifest.structure(target)
    _check_drawn(structure, f"Target '{target}'")
    check_inside_body(target, _share_outside(case, structure))


def _check_drawn(structure: Structure, subject: str) -> None:
    if structure.unused_contours:
        raise RefusedError(
            f"{subject} has {structure.unused_contours} contours that are not closed, or not axial.",
            "Draw it as closed contours on axial planes.",
        )
    if structure.volume_cc <= 0:
        raise RefusedError(f"{subject} is empty: it has no closed contours.", "Draw it, and export again.")


def _share_outside(case: Case, target: Structure) -> float:
    """Share of the target's volume, 0..1, that no body voxel covers."""
    (body,) = [s for s in case.manifest.structures if s.number == case.manifest.body]
    drawn_voxels = target.volume_cc / target.grid.voxel_volume_cc
    covered = np.minimum(case.occupancy(target), _onto(case.occupancy(body), body, target))
    return max(0.0, 1.0 - float(covered.sum(dtype=np.float64)) / drawn_voxels)


def _onto(occupancy: npt.NDArray[np.float32], source: Structure, target: Structure) -> npt.NDArray[np.float32]:
    """Occupancy of one structure on the grid of another; both are crops of the CT's grid."""
    shift = source.grid.index_of(np.asarray([target.grid.origin_mm]))[0]
    onto = np.zeros(target.grid.shape, np.float32)
    taken: list[slice] = []
    given: list[slice] = []
    for axis in (2, 1, 0):
        start = round(float(shift[axis]))
        low, high = max(start, 0), min(start + target.grid.size[axis], source.grid.size[axis])
        if high <= low:
            return onto
        taken.append(slice(low, high))
        given.append(slice(low - start, high - start))
    onto[tuple(given)] = occupancy[tuple(taken)]
    return onto
