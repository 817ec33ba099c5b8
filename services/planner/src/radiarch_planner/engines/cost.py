"""What the engine takes of time on this machine, as its first use measured it."""

from radiarch_common.base import Model

_PATIENCE = 20.0
_GRACE_S = 120.0


class EngineCost(Model):
    """Seconds of one process on one core.

    Protons take longer the further they go: a constant part, and one for each millimetre of their range in water.
    A spot in beamlet mode takes what its protons take, and what it costs to clear and to read its dose again, which
    grows with the voxels. Measured on voxels of 1 to 2.5 mm; coarser ones are up to a third faster, and a machine that
    was busy when it was measured is faster than it says. Time left is corrected once work runs.

    Attributes
    ----------
    start_s
        From the start of a process to its first proton.
    proton_s, proton_mm_s
        For each proton, and besides for each millimetre of its range.
    spot_s, spot_voxel_s
        For each spot in beamlet mode, and besides for each voxel of what the engine sees of the patient.
    """

    start_s: float
    proton_s: float
    proton_mm_s: float
    spot_s: float
    spot_voxel_s: float

    def protons_seconds(self, protons: float, range_mm: float) -> float:
        """Duration of so many protons of a range in water, without the start of a process."""
        return protons * (self.proton_s + self.proton_mm_s * range_mm)

    def batch_seconds(self, protons: float, range_mm: float) -> float:
        """Duration of one process that simulates protons of a plan."""
        return self.start_s + self.protons_seconds(protons, range_mm)

    def beamlet_seconds(self, spots: int, protons_per_spot: float, range_mm: float, voxels: float) -> float:
        """Duration of one process that simulates spots one by one on so many voxels."""
        spot = self.spot_s + self.spot_voxel_s * voxels + self.protons_seconds(protons_per_spot, range_mm)
        return self.start_s + spots * spot


def hang_limit(expected_s: float) -> float:
    """Seconds after which a process hangs that was expected to take ``expected_s``."""
    return _GRACE_S + _PATIENCE * expected_s


def line_through(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """Constant and slope of the line through two measured points (x, seconds), neither below zero.

    Where the noise of the clock makes one negative the line goes through the origin, or is flat, at the second point.
    """
    (x1, y1), (x2, y2) = first, second
    slope = (y2 - y1) / (x2 - x1)
    constant = y1 - slope * x1
    if slope < 0.0:
        return max(y1, y2), 0.0
    return (constant, slope) if constant >= 0.0 else (0.0, y2 / x2)
