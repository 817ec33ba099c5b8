"""Dose of spots in the voxels that matter to the optimiser."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csc_matrix

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DoseModel:
    """Dose of spots in the voxels that matter.

    The products are scipy's: one thread, one order, the same bits on every machine. A compressed column matrix
    gives dose and gradient without a transposed copy: 3 ms for both at 3 million entries, 17 ms at 18 million.

    Attributes
    ----------
    beamlets
        Shape (rows, spots), float32: physical dose of one fraction, Gy for 1 MU.
    gy_rbe_per_gy
        Fractions times RBE: from the physical dose of a fraction to Gy(RBE) over all of them.
    """

    beamlets: csc_matrix
    gy_rbe_per_gy: float

    @property
    def spots(self) -> int:
        """Number of spots."""
        return int(self.beamlets.indptr.size) - 1

    def dose_gy_rbe(self, mu: FloatArray) -> npt.NDArray[np.float32]:
        """Dose in the rows, sum of all fractions: shape (rows,), float32."""
        return self.beamlets @ (mu * self.gy_rbe_per_gy).astype(np.float32)

    def by_mu(self, by_dose: FloatArray) -> FloatArray:
        """What a derivative by the dose of each row is by the MU of each spot: shape (spots,), float64."""
        return (self.beamlets.T @ by_dose.astype(np.float32)).astype(np.float64) * self.gy_rbe_per_gy

    def of_spots(self, kept: npt.NDArray[np.intp]) -> "DoseModel":
        """The model of some of the spots."""
        return DoseModel(csc_matrix(self.beamlets[:, kept]), self.gy_rbe_per_gy)

    def times(self, factor: float) -> "DoseModel":
        """The model of a machine that gives so many times the dose for each MU; beamlets are shared."""
        return DoseModel(self.beamlets, factor * self.gy_rbe_per_gy)
