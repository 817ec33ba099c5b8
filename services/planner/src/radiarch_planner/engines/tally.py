"""Mean and standard error of the final dose from its batches."""

import numpy as np
import numpy.typing as npt

from radiarch_planner.engines.base import FinalDose, FloatArray

Slices = tuple[slice, slice, slice]


class DoseTally:
    """Adds up batches, beam by beam, in the order of the batches, in float64.

    Parameters
    ----------
    shape
        (z, y, x) of the dose.
    batches
        Number of batches of each beam.
    slices
        For each beam the part of the dose grid that its batches cover; the dose elsewhere is 0.
    scales
        For each beam what a batch's values are multiplied with to be Gy.
    """

    def __init__(self, shape: tuple[int, int, int], batches: int, slices: list[Slices], scales: list[float]) -> None:
        self._batches = batches
        self._slices = slices
        self._scales = scales
        self._dose = np.zeros(shape, dtype=np.float64)
        self._variance = np.zeros(shape, dtype=np.float64)
        self._sum: npt.NDArray[np.float64] = np.zeros(0)
        self._squares: npt.NDArray[np.float64] = np.zeros(0)

    def add(self, number: int, values: FloatArray) -> None:
        """Add piece ``number``: batch ``number % batches`` of beam ``number // batches``; by rising number."""
        beam, batch = divmod(number, self._batches)
        exact = values.astype(np.float64)
        if batch == 0:
            self._sum, self._squares = np.zeros_like(exact), np.zeros_like(exact)
        self._sum += exact
        self._squares += exact**2
        if batch == self._batches - 1:
            self._close(beam)

    def _close(self, beam: int) -> None:
        n, scale, place = self._batches, self._scales[beam], self._slices[beam]
        self._dose[place] += self._sum / n * scale
        # The standard error of the mean squared; beams are independent, so that their variances add up.
        spread = np.maximum(self._squares - self._sum**2 / n, 0.0) / (n * (n - 1))
        self._variance[place] += spread * scale**2

    def dose(self) -> FinalDose:
        """What was added up."""
        return FinalDose(self._dose.astype(np.float32), np.sqrt(self._variance).astype(np.float32))
