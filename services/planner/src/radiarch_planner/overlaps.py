"""Structures that overlap where their objectives cannot both be fulfilled."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from radiarch_common.errors import RefusedError
from radiarch_common.geometry import Grid
from radiarch_common.objectives import Objective

from radiarch_planner.objectives import ShareArray
from radiarch_planner.structures.overlap import overlap

_SAID_FROM_CC = 0.01
_NOTHING_LEFT = 0.01
"""Of the volume that must receive a dose: what contours drawn by hand differ by."""


@dataclass(frozen=True)
class _Conflict:
    """Two objectives that no dose can fulfil both, in the volume that their structures have in common."""

    high: Objective
    low: Objective
    common_cc: float
    needed_cc: float
    """What must receive the higher dose."""
    possible_cc: float
    """What of it may, by the other objective."""

    @property
    def hopeless(self) -> bool:
        return self.possible_cc < _NOTHING_LEFT * self.needed_cc

    @property
    def said(self) -> str:
        high, low = self.high, self.low
        return (
            f"'{high.structure}' and '{low.structure}' have {self.common_cc:.2f} cm3 in common, where {high.in_words} "
            f"and {low.in_words} cannot both be fulfilled"
        )


def checked_overlaps(objectives: Sequence[Objective], inside: Mapping[str, ShareArray], grid: Grid) -> tuple[str, ...]:
    """A warning for each pair of structures with objectives that no dose can fulfil both, since the pair overlaps.

    The volume that must receive the higher dose is compared with what may receive it of the other structure. Of
    several objectives of the same pair the first two in conflict are named. Where nothing is left of the volume (a
    structure lies within another that is to have less dose in all of it, or is drawn twice under two names) that is no
    trade-off between neighbours: whatever is planned, the objective is missed everywhere, and it is refused.

    Parameters
    ----------
    inside
        Share of each voxel of ``grid`` inside, by structure: shape (z, y, x), 0..1.

    Raises
    ------
    RefusedError
        That names both structures and objectives.
    """
    said: dict[tuple[str, str], str] = {}
    for conflict in _conflicts(objectives, inside, grid):
        high, low = conflict.high, conflict.low
        if conflict.hopeless:
            raise RefusedError(
                f"{conflict.said}: that is all of '{high.structure}'.",
                f"Leave one of the two objectives out, or subtract '{high.structure}' from '{low.structure}' as a "
                "derived structure.",
            )
        weights = f"{conflict.said}: their weights {high.weight:g} and {low.weight:g} decide."
        said.setdefault((high.structure, low.structure), weights)
    return tuple(said.values())


def _conflicts(objectives: Sequence[Objective], inside: Mapping[str, ShareArray], grid: Grid) -> Iterator[_Conflict]:
    for high, low in permutations(objectives, 2):
        floor, ceiling = high.floor, low.ceiling
        if high.structure == low.structure or floor is None or ceiling is None:
            continue
        if floor.dose_gy_rbe <= ceiling.dose_gy_rbe:
            continue
        one, other = inside[high.structure], inside[low.structure]
        one_cc, common_cc = _cc(one, grid), _cc(overlap(one, other), grid)
        allowed_cc = ceiling.volume_percent / 100.0 * _cc(other, grid)
        needed_cc = floor.volume_percent / 100.0 * one_cc
        possible_cc = one_cc - common_cc + min(allowed_cc, common_cc)
        if needed_cc - possible_cc >= _SAID_FROM_CC:
            yield _Conflict(high, low, common_cc, needed_cc, possible_cc)


def _cc(share: ShareArray, grid: Grid) -> float:
    return float(np.sum(share, dtype=np.float64)) * grid.voxel_volume_cc
