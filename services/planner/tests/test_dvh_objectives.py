"""DVHMin and DVHMax against the DVH itself, cut into small pieces of equal volume and sorted.

Fails when other voxels count than those nearest to the dose, when the last of them counts whole, or when the slope is
not that of the cost.
"""

from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from radiarch_common.plans import Objective
from radiarch_planner.objectives import Region, Term, nearest

FloatArray = npt.NDArray[np.float64]
Kind = Literal["DVHMin", "DVHMax"]
KINDS: tuple[Kind, ...] = ("DVHMin", "DVHMax")


def term(kind: Kind, dose: float, volume_percent: float, shares: FloatArray) -> Term:
    asked = Objective(structure="A", kind=kind, dose_gy_rbe=dose, volume_percent=volume_percent, weight=3.0)
    return Term(asked, Region(np.arange(len(shares)), shares))


def cost_of(found: Term, dose: FloatArray) -> tuple[float, FloatArray]:
    gradient = np.zeros(len(dose))
    return found.add_to(gradient, dose.astype(np.float32)), gradient


def by_pieces(kind: Kind, limit: float, pieces_asked: int, dose: list[int], pieces: list[int], empty: int) -> float:
    """Mean square over all pieces of what the coldest (hottest) of the hottest ``pieces_asked`` (the others) lack."""
    all_doses = sorted([d for d, n in zip(dose, pieces, strict=True) for _ in range(n)] + [0] * empty, reverse=True)
    if kind == "DVHMin":
        away = [min(d - limit, 0.0) for d in all_doses[:pieces_asked]]
    else:
        away = [max(d - limit, 0.0) for d in all_doses[pieces_asked:]]
    return 3.0 * sum(a * a for a in away) / len(all_doses)


@given(
    kind=st.sampled_from(KINDS),
    limit=st.integers(1, 12),
    voxels=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)), min_size=1, max_size=12),
    empty=st.integers(0, 6),
    asked=st.integers(1, 10_000),
)
def test_cost_is_the_area_between_dose_and_dvh(
    kind: Kind, limit: int, voxels: list[tuple[int, int]], empty: int, asked: int
) -> None:
    """Ties, single voxels, shares smaller than any voxel, rows that were left out (``empty``), all by chance."""
    dose, pieces = [d for d, _ in voxels], [n for _, n in voxels]
    total = sum(pieces) + empty
    if total < 2:
        return
    pieces_asked = 1 + asked % (total - 1)
    found = term(kind, float(limit), 100.0 * pieces_asked / total, np.array(pieces) / total)
    expected = by_pieces(kind, float(limit), pieces_asked, dose, pieces, empty)
    cost, gradient = cost_of(found, np.array(dose, dtype=np.float64))
    assert cost == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert np.all(gradient <= 0 if kind == "DVHMin" else gradient >= 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("volume_percent", [0.05, 20.0, 50.0, 95.0])
def test_slope_away_from_ties(kind: Kind, volume_percent: float) -> None:
    """Central differences; no two voxels have the same dose, and none is moved past another."""
    rng = np.random.default_rng(4)
    dose = rng.permutation(np.linspace(10.0, 60.0, 81))
    shares = rng.uniform(0.2, 1.0, 81)
    found = term(kind, 38.3, volume_percent, shares / shares.sum())
    gradient = cost_of(found, dose)[1]
    for voxel in range(81):
        step = np.zeros(81)
        step[voxel] = 0.125
        slope = (cost_of(found, dose + step)[0] - cost_of(found, dose - step)[0]) / 0.25
        assert gradient[voxel] == pytest.approx(slope, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_no_step_where_voxels_change_places(kind: Kind) -> None:
    """A small and a large voxel exchange their order: the cost moves on without a jump."""
    found = term(kind, 30.0, 50.0, np.array([0.4, 0.35, 0.05, 0.2]))
    costs = [
        cost_of(found, np.array([50.0, 20.0 + shift, 20.0, 10.0]) + (12.0 if kind == "DVHMax" else 0.0))[0]
        for shift in np.linspace(-0.01, 0.01, 21)
    ]
    assert max(abs(a - b) for a, b in pairwise(costs)) < 0.02 * 3.0


@pytest.mark.parametrize("kind", KINDS)
def test_voxels_of_equal_dose_are_moved_alike(kind: Kind) -> None:
    """A uniform dose gives no voxel of a size another slope than its neighbour, whatever their order."""
    dose = 20.0 if kind == "DVHMin" else 40.0
    found = term(kind, 30.0, 70.0, np.full(10, 0.1))
    cost, gradient = cost_of(found, np.full(10, dose))
    share = 0.7 if kind == "DVHMin" else 0.3
    assert cost == pytest.approx(3.0 * share * 100.0)
    assert gradient == pytest.approx(np.full(10, 2 * 3.0 * share * 0.1 * (dose - 30.0)))


def test_fulfilled_objectives_cost_nothing() -> None:
    shares, dose = np.full(10, 0.1), np.array([10.0, 20, 30, 40, 50, 60, 70, 80, 90, 100])
    fulfilled: list[tuple[Kind, float, float]] = [
        ("DVHMin", 50.0, 60.0),
        ("DVHMax", 50.0, 60.0),
        ("DVHMin", 100.0, 5.0),
    ]
    for kind, limit, volume in fulfilled:
        cost, gradient = cost_of(term(kind, limit, volume, shares), dose)
        assert cost == 0.0
        assert not gradient.any()


def test_nearest_of_nothing() -> None:
    none = nearest(np.array([0.0, -1.0]), np.array([0.5, 0.5]), 0.4)
    assert not none.any()
    assert nearest(np.array([1.0, 2.0]), np.array([0.5, 0.5]), 3.0).tolist() == [0.5, 0.5]
