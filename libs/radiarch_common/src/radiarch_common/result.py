"""A result: what the planner made of a case.

Layout in the object store, under a key of the attempt that wrote it::

    results/<job>/<run>-<attempt>-<token>/result.json     beams and spots, DVH, metrics, goals, provenance
    .../dose_gy.nrrd                    float32, physical dose to medium, Gy, sum of all fractions
    .../dose_gy_rbe.nrrd                float32, Gy(RBE), sum of all fractions
    .../uncertainty_gy.nrrd             float32, standard error of dose_gy, 1 sigma, Gy
    .../let_kev_um.nrrd                 float32, dose-averaged LET, keV/um; only when it was asked for
    .../structures/<number>.nrrd        uint8, share of each voxel inside a derived structure, in 1/255

``result.json`` is written last. ``digest`` covers everything that was computed and nothing that was
measured on a clock, so that the same job planned twice has the same digest.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from radiarch_common.case import Structure
from radiarch_common.geometry import Grid
from radiarch_common.objects import ObjectStore
from radiarch_common.plans import Goal, Model, ResolvedPlan, Sha256
from radiarch_common.quality import BeamStatistics, PlanIndices
from radiarch_common.robustness import Scenario
from radiarch_common.volumes import from_nrrd, to_nrrd

RESULT_LAYOUT = 1


class Layer(Model):
    """Spots of one energy; positions in the IEC 61217 gantry system at the isocentre plane.

    Attributes
    ----------
    energy_mev
        Nominal energy, within the machine's measured energies; between two rows its beam data are interpolated.
    x_mm, y_mm
        Scan spot positions (DICOM 300A,0394), mm.
    mu
        Per fraction; each a 32-bit float, so that the plan's weights hold them exactly.
    spot_fwhm_mm
        In air at the isocentre, along x and y, mm, from the beam data: the spot that the machine makes, without a
        range shifter in its way, which is how DICOM's spot sizes name the machine's settings.
    """

    energy_mev: float
    x_mm: tuple[float, ...]
    y_mm: tuple[float, ...]
    mu: tuple[float, ...]
    spot_fwhm_mm: tuple[float, float]


class BeamRangeShifter(Model):
    """A range shifter that stays in a beam for all its layers.

    Attributes
    ----------
    wet_mm
        Water-equivalent thickness.
    isocentre_distance_mm
        From the isocentre to its downstream edge.
    """

    id: str
    description: str
    wet_mm: float = Field(gt=0)
    isocentre_distance_mm: float = Field(gt=0)


class ResultBeam(Model):
    """One beam as planned; angles in degrees, IEC 61217; layers by falling energy."""

    number: int = Field(ge=1)
    name: str
    gantry_angle_deg: float
    couch_angle_deg: float
    isocentre_mm: tuple[float, float, float]
    virtual_source_axis_distances_mm: tuple[float, float]
    nozzle_isocentre_distance_mm: float
    range_shifter: BeamRangeShifter | None = None
    layers: tuple[Layer, ...]

    @property
    def meterset_mu(self) -> float:
        """Sum of all spots, MU per fraction."""
        return float(sum(sum(layer.mu) for layer in self.layers))


class DvhCurve(Model):
    """Cumulative DVH of one structure: ``volume_percent[i]`` receives at least ``dose_gy_rbe[i]``.

    ``derived`` tells how a structure was made that the structure set does not have, and on what voxels; its number
    is the plan's own, and no ROI Number.
    """

    structure: str
    number: int
    volume_cc: float
    dose_gy_rbe: tuple[float, ...]
    volume_percent: tuple[float, ...]
    derived: str = ""
    metrics: dict[str, float] = Field(description='By grammar, such as {"D95%[Gy]": 48.7}; Gy means Gy(RBE).')


Verdict = Literal["met", "acceptable", "missed"]


def _verdict_of(known: dict[str, Any]) -> Verdict:
    return "met" if known.get("met") else "missed"


class GoalResult(Model):
    """A goal and what the plan gives.

    ``verdict`` is ``acceptable`` when the goal is not met and its limit is. Results from before there were limits
    do not say it: it then follows from ``met``.
    """

    goal: Goal
    achieved: float
    met: bool
    verdict: Verdict = Field(default_factory=_verdict_of)


class Uncertainty(Model):
    """Statistical uncertainty of the final dose: 1 sigma, from the spread of seeded batches.

    ``percent`` is the mean over the named voxels of the standard error, relative to the dose there.
    """

    percent: float
    voxels: str
    batches: int


class ScenarioResult(Model):
    """What a plan is worth when the treatment differs from it.

    ``metrics`` are by structure and grammar, like those of the DVH: those of every structure with a goal, and of the
    target. ``uncertainty_percent`` is the statistical uncertainty of this scenario's own dose; ``robust_cost`` what the
    robust objectives cost in this scenario at the optimum, where there were any and beams were optimised together.
    """

    scenario: Scenario
    metrics: dict[str, dict[str, float]]
    goals: tuple[GoalResult, ...]
    uncertainty_percent: float
    robust_cost: float | None = None


class StructureLet(Model):
    """Dose-averaged LET of one structure, keV/um: mean, weighted by dose, and maximum over its voxels.

    Voxels count that are at least half inside and receive at least 1 % of the prescription.
    """

    structure: str
    mean_kev_um: float
    maximum_kev_um: float


class Provenance(Model):
    """What made this result.

    ``primaries_final`` is what was simulated per beam; ``engine_settings`` are those in which the engine's own were
    replaced, by the engine's names.
    """

    case_sha256: Sha256
    software: dict[str, str]
    engine: Literal["mcsquare"]
    engine_build: str
    engine_sha256: Sha256
    engine_settings: dict[str, float] = Field(default_factory=dict)
    cpu_vendor: str
    seed: int
    primaries_per_spot: int
    primaries_final: int
    spots: int
    dose_to: Literal["medium", "water"]


class ResultManifest(Model):
    """What ``result.json`` says.

    ``resolved`` is the request with the numbers that the case decided filled in (their origin: ``case``).
    ``indices`` and ``beam_statistics`` are missing in results from before there were any.
    ``warnings`` are the planner's own, beside those of the request and of the case.
    """

    layout: int = RESULT_LAYOUT
    resolved: ResolvedPlan
    grid: Grid
    beams: tuple[ResultBeam, ...]
    uncertainty: Uncertainty
    dvh: tuple[DvhCurve, ...]
    goals: tuple[GoalResult, ...]
    indices: PlanIndices | None = None
    beam_statistics: tuple[BeamStatistics, ...] = ()
    objective_course: tuple[float, ...] = Field(
        description="Cost at the start and after each iteration; of beams optimised each alone, beam after beam."
    )
    scenarios: tuple[ScenarioResult, ...] = Field(default=(), description="The nominal one first.")
    let: tuple[StructureLet, ...] = ()
    provenance: Provenance
    structures: tuple[Structure, ...] = Field(default=(), description="Those that were derived for the plan.")
    warnings: tuple[str, ...] = ()
    timings: dict[str, float] = Field(default_factory=dict, description="Seconds; not part of the digest.")
    digests: dict[str, Sha256] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over all that was computed; the same for the same job on any number of cores."""
        text = self.model_dump_json(exclude={"timings"})
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class ResultDraft:
    """A result not yet stored: the manifest without digests, and its arrays, (z, y, x) on its grid."""

    manifest: ResultManifest
    dose_gy: npt.NDArray[np.float32]
    dose_gy_rbe: npt.NDArray[np.float32]
    uncertainty_gy: npt.NDArray[np.float32]
    occupancy: Mapping[int, npt.NDArray[np.uint8]] = field(default_factory=dict[int, npt.NDArray[np.uint8]])
    """Of the manifest's structures, by number: in 1/255, (z, y, x) on the structure's own grid."""
    let_kev_um: npt.NDArray[np.float32] | None = None


