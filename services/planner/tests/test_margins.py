"""Margins against spheres given to a thousandth of a cell: what the method itself is off by.

What it takes to fail: a surface known to a cell only, or steps of the lattice in the distance.
"""

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_planner.structures.margins import grown, shrunk

CENTRE_MM = (32.1, 31.7, 32.3)
RADIUS_MM = 12.0
SUB = 6
Cell = tuple[float, float, float]


def sphere(cell: Cell) -> npt.NDArray[np.float32]:
    """Share of each cell of a box of 64 mm inside a sphere, from 216 points in each."""
    size = [int(64 / edge) for edge in cell]
    x, y, z = ((np.arange(n * SUB) + 0.5) * edge / SUB for n, edge in zip(size, cell, strict=True))
    across = (x - CENTRE_MM[0])[None, :] ** 2 + (y - CENTRE_MM[1])[:, None] ** 2
    share = np.zeros((size[2], size[1], size[0]), np.float32)
    for k, height in enumerate(z):
        inside = (across + (height - CENTRE_MM[2]) ** 2 < RADIUS_MM**2).astype(np.float32)
        share[k // SUB] += inside.reshape(size[1], SUB, size[0], SUB).mean(axis=(1, 3)) / SUB
    return share


def radius_of(share: npt.NDArray[np.float32], cell: Cell) -> float:
    return float((share.sum(dtype=np.float64) * np.prod(cell) * 3 / 4 / np.pi) ** (1 / 3))


@pytest.mark.parametrize("cell", [(0.5, 0.5, 0.5), (1.0, 1.0, 1.0), (1.0, 1.0, 0.75)])
def test_a_margin_is_right_to_a_tenth_of_a_cell(cell: Cell) -> None:
    """To a twentieth for margins of two cells and more."""
    share = sphere(cell)
    assert radius_of(share, cell) == pytest.approx(RADIUS_MM, abs=0.001)
    for margin in (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 18.0):
        allowed = (0.05 if margin >= 2 * cell[0] else 0.1) * cell[0]
        sides = (margin, margin, margin)
        assert radius_of(grown(share, cell, sides, sides), cell) == pytest.approx(RADIUS_MM + margin, abs=allowed)
        if margin < 8:
            assert radius_of(shrunk(share, cell, sides, sides), cell) == pytest.approx(RADIUS_MM - margin, abs=allowed)


def test_a_thin_sheet_grows_without_dents() -> None:
    """Cells half inside whose neighbours are alike on both sides have no direction to grow to."""
    cell = (1.0, 1.0, 1.0)
    sheet = np.zeros((24, 24, 24), np.float32)
    sheet[12, 8:16, 8:16] = 0.5
    thick = grown(sheet, cell, (5.0, 5.0, 5.0), (5.0, 5.0, 5.0))
    assert thick[12 - 4 : 12 + 5, 8:16, 8:16].min() == 1.0
