"""What an engine is to the planner: it places elements, gives the dose of each, and the dose of a plan.

The order of the elements (spots of a proton plan) of a ``Placement`` is the order of the columns of the
beamlets and of the MU vector: beam by beam, layer by layer by falling energy, spot by spot.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from radiarch_common.geometry import Grid
from radiarch_common.plans import Beam, PlanSpec
from radiarch_common.result import BeamRangeShifter, ResultBeam
from radiarch_common.robustness import NOMINAL, Scenario
from radiarch_common.watch import Watch
from scipy.sparse import csc_matrix

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Patient:
    """The CT as the engine sees it.

    Attributes
    ----------
    grid
        The calculation grid, which is also the dose grid.
    ct_hu
        Shape (z, y, x), float32, HU; air outside BODY.
    position
        Patient Position, DICOM's word: how the patient lies under the beams.
    warnings
        What was changed on the way that a physicist should know.
    """

    grid: Grid
    ct_hu: FloatArray
    position: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlacedLayer:
    """Spots of one energy, at the isocentre plane in the IEC 61217 gantry system: shape (n, 2), x and y, mm."""

    energy_mev: float
    xy_mm: npt.NDArray[np.float64]


@dataclass(frozen=True)
class PlacedBeam:
    """One beam and where its spots may go; layers by falling energy; ``range_shifter`` is what stands in its way."""

    number: int
    beam: Beam
    isocentre_mm: tuple[float, float, float]
    layers: tuple[PlacedLayer, ...]
    range_shifter: BeamRangeShifter | None = None

    @property
    def count(self) -> int:
        """Number of spots."""
        return sum(len(layer.xy_mm) for layer in self.layers)


@dataclass(frozen=True)
class Placement:
    """Every element whose weight the optimiser may choose.

    ``isocentre_mm`` is the request's, or the centroid of the target: LPS, mm.
    """

    isocentre_mm: tuple[float, float, float]
    beams: tuple[PlacedBeam, ...]

    @property
    def count(self) -> int:
        """Number of elements, which is the number of beamlets."""
        return sum(beam.count for beam in self.beams)


@dataclass(frozen=True)
class FinalDose:
    """Dose of a whole plan on the patient's grid, sum of all fractions.

    Attributes
    ----------
    dose_gy
        Physical dose to medium: shape (z, y, x), float32, Gy.
    uncertainty_gy
        Standard error of ``dose_gy``, 1 sigma, from the spread of the batches: same shape, float32, Gy.
    batches, primaries
        Simulated for each beam: batches, and protons over all of them.
    let_kev_um
        Dose-averaged LET when the spec asks for it: same shape, float32, keV/um; 0 where there is no dose.
    """

    dose_gy: FloatArray
    uncertainty_gy: FloatArray
    batches: int
    primaries: int
    let_kev_um: FloatArray | None = None


Enough = Callable[[FinalDose], int]
"""Told a final dose so far, says how many more batches of each beam are wanted; 0 when it is enough."""


def all_of_it(_: FinalDose) -> int:
    """No batches beyond those of the spec."""
    return 0


@dataclass(frozen=True)
class EngineBuild:
    """What computes, for the provenance.

    ``software`` maps names to versions, ``settings`` the engine's names to values that are not its own.
    """

    engine: Literal["mcsquare"]
    name: str
    sha256: str
    cpu_vendor: str
    dose_to: Literal["medium", "water"]
    software: dict[str, str]
    settings: dict[str, float]


class Engine(Protocol):
    """A dose engine with its machine and CT calibration.

    Same input, ``spec.seed`` and build give the same numbers bit for bit, however many processes run.
    Every method raises ``StoppedError`` soon after ``watch.stopping`` is set, and leaves no process behind.
    ``watch.progress`` is called with fractions of the method's own work, 0..1.
    """

    @property
    def build(self) -> EngineBuild:
        """What computes."""
        ...

    def place(self, patient: Patient, target: FloatArray, spec: PlanSpec, watch: Watch) -> Placement:
        """Place elements so that each beam of ``spec`` covers the target and its margin.

        Parameters
        ----------
        target
            Share of each voxel of ``patient.grid`` inside the target: shape (z, y, x), float32, 0..1.

        Raises
        ------
        RefusedError
            If a beam cannot reach the target with what the machine has.
        """
        ...

    def beamlets(
        self,
        patient: Patient,
        placement: Placement,
        rows: npt.NDArray[np.int64],
        spec: PlanSpec,
        watch: Watch,
        scenario: Scenario = NOMINAL,
    ) -> csc_matrix:
        """Dose of each element in the voxels asked for.

        Parameters
        ----------
        rows
            Flat indices (C order of (z, y, x)) of voxels of ``patient.grid``, rising.
        scenario
            Error under which the beams are delivered; its noise is that of the other scenarios.

        Returns
        -------
        Shape (len(rows), placement.count), float32: physical dose of one fraction in Gy for 1 MU.
        """
        ...

    def beams(self, placement: Placement, mu: npt.NDArray[np.float64]) -> tuple[ResultBeam, ...]:
        """The plan of these MU, in steps of 2**-10; elements without MU are left out.

        Parameters
        ----------
        mu
            Shape (placement.count,), MU per fraction, not negative.
        """
        ...

    def final_dose(
        self,
        patient: Patient,
        beams: tuple[ResultBeam, ...],
        spec: PlanSpec,
        watch: Watch,
        scenario: Scenario = NOMINAL,
        enough: Enough = all_of_it,
    ) -> FinalDose:
        """Dose of exactly these beams over ``spec.prescription.fractions`` fractions.

        ``spec.batches`` batches of each beam hold ``spec.primaries_final`` protons together; then ``enough`` is
        asked for more of the same size, until it wants none.

        Raises
        ------
        RefusedError
            If the machine was not measured at an energy of these beams.
        """
        ...

    def beamlet_seconds(self, patient: Patient, placement: Placement, spec: PlanSpec) -> float:
        """Expected duration of ``beamlets``, for the time left that is shown."""
        ...

    def beamlet_bytes(self, patient: Patient, placement: Placement, rows: int, spec: PlanSpec) -> float:
        """Expected memory of ``beamlets`` in so many rows, its making and thinning out included."""
        ...

    def final_seconds(self, beams: tuple[ResultBeam, ...], spec: PlanSpec) -> float:
        """Expected duration of ``final_dose``, without what ``enough`` asks for."""
        ...