class Result:
    """A stored result; arrays are read when asked for, and checked against their digest."""

    def __init__(self, objects: ObjectStore, key: str, manifest: ResultManifest) -> None:
        self._objects = objects
        self.key = key
        self.manifest = manifest

    def _array(self, name: str) -> npt.NDArray[Any]:
        data = self._objects.get(f"{self.key}/{name}")
        if hashlib.sha256(data).hexdigest() != self.manifest.digests[name]:
            raise ValueError(f"{self.key}/{name} is not what was stored there: its SHA-256 differs")
        return from_nrrd(data)[0]

    def dose_gy(self) -> npt.NDArray[np.float32]:
        """Physical dose to medium, all fractions: shape (z, y, x), float32, Gy."""
        return self._array("dose_gy.nrrd")

    def dose_gy_rbe(self) -> npt.NDArray[np.float32]:
        """RBE-weighted dose, all fractions: shape (z, y, x), float32, Gy(RBE)."""
        return self._array("dose_gy_rbe.nrrd")

    def uncertainty_gy(self) -> npt.NDArray[np.float32]:
        """Standard error of ``dose_gy``, 1 sigma: shape (z, y, x), float32, Gy."""
        return self._array("uncertainty_gy.nrrd")

    def let_kev_um(self) -> npt.NDArray[np.float32] | None:
        """Dose-averaged LET: shape (z, y, x), float32, keV/um; ``None`` when it was not asked for."""
        return self._array("let_kev_um.nrrd") if "let_kev_um.nrrd" in self.manifest.digests else None

    def occupancy(self, structure: Structure) -> npt.NDArray[np.float32]:
        """Share of each voxel of ``structure.grid`` inside a derived structure: shape (z, y, x), float32, 0..1."""
        return self._array(f"structures/{structure.number}.nrrd").astype(np.float32) / np.float32(255)


def save_result(objects: ObjectStore, key: str, draft: ResultDraft) -> Result:
    """Store a result under the key of its attempt."""
    arrays = {
        "dose_gy.nrrd": draft.dose_gy,
        "dose_gy_rbe.nrrd": draft.dose_gy_rbe,
        "uncertainty_gy.nrrd": draft.uncertainty_gy,
    }
    digests = {
        name: objects.put(f"{key}/{name}", to_nrrd(array.astype(np.float32, copy=False), draft.manifest.grid, "Gy"))
        for name, array in arrays.items()
    }
    if draft.let_kev_um is not None:
        data = to_nrrd(draft.let_kev_um.astype(np.float32, copy=False), draft.manifest.grid, "keV/um")
        digests["let_kev_um.nrrd"] = objects.put(f"{key}/let_kev_um.nrrd", data)
    for structure in draft.manifest.structures:
        name = f"structures/{structure.number}.nrrd"
        data = to_nrrd(draft.occupancy[structure.number], structure.grid, "fraction / 255")
        digests[name] = objects.put(f"{key}/{name}", data)
    manifest = draft.manifest.model_copy(update={"digests": digests})
    objects.put(f"{key}/result.json", manifest.model_dump_json(indent=1).encode())
    return Result(objects, key, manifest)


def load_result(objects: ObjectStore, key: str) -> Result:
    """The result stored under ``key``."""
    return Result(objects, key, ResultManifest.model_validate_json(objects.get(f"{key}/result.json")))
