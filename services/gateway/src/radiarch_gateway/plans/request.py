"""What a client asks for: the body of ``POST /plans``."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from radiarch_common.plans import (
    BodyFromCt,
    DensityOverride,
    DerivedStructure,
    Goal,
    Identifier,
    Name,
    Normalisation,
    Objective,
    Optimisation,
    Place,
    PlanSpec,
    Prescription,
    Robustness,
    Uid,
)

SPEC: Final = PlanSpec.model_fields
"""Bounds come from the contract, so that what is accepted here is accepted by the planner."""
PRESCRIPTION: Final = Prescription.model_fields


class Closed(BaseModel):
    """A misspelt field is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PrescriptionRequest(Closed):
    """What the target shall receive, over all fractions."""

    target: Name = Field(description="Name of the structure to treat, as the structure set spells it.")
    dose_gy_rbe: Annotated[float, PRESCRIPTION["dose_gy_rbe"]] = Field(description="Gy(RBE), all fractions together.")
    fractions: Annotated[int, PRESCRIPTION["fractions"]]
    normalisation: Normalisation | None = Field(
        default=None, description="How the plan is scaled; left out: the workflow's.", examples=["D50% = 100 %"]
    )


class BeamRequest(Closed):
    """One beam direction, IEC 61217."""

    name: Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[A-Za-z0-9 _.+-]+$")] | None = Field(
        default=None, description="Left out: `Beam 1`, `Beam 2`, ... by place."
    )
    gantry_angle_deg: float = Field(ge=0, lt=360)
    couch_angle_deg: float = Field(default=0.0, ge=0, lt=360)
    range_shifter: Identifier = Field(
        default="auto",
        description="`auto` (the thinnest that is needed, if any), `none`, or the id of one of the machine's.",
    )


class Overrides(Closed):
    """Numbers that replace the workflow's or the machine's. What is left out stays theirs."""

    beams: list[BeamRequest] | None = Field(default=None, min_length=1, max_length=8)
    isocentre_mm: Place | None = Field(
        default=None, description="DICOM patient coordinates, mm; left out: the centroid of the target."
    )
    objectives: list[Objective] | None = Field(
        default=None, min_length=1, max_length=64, description="Absolute doses; `{target}` stands for the target."
    )
    goals: list[Goal] | None = Field(default=None, max_length=64, description="Absolute values.")
    derived_structures: list[DerivedStructure] | None = Field(
        default=None,
        max_length=32,
        description="Margins, rings, unions, intersections, subtractions, made in this order before the workflow's "
        "own; one of the same name replaces the workflow's. May be the target, and be used in objectives and goals. "
        "`{target}` and `{body}` stand for the target and the body outline.",
    )
    body_from_ct: BodyFromCt | None = Field(
        default=None, description="How BODY is made where none was drawn; left out: such a structure set is refused."
    )
    density_overrides: list[DensityOverride] | None = Field(
        default=None, max_length=16, description="Structures calculated with HU other than the CT's."
    )
    spot_spacing_mm: Annotated[float, SPEC["spot_spacing_mm"]] | None = None
    layer_spacing_mm: Annotated[float, SPEC["layer_spacing_mm"]] | None = None
    target_margin_mm: Annotated[float, SPEC["target_margin_mm"]] | None = None
    minimum_spot_mu: Annotated[float, SPEC["minimum_spot_mu"]] | None = Field(
        default=None, description="Per fraction; not below what the machine can deliver."
    )
    maximum_spot_mu: Annotated[float, SPEC["maximum_spot_mu"]] | None = Field(
        default=None, description="Per fraction; not above what the machine can deliver."
    )
    optimisation: Optimisation | None = None
    robustness: Robustness | None = Field(
        default=None, description="Errors of setup and range: robust objectives and all goals are looked at under them."
    )
    primaries_per_spot: Annotated[int, SPEC["primaries_per_spot"]] | None = None
    primaries_final: Annotated[int, SPEC["primaries_final"]] | None = Field(
        default=None,
        description="Protons per beam for the final dose; with uncertainty_percent at most. Given alone, exactly these "
        "are simulated and no uncertainty is aimed at.",
    )
    batches: Annotated[int, SPEC["batches"]] | None = None
    uncertainty_percent: Annotated[float, Field(ge=0.2, le=20.0)] | None = Field(
        default=None,
        description="Batches are added until the statistical uncertainty in the target is no larger, or "
        "primaries_final are used up.",
    )
    let_map: bool | None = Field(default=None, description="Score the dose-averaged LET beside the final dose.")
    iterations: Annotated[int, SPEC["iterations"]] | None = None
    seed: Annotated[int, SPEC["seed"]] | None = None


class PlanTemplate(Closed):
    """A plan on a study that is not named yet."""

    workflow: Identifier
    prescription: PrescriptionRequest
    machine: Identifier | None = None
    ct_calibration: Identifier | None = None
    dose_grid_mm: Annotated[float, SPEC["dose_grid_mm"]] | None = Field(
        default=None, description="Spacing of the dose grid in plane; left out: the workflow's."
    )
    overrides: Overrides = Field(default_factory=Overrides)


class PlanRequest(PlanTemplate):
    """A plan on one study. Machine and CT calibration must be named unless the deployment has chosen them."""

    study_instance_uid: Uid = Field(description="The study to plan on.")
    segmentation_uid: Uid | None = Field(
        default=None, description="SOP Instance UID of the RTSTRUCT; may be left out when the study has only one."
    )
    pacs: str | None = Field(
        default=None, description="Connector that holds the study and takes the plan; left out: the deployment's."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "study_instance_uid": "1.2.826.0.1.3680043.8.498.1",
                    "workflow": "proton-impt",
                    "prescription": {"target": "PTV", "dose_gy_rbe": 60.0, "fractions": 30},
                    "machine": "generic-pbs",
                    "ct_calibration": "ucl-toshiba",
                    "overrides": {"beams": [{"gantry_angle_deg": 90}, {"gantry_angle_deg": 270}]},
                }
            ]
        }
    )
