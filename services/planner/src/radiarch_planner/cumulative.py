"""How much of a structure receives how much dose: the cumulative histogram that metrics are read from."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
AnyFloatArray = npt.NDArray[np.floating[Any]]

_BINS = 20_000
_CURVE_POINTS = 500


@dataclass(frozen=True)
class CumulativeDose:
    """Volume by dose of one structure.

    Attributes
    ----------
    volume_cc
        Of the whole structure.
    dose_gy_rbe
        Bin edges from 0 to above the highest dose, rising.
    below_cc
        Volume that receives less than each of them: rising from 0 to ``volume_cc``.
    mean_gy_rbe, minimum_gy_rbe, maximum_gy_rbe
        Over the whole structure.
    """

    volume_cc: float
    dose_gy_rbe: FloatArray
    below_cc: FloatArray
    mean_gy_rbe: float
    minimum_gy_rbe: float
    maximum_gy_rbe: float

    @classmethod
    def of_voxels(cls, dose_gy_rbe: AnyFloatArray, volume_cc: AnyFloatArray) -> "CumulativeDose":
        """From voxels: dose and volume inside the structure of each, both of shape (n,)."""
        histogram = DoseHistogram(float(np.max(dose_gy_rbe, initial=0.0)))
        histogram.add(dose_gy_rbe, volume_cc, np.zeros(1))
        return histogram.cumulative()

    def dose_at_cc(self, volume_cc: float) -> float:
        """The dose that the hottest ``volume_cc`` receives at least, Gy(RBE); the minimum when it is all."""
        below = self.volume_cc - volume_cc
        dose = float(np.interp(below, self.below_cc, self.dose_gy_rbe))
        return min(max(dose, self.minimum_gy_rbe), self.maximum_gy_rbe)

    def volume_at_cc(self, dose_gy_rbe: float) -> float:
        """The volume that receives at least a dose, cm3."""
        if dose_gy_rbe <= self.minimum_gy_rbe:
            return self.volume_cc
        if dose_gy_rbe > self.maximum_gy_rbe:
            return 0.0
        return self.volume_cc - float(np.interp(dose_gy_rbe, self.dose_gy_rbe, self.below_cc))

    def curve(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Dose in Gy(RBE) and volume in percent that receives at least it: 501 points from 0 to the maximum."""
        doses = np.linspace(0.0, self.maximum_gy_rbe, _CURVE_POINTS + 1)
        volumes = [100.0 * self.volume_at_cc(float(d)) / self.volume_cc for d in doses]
        falling = np.minimum.accumulate(volumes)
        return tuple(doses.tolist()), tuple(falling.tolist())


@dataclass
class DoseHistogram:
    """Collects a structure's dose, part by part, in 20,000 bins between 0 and ``top_gy_rbe``.

    Each part is spread evenly over the doses that its cell spans, so that a coarse raster in a gradient makes
    no steps.
    """

    top_gy_rbe: float
    _slope: FloatArray = field(init=False)
    _volume_cc: float = field(default=0.0, init=False)
    _integral: float = field(default=0.0, init=False)
    _lowest: float = field(default=np.inf, init=False)
    _highest: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._slope = np.zeros(_BINS + 2)
        self._bin = max(self.top_gy_rbe, 1e-6) / _BINS

    def add(
        self,
        dose_gy_rbe: AnyFloatArray,
        volume_cc: AnyFloatArray,
        span_gy_rbe: AnyFloatArray,
    ) -> None:
        """Parts with a dose in their middle, a volume, and the width of the doses that they span."""
        half = span_gy_rbe / 2
        low = np.clip(dose_gy_rbe - half, 0.0, self.top_gy_rbe)
        high = np.clip(dose_gy_rbe + half, 0.0, self.top_gy_rbe)
        first = np.minimum(low / self._bin, _BINS).astype(np.int64)
        last = np.minimum(high / self._bin, _BINS).astype(np.int64) + 1
        rate = volume_cc.astype(np.float64) / (last - first)
        self._slope += np.bincount(first, rate, minlength=_BINS + 2)
        self._slope -= np.bincount(last, rate, minlength=_BINS + 2)
        self._volume_cc += float(volume_cc.sum(dtype=np.float64))
        self._integral += float((dose_gy_rbe.astype(np.float64) * volume_cc).sum())
        self._lowest = min(self._lowest, float(low.min(initial=np.inf)))
        self._highest = max(self._highest, float(high.max(initial=0.0)))

    def cumulative(self) -> CumulativeDose:
        """What was collected."""
        per_bin = np.maximum(np.cumsum(self._slope), 0.0)
        below = np.concatenate([[0.0], np.cumsum(per_bin)])
        if below[-1] > 0:
            below *= self._volume_cc / below[-1]
        edges = self._bin * np.arange(len(below))
        mean = self._integral / self._volume_cc if self._volume_cc > 0 else 0.0
        lowest = min(self._lowest, self._highest)
        return CumulativeDose(self._volume_cc, edges, below, mean, lowest, self._highest)
