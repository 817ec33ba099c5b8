"""Structures that overlap where their objectives cannot both be fulfilled."""

from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
from radiarch_common.geometry import Grid
from radiarch_common.objectives import Objective

from radiarch_planner.objectives import ShareArray
from radiarch_planner.structures.overlap import overlap

_SAID_FROM_CC = 0.01


def overlap_warnings(objectives: Sequence[Objective], inside: Mapping[str, ShareArray], grid: Grid) -> tuple[str, ...]:
    """A warning for each pair of structures with objectives that no dose can fulfil both, since the pair overlaps.

    The volume that must receive the higher dose is compared with what may receive it of the other structure. Of
    several objectives of the same pair the first two in conflict are named.

    Parameters
    ----------
    inside
        Share of each voxel of ``grid`` inside, by structure: shape (z, y, x), 0..1.
    """
    said: dict[tuple[str, str], str] = {}
    for high, low in permutations(objectives, 2):
        pair = (high.structure, low.structure)
        if high.structure == low.structure or pair in said:
            continue
        found = _conflict(high, low, inside, grid)
        if found:
            said[pair] = found
    return tuple(said.values())


def _conflict(high: Objective, low: Objective, inside: Mapping[str, ShareArray], grid: Grid) -> str | None:
    floor, ceiling = high.floor, low.ceiling
    if floor is None or ceiling is None or floor.dose_gy_rbe <= ceiling.dose_gy_rbe:
        return None
    one, other = inside[high.structure], inside[low.structure]
    common_cc = _cc(overlap(one, other), grid)
    spared_cc = (1.0 - floor.volume_percent / 100.0) * _cc(one, grid)
    allowed_cc = ceiling.volume_percent / 100.0 * _cc(other, grid)
    if common_cc - spared_cc - allowed_cc < _SAID_FROM_CC:
        return None
    return (
        f"'{high.structure}' and '{low.structure}' have {common_cc:.2f} cm3 in common, where {high.in_words} and "
        f"{low.in_words} cannot both be fulfilled: their weights {high.weight:g} and {low.weight:g} decide."
    )


def _cc(share: ShareArray, grid: Grid) -> float:
    return float(np.sum(share, dtype=np.float64)) * grid.voxel_volume_cc
