"""LET of structures, and how batches and beams are put together: weighted by dose."""

import numpy as np
import numpy.typing as npt
import pytest
from radiarch_planner.engines.tally import DoseTally
from radiarch_planner.let import structure_let


def test_the_mean_is_weighted_by_dose_and_little_dose_does_not_count() -> None:
    """Fails when voxels count alike, or when one proton's LET in a voxel that is hardly hit is the maximum."""
    inside = np.array([1.0, 0.5, 0.4, 1.0], dtype=np.float32)
    dose = np.array([3.0, 1.0, 9.0, 0.001], dtype=np.float32)
    let = np.array([2.0, 4.0, 50.0, 90.0], dtype=np.float32)
    found = structure_let("PTV", inside, dose, let, 0.02)
    assert found is not None
    assert found.mean_kev_um == pytest.approx(2.5)
    assert found.maximum_kev_um == 4.0
    assert structure_let("far", inside, dose, let, 10.0) is None


def test_batches_and_beams_are_merged_by_their_dose() -> None:
    """Fails when batches count alike, or beams without their protons: a mean of 2 and 5 weighted 3 to 1 and so on."""
    whole, half = (slice(0, 1), slice(0, 1), slice(0, 3)), (slice(0, 1), slice(0, 1), slice(1, 2))
    tally = DoseTally((1, 1, 3), [whole, half], [1.0, 10.0])

    def batch(dose: list[float], let: list[float]) -> npt.NDArray[np.float32]:
        return np.array([[[dose]], [[let]]], dtype=np.float32)

    tally.add(0, batch([3.0, 1.0, 0.0], [2.0, 1.0, 0.0]))
    tally.add(0, batch([1.0, 1.0, 0.0], [6.0, 3.0, 0.0]))
    tally.add(1, batch([0.1], [5.0]))
    tally.add(1, batch([0.3], [9.0]))
    dose, _ = tally.dose()
    assert dose.ravel().tolist() == pytest.approx([2.0, 3.0, 0.0])
    # Second voxel: beam 0 gives 1 Gy at 2 keV/um, beam 1 gives 2 Gy at 8.
    assert tally.let_kev_um().ravel().tolist() == pytest.approx([3.0, 6.0, 0.0])
