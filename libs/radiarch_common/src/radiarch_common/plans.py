"""What is asked of the planner: the plan as resolved, and where each of its numbers came from."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from radiarch_common.base import BODY, TARGET, Model, Name
from radiarch_common.body import BodyFromCt
from radiarch_common.density import DensityOverride
from radiarch_common.derived import DerivedStructure, check_names
from radiarch_common.objectives import Objective, ObjectiveKind, ObjectiveTerms, contradiction
from radiarch_common.robustness import Robustness

__all__ = [
    "BODY",
    "TARGET",
    "Beam",
    "BodyFromCt",
    "DensityOverride",
    "DerivedStructure",
    "Goal",
    "GoalTerms",
    "Identifier",
    "Metric",
    "Model",
    "Name",
    "Normalisation",
    "Objective",
    "ObjectiveKind",
    "ObjectiveTerms",
    "Optimisation",
    "Origin",
    "Pinned",
    "Place",
    "PlanSpec",
    "Prescription",
    "ResolvedPlan",
    "Robustness",
    "Sha256",
    "Uid",
]

Coordinate = Annotated[float, Field(ge=-10_000, le=10_000)]
Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
Place = tuple[Coordinate, Coordinate, Coordinate]
"""LPS, mm."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Uid = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]
Normalisation = Annotated[
    str, StringConstraints(pattern=r"^(none|D(\d{1,2}(\.\d+)?|100)% = \d{1,3}(\.\d+)? %|Mean = \d{1,3}(\.\d+)? %)$")
]
Metric = Annotated[
    str, StringConstraints(pattern=r"^(DC?[0-9.]+(%|cc)\[Gy\]|C?V[0-9.]+Gy\[(%|cc)\]|(Mean|Max|Min)\[Gy\])$")
]
Optimisation = Literal["all beams together", "each beam alone"]
Origin = Literal["request", "workflow", "machine", "deployment", "case"]


class Pinned(Model):
    """A named, versioned catalogue entry, pinned by the hash of its content."""

    id: Identifier
    version: str
    sha256: Sha256


class Prescription(Model):
    """What the target shall receive, over all fractions.

    ``normalisation`` says how the optimised plan is scaled: ``D50% = 100 %`` gives the target's median
    dose the prescribed value, ``Mean = 100 %`` its mean dose, ``none`` leaves the plan as optimised.
    """

    target: Name
    dose_gy_rbe: float = Field(gt=0, le=150)
    fractions: int = Field(ge=1, le=100)
    normalisation: Normalisation


