"""What a planner can do, as it publishes it: workflows, machines, CT calibrations, each with its hash."""

from typing import Any, Literal

from pydantic import Field

from radiarch_common.plans import (
    Beam,
    BodyFromCt,
    DensityOverride,
    DerivedStructure,
    GoalTerms,
    Identifier,
    Model,
    Normalisation,
    ObjectiveTerms,
    Optimisation,
    Pinned,
    Robustness,
    Sha256,
)


class ObjectiveTemplate(ObjectiveTerms):
    """An objective relative to the prescription; ``structure`` may be ``{target}`` or ``{body}``."""

    dose_percent: float = Field(ge=0, le=200, description="Of the prescribed dose.")


class GoalTemplate(GoalTerms):
    """A goal relative to the prescription.

    ``value`` and ``limit`` are percentages of the prescribed dose for metrics in Gy, absolute for those in % or cc.
    """


class WorkflowTemplate(Model):
    """A planning workflow as data: one file each."""

    id: Identifier
    version: str
    title: str
    description: str
    modality: Literal["proton"]
    engine: Literal["mcsquare"]
    normalisation: Normalisation
    rbe: float
    beams: tuple[Beam, ...]
    objectives: tuple[ObjectiveTemplate, ...]
    goals: tuple[GoalTemplate, ...]
    derived_structures: tuple[DerivedStructure, ...] = ()
    body_from_ct: BodyFromCt | None = None
    density_overrides: tuple[DensityOverride, ...] = ()
    dose_grid_mm: float
    spot_spacing_mm: float
    layer_spacing_mm: float
    target_margin_mm: float
    primaries_per_spot: int
    primaries_final: int
    batches: int
    uncertainty_percent: float | None = None
    optimisation: Optimisation = "all beams together"
    robustness: Robustness | None = None
    let_map: bool = False
    iterations: int
    seed: int


class WorkflowEntry(Model):
    """A workflow with the hash of its file and the JSON Schema of the overrides it takes."""

    template: WorkflowTemplate
    sha256: Sha256
    overrides_schema: dict[str, Any]

    @property
    def pinned(self) -> Pinned:
        """How a job names this version."""
        return Pinned(id=self.template.id, version=self.template.version, sha256=self.sha256)


class MachineEntry(Model):
    """A treatment machine: beam data of measured energies and its limits."""

    id: Identifier
    version: str
    sha256: Sha256
    title: str
    commissioned: bool
    minimum_energy_mev: float
    maximum_energy_mev: float
    minimum_spot_mu: float
    maximum_spot_mu: float
    range_shifters: tuple[Identifier, ...] = ()

    @property
    def pinned(self) -> Pinned:
        """How a job names this version."""
        return Pinned(id=self.id, version=self.version, sha256=self.sha256)


class CalibrationEntry(Model):
    """A CT calibration: HU to density and material."""

    id: Identifier
    version: str
    sha256: Sha256
    title: str
    commissioned: bool
    minimum_hu: float
    maximum_hu: float

    @property
    def pinned(self) -> Pinned:
        """How a job names this version."""
        return Pinned(id=self.id, version=self.version, sha256=self.sha256)


class Catalogue(Model):
    """Everything a planner offers, published to the catalogue bucket at its start."""

    planner_version: str
    workflows: tuple[WorkflowEntry, ...]
    machines: tuple[MachineEntry, ...]
    ct_calibrations: tuple[CalibrationEntry, ...]
