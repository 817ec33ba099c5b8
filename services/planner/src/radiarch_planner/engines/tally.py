"""Mean and standard error of the final dose from its batches."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from radiarch_planner.engines.base import FloatArray

Slices = tuple[slice, slice, slice]


@dataclass
class _Sums:
    """Batches of one beam so far: their number, and sums of dose, of its square, and of dose times LET."""

    count: int
    values: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    dose_let: npt.NDArray[np.float64] | None


class DoseTally:
    """Adds up batches, beam by beam, in the order of the batches, in float64.

    Parameters
    ----------
    shape
        (z, y, x) of the dose.
    slices
        For each beam the part of the dose grid that its batches cover; the dose elsewhere is 0.
    scales
        For each beam what a batch's values are multiplied with to be Gy.
    """

    def __init__(self, shape: tuple[int, int, int], slices: list[Slices], scales: list[float]) -> None:
        self._shape = shape
        self._slices = slices
        self._scales = scales
        self._sums: dict[int, _Sums] = {}

    def add_piece(self, batches: int, number: int, values: FloatArray) -> None:
        """Add piece ``number`` of a round: that of beam ``number // batches``; by rising number."""
        self.add(number // batches, values)

    def add(self, beam: int, values: FloatArray) -> None:
        """Add the next batch of a beam.

        Parameters
        ----------
        values
            Its dose, and behind it its dose-averaged LET or nothing: shape (1 or 2, z, y, x).
        """
        exact = values[0].astype(np.float64)
        if beam not in self._sums:
            dose_let = np.zeros_like(exact) if len(values) > 1 else None
            self._sums[beam] = _Sums(0, np.zeros_like(exact), np.zeros_like(exact), dose_let)
        sums = self._sums[beam]
        sums.count += 1
        sums.values += exact
        sums.squares += exact**2
        if sums.dose_let is not None:
            sums.dose_let += exact * values[1]

    def dose(self) -> tuple[FloatArray, FloatArray]:
        """Dose and its standard error, each of the tally's shape, float32, Gy."""
        dose = np.zeros(self._shape, dtype=np.float64)
        variance = np.zeros(self._shape, dtype=np.float64)
        for beam, sums in sorted(self._sums.items()):
            n, scale, place = sums.count, self._scales[beam], self._slices[beam]
            dose[place] += sums.values / n * scale
            # The standard error of the mean squared; beams are independent, so that their variances add up.
            spread = np.maximum(sums.squares - sums.values**2 / n, 0.0) / (n * (n - 1))
            variance[place] += spread * scale**2
        return dose.astype(np.float32), np.sqrt(variance).astype(np.float32)

    def let_kev_um(self) -> FloatArray:
        """LET averaged over batches and beams by their dose: the tally's shape, float32, keV/um; 0 without dose."""
        dose = np.zeros(self._shape, dtype=np.float64)
        product = np.zeros(self._shape, dtype=np.float64)
        for beam, sums in sorted(self._sums.items()):
            place, scale = self._slices[beam], self._scales[beam] / sums.count
            dose[place] += sums.values * scale
            if sums.dose_let is not None:
                product[place] += sums.dose_let * scale
        return np.divide(product, dose, out=np.zeros_like(dose), where=dose > 0).astype(np.float32)