class Beam(Model):
    """One beam direction; angles in degrees, IEC 61217.

    ``range_shifter`` is the id of one of the machine's, ``none``, or ``auto``: the thinnest that lets the beam reach
    the shallowest part of the target, and none where none is needed. The result says which it was.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=r"^[A-Za-z0-9 _.+-]+$")]
    gantry_angle_deg: float = Field(ge=0, lt=360)
    couch_angle_deg: float = Field(default=0.0, ge=0, lt=360)
    range_shifter: Identifier = "auto"


class GoalTerms(Model):
    """What a goal asks of a structure.

    ``value`` is what is wanted; ``limit``, when there is one, the acceptable variation from it: a plan between
    the two is acceptable, beyond the limit it misses the goal. ``priority`` 1 is the highest.
    """

    structure: Name
    metric: Metric
    op: Literal[">=", "<="]
    value: float = Field(ge=0)
    limit: float | None = Field(
        default=None, ge=0, description="Acceptable, if not wanted: below `value` for `>=`, above it for `<=`."
    )
    priority: int = Field(default=1, ge=1, le=9, description="1 is the highest.")

    @model_validator(mode="after")
    def _limit_is_laxer(self) -> Self:
        if self.limit is None:
            return self
        if self.op == ">=" and self.limit > self.value:
            raise ValueError(f"the limit of a goal >= {self.value:g} cannot be higher: {self.limit:g}")
        if self.op == "<=" and self.limit < self.value:
            raise ValueError(f"the limit of a goal <= {self.value:g} cannot be lower: {self.limit:g}")
        return self


class Goal(GoalTerms):
    """What the plan is judged by, such as ``D95%[Gy] >= 47.5`` of the target; Gy means Gy(RBE)."""


class PlanSpec(Model):
    """Every number the planner will use. ``None`` means: the case decides, and the result says what.

    Attributes
    ----------
    isocentre_mm
        LPS, mm; ``None`` for the centroid of the target.
    dose_grid_mm
        In-plane spacing of the dose grid; along z the multiple of the CT's slice spacing nearest to it.
    primaries_per_spot
        Protons simulated per spot for the optimisation.
    primaries_final
        Protons simulated per beam for the final dose, over all its batches.
    batches
        Seeded batches per beam of the final dose; the statistical uncertainty is taken from them.
    uncertainty_percent
        Aim of the final dose: batches are added until the statistical uncertainty in the target is no larger, or
        ``primaries_final`` are used up. ``None``: all of ``primaries_final`` are simulated.
    optimisation
        ``each beam alone`` gives every beam an equal share of the dose, optimised without the others.
    let_map
        Whether the dose-averaged LET is scored beside the final dose.
    minimum_spot_mu, maximum_spot_mu
        Per fraction.
    """

    prescription: Prescription
    beams: tuple[Beam, ...] = Field(min_length=1, max_length=8)
    isocentre_mm: Place | None = None
    objectives: tuple[Objective, ...] = Field(min_length=1, max_length=64)
    goals: tuple[Goal, ...] = Field(default=(), max_length=64)
    derived_structures: tuple[DerivedStructure, ...] = Field(
        default=(), max_length=32, description="Made of the structure set's and of one another, in this order."
    )
    body_from_ct: BodyFromCt | None = Field(
        default=None, description="How BODY is made where none was drawn; left out: such a structure set is refused."
    )
    density_overrides: tuple[DensityOverride, ...] = Field(
        default=(), max_length=16, description="Structures calculated with HU other than the CT's."
    )
    rbe: float = Field(ge=1.0, le=1.3)
    dose_grid_mm: float = Field(ge=1.0, le=10.0)
    spot_spacing_mm: float = Field(ge=2.0, le=15.0)
    layer_spacing_mm: float = Field(ge=1.0, le=15.0, description="Between energy layers, mm of water.")
    target_margin_mm: float = Field(ge=0.0, le=20.0, description="Spots are placed up to this far outside the target.")
    minimum_spot_mu: float = Field(gt=0.0, le=10.0)
    maximum_spot_mu: float = Field(gt=0.0, le=10000.0)
    primaries_per_spot: int = Field(ge=50, le=1_000_000)
    primaries_final: int = Field(ge=10_000, le=1_000_000_000)
    batches: int = Field(ge=10, le=100)
    uncertainty_percent: float | None = Field(default=None, ge=0.2, le=20.0)
    optimisation: Optimisation = "all beams together"
    robustness: Robustness | None = Field(default=None, validate_default=True)
    let_map: bool = False
    iterations: int = Field(ge=1, le=5000)
    seed: int = Field(ge=1, le=2**31 - 1)

    @field_validator("beams")
    @classmethod
    def _beams_differ(cls, beams: tuple[Beam, ...]) -> tuple[Beam, ...]:
        names = [beam.name for beam in beams]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"beams need names of their own; more than one is called '{doubled[0]}'")
        return beams

    @field_validator("objectives")
    @classmethod
    def _objectives_agree(cls, objectives: tuple[Objective, ...]) -> tuple[Objective, ...]:
        found = contradiction(objectives)
        if found:
            raise ValueError(found)
        return objectives

    @field_validator("robustness")
    @classmethod
    def _errors_for_robust_objectives(cls, robustness: Robustness | None, info: ValidationInfo) -> Robustness | None:
        objectives: tuple[Objective, ...] = info.data.get("objectives", ())
        robust = next((objective for objective in objectives if objective.robust), None)
        if robust is not None and robustness is None:
            raise ValueError(
                f"the objective {robust.in_words} is robust, and no errors are given that it shall withstand"
            )
        if objectives and robust is None and robustness is not None and robustness.optimise != "nominal":
            raise ValueError(
                f"no objective is robust, so that nothing would look at the {robustness.optimise}: mark one as robust, "
                "or optimise the nominal case"
            )
        return robustness

    @field_validator("derived_structures")
    @classmethod
    def _names_differ(cls, derived: tuple[DerivedStructure, ...]) -> tuple[DerivedStructure, ...]:
        check_names(derived)
        return derived


class ResolvedPlan(Model):
    """A plan request with nothing left to chance: stored, returned, planned, and put in the report.

    ``origins`` maps each leaf of ``spec`` (``prescription.dose_gy_rbe``, ``beams``, ``dose_grid_mm``) and
    ``workflow``, ``machine``, ``ct_calibration`` to where its value came from.
    """

    workflow: Pinned
    machine: Pinned
    ct_calibration: Pinned
    spec: PlanSpec
    origins: dict[str, Origin]
    warnings: tuple[str, ...] = ()
