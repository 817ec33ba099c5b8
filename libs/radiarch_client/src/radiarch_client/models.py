"""What the API sends and takes: written by tools/client_models.py, never by hand."""

from __future__ import annotations

from radiarch_client.shape import Shape
from typing import Annotated, Any, Literal
from pydantic import AwareDatetime, Field


class ArtifactView(Shape):
    """One file of a plan."""

    id: str
    name: str
    kind: str
    media_type: str
    size_bytes: int
    sha256: str
    download_url: str
    """Path of the bytes on this gateway."""
    sop_instance_uid: str | None = None
    dicomweb_url: str | None = None
    """The instance in the PACS, as users reach it."""


class Beam(Shape):
    """
    One beam direction; angles in degrees, IEC 61217.

    ``range_shifter`` is the id of one of the machine's, ``none``, or ``auto``: the thinnest that lets the beam reach
    the shallowest part of the target, and none where none is needed. The result says which it was.
    """

    name: str
    gantry_angle_deg: float
    couch_angle_deg: float = 0.0
    range_shifter: str = "auto"


class BeamRequest(Shape):
    """One beam direction, IEC 61217."""

    name: str | None = None
    """Left out: `Beam 1`, `Beam 2`, ... by place."""
    gantry_angle_deg: float
    couch_angle_deg: float = 0.0
    range_shifter: str = "auto"
    """`auto` (the thinnest that is needed, if any), `none`, or the id of one of the machine's."""


class BeamStatistics(Shape):
    """
    One beam in numbers, per fraction.

    Attributes
    ----------
    shallowest_range_mm, deepest_range_mm
        Depth of the distal 80 % in water of the lowest and the highest energy, behind the beam's range shifter.
    range_shifter
        Id of what stands in its way; ``None`` for nothing.
    lowest_spot_mu, highest_spot_mu
        Smallest and largest spot.
    delivery_s
        Estimated time to deliver it, without setup; ``None`` when the machine's file gives no times.
    delivery_basis
        What the estimate was made of, and where those numbers come from.
    """

    number: int
    name: str
    layers: int
    spots: int
    lowest_energy_mev: float
    highest_energy_mev: float
    shallowest_range_mm: float
    deepest_range_mm: float
    meterset_mu: float
    lowest_spot_mu: float
    highest_spot_mu: float
    delivery_s: float | None = None
    delivery_basis: str | None = None
    range_shifter: str | None = None


class BodyFromCt(Shape):
    """
    BODY as the largest connected part of the CT above a threshold, used only where none was drawn.

    Parts thinner than twice ``opening_mm`` in an axial slice are taken for couch, mask and clothes, and left out.
    """

    threshold_hu: float
    """Voxels above it may be inside; -300 is usual."""
    opening_mm: float = 5.0
    """Half the thickness up to which parts are cut away."""


class CalibrationEntry(Shape):
    """A CT calibration: HU to density and material."""

    id: str
    version: str
    sha256: str
    title: str
    commissioned: bool
    minimum_hu: float
    maximum_hu: float


class CombinedStructure(Shape):
    """Union or intersection of structures, or the first of them without the others."""

    name: str
    """Of the new structure; no structure of the set may have it."""
    crop_to: str | None = None
    """Only what lies in this structure is kept; `{body}` stands for the body outline."""
    kind: Literal["intersection", "subtraction", "union"]
    of: list[str]


class Defaults(Shape):
    """What the deployment has chosen for requests that name none."""

    machine: str | None
    ct_calibration: str | None
    pacs: str


class DensityOverride(Shape):
    """
    A structure (contrast, artefact, couch, bolus) that is given one HU or mass density.

    Where two overlap the later one holds. It acts wherever it lies: outside the body outline, where all else is air,
    the beams go through it. Dose is given out inside the body outline alone.
    """

    structure: str
    """Drawn or derived; `{target}` and `{body}` stand for target and body outline."""
    hu: float | None = None
    """Within what the CT calibration was measured for."""
    mass_density_g_cm3: float | None = None
    """Instead of `hu`: the HU to which the CT calibration gives this density, and so its material too."""


class Deployment(Shape):
    """What this gateway stands on."""

    database: Literal["sqlite", "postgresql"]
    objects: Literal["folder", "s3"]
    pacs: dict[str, Literal["folder", "dicomweb"]]


class FieldError(Shape):
    """One thing wrong with one field of a request."""

    field: str
    """Dotted path, such as `overrides.spot_spacing_mm`."""
    message: str
    """What is wrong."""
    allowed: str | None = None
    """What would be accepted."""


class Goal(Shape):
    """What the plan is judged by, such as ``D95%[Gy] >= 47.5`` of the target; Gy means Gy(RBE)."""

    structure: str
    metric: str
    op: Literal[">=", "<="]
    value: float
    limit: float | None = None
    """Acceptable, if not wanted: below `value` for `>=`, above it for `<=`."""
    priority: int = 1
    """1 is the highest."""


class GoalResult(Shape):
    """
    A goal and what the plan gives.

    ``verdict`` is ``acceptable`` when the goal is not met and its limit is. Results from before there were limits
    do not say it: it then follows from ``met``.
    """

    goal: Goal
    achieved: float
    met: bool
    verdict: Literal["met", "acceptable", "missed"] | None = None


class GoalTemplate(Shape):
    """
    A goal relative to the prescription.

    ``value`` and ``limit`` are percentages of the prescribed dose for metrics in Gy, absolute for those in % or cc.
    """

    structure: str
    metric: str
    op: Literal[">=", "<="]
    value: float
    limit: float | None = None
    """Acceptable, if not wanted: below `value` for `>=`, above it for `<=`."""
    priority: int = 1
    """1 is the highest."""


class JobLink(Shape):
    """Where to follow a job."""

    id: str
    url: str
    events_url: str


class JobSummary(Shape):
    """Where a job is."""

    id: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    """Where a job is. The last three are final."""
    stage: Literal["gateway", "importer", "planner", "exporter"]
    """The stage that has the job, or had it last."""
    progress: float
    """Of this stage."""
    eta_seconds: float | None = None
    """Of this stage, as it estimates itself."""
    message: str
    cancel_requested: bool
    created_at: AwareDatetime
    updated_at: AwareDatetime
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None


class LogLine(Shape):
    """Something that happened to a job."""

    at: AwareDatetime
    stage: Literal["gateway", "importer", "planner", "exporter"]
    message: str


class MachineEntry(Shape):
    """A treatment machine: beam data of measured energies and its limits."""

    id: str
    version: str
    sha256: str
    title: str
    commissioned: bool
    minimum_energy_mev: float
    maximum_energy_mev: float
    minimum_spot_mu: float
    maximum_spot_mu: float
    range_shifters: list[str] = []


class Objective(Shape):
    """One term of the cost: quadratic, averaged over the structure's volume."""

    structure: str
    kind: Literal["DMin", "DMax", "DMean", "DUniform", "DVHMin", "DVHMax"]
    weight: float = 1.0
    volume_percent: float | None = None
    robust: bool = False
    dose_gy_rbe: float


class ObjectiveTemplate(Shape):
    """An objective relative to the prescription; ``structure`` may be ``{target}`` or ``{body}``."""

    structure: str
    kind: Literal["DMin", "DMax", "DMean", "DUniform", "DVHMin", "DVHMax"]
    weight: float = 1.0
    volume_percent: float | None = None
    robust: bool = False
    dose_percent: float
    """Of the prescribed dose."""


class Pinned(Shape):
    """A named, versioned catalogue entry, pinned by the hash of its content."""

    id: str
    version: str
    sha256: str


class PlanIndices(Shape):
    """
    Indices of the dose in and around the prescription's target; ``None`` where one is not defined.

    Attributes
    ----------
    target_cc
        Volume of the target, TV.
    covered_cc
        What of it receives at least the prescribed dose, TV_PIV.
    isodose_cc, half_isodose_cc
        Volume inside BODY that receives at least the prescribed dose, PIV, and at least half of it.
    homogeneity
        (D2% - D98%) / D50% of the target; 0 is ideal. ICRU Report 83 (2010), 3.7.1.
    conformity
        TV_PIV^2 / (TV x PIV); 1 is ideal. Paddick, J. Neurosurg. 93 Suppl. 3 (2000) 219. At the full prescribed
        dose: a plan normalised to the median of the target leaves half of it outside.
    conformity_95
        The same at 95 % of the prescribed dose.
    gradient
        Volume of half the prescribed dose over PIV; small is steep. Paddick and Lippitz, J. Neurosurg. 105 Suppl.
        (2006) 194.
    """

    target: str
    prescription_gy_rbe: float
    target_cc: float
    covered_cc: float
    isodose_cc: float | None = None
    half_isodose_cc: float | None = None
    homogeneity: float | None = None
    conformity: float | None = None
    conformity_95: float | None = None
    gradient: float | None = None


class PlanSummary(Shape):
    """A plan in a list."""

    id: str
    created_at: AwareDatetime
    study_instance_uid: str
    workflow: str
    machine: str
    target: str
    dose_gy_rbe: float
    fractions: int
    job: JobSummary


class Prescription(Shape):
    """
    What the target shall receive, over all fractions.

    ``normalisation`` says how the optimised plan is scaled: ``D50% = 100 %`` gives the target's median
    dose the prescribed value, ``Mean = 100 %`` its mean dose, ``none`` leaves the plan as optimised.
    """

    target: str
    dose_gy_rbe: float
    fractions: int
    normalisation: str


class PrescriptionRequest(Shape):
    """What the target shall receive, over all fractions."""

    target: str
    """Name of the structure to treat, as the structure set spells it."""
    dose_gy_rbe: float
    """Gy(RBE), all fractions together."""
    fractions: int
    normalisation: str | None = None
    """How the plan is scaled; left out: the workflow's."""


class Problem(Shape):
    """What went wrong, and what can be done about it."""

    type: str = "about:blank"
    """The kind of problem; `about:blank`: as the status says."""
    title: str
    status: int
    detail: str | None = None
    instance: str | None = None
    """Names this one occurrence, as in the gateway's log."""
    errors: list[FieldError] | None = None
    """Each field that is wrong."""


class Reachability(Shape):
    """Whether a neighbour answers now."""

    ok: bool
    why: str | None = None
    """What was seen when it does not."""


class Reachable(Shape):
    """Every neighbour."""

    bus: Reachability
    database: Reachability
    objects: Reachability
    pacs: dict[str, Reachability]


class RingStructure(Shape):
    """What lies around a structure, from one distance of its surface to another (negative: inside it)."""

    name: str
    """Of the new structure; no structure of the set may have it."""
    crop_to: str | None = None
    """Only what lies in this structure is kept; `{body}` stands for the body outline."""
    kind: Literal["ring"]
    of: str
    from_mm: float
    to_mm: float


class Robustness(Shape):
    """
    Errors of setup and range, and what is made of them.

    ``optimise`` says what robust objectives look at: the ``worst case`` of all scenarios, their ``expected value``
    (each scenario counts the same), or the ``nominal`` case alone. The scenarios are evaluated in any case.
    """

    setup_mm: tuple[float, float, float]
    range_percent: float
    """Of the density, to either side; 0 leaves it out."""
    optimise: Literal["worst case", "expected value", "nominal"]
    primaries_per_scenario: int
    """Protons per beam for the dose of each scenario but the nominal one."""


class Sides(Shape):
    """A margin for each anatomical side, mm; all of one sign, what is left out is 0."""

    right_mm: float = 0.0
    left_mm: float = 0.0
    anterior_mm: float = 0.0
    posterior_mm: float = 0.0
    superior_mm: float = 0.0
    inferior_mm: float = 0.0


class StructureMetrics(Shape):
    """Dose and volume of one structure."""

    structure: str
    volume_cc: float
    metrics: dict[str, float]
    """Such as `{"D95%[Gy]": 58.2}`; Gy means Gy(RBE)."""


class Uncertainty(Shape):
    """
    Statistical uncertainty of the final dose: 1 sigma, from the spread of seeded batches.

    ``percent`` is the mean over the named voxels of the standard error, relative to the dose there.
    """

    percent: float
    voxels: str
    batches: int


class WorkflowBrief(Shape):
    """A workflow by name."""

    id: str
    version: str
    title: str


class WorstGoal(Shape):
    """What is left of a goal in the scenario that is hardest on it."""

    scenario: str
    achieved: float
    verdict: Literal["met", "acceptable", "missed"]


class Info(Shape):
    """What this gateway is and whom it reaches."""

    version: str
    planner_version: str | None
    """`null`: no planner has published its catalogue yet."""
    workflows: list[WorkflowBrief]
    machines: list[MachineEntry]
    ct_calibrations: list[CalibrationEntry]
    defaults: Defaults
    deployment: Deployment
    reachable: Reachable
    workers: dict[str, int]
    """Living workers by stage."""
    unreadable_events: int
    """Events not understood since this gateway started."""
    warnings: list[str]


class JobPage(Shape):
    """Some jobs, newest first."""

    items: list[JobSummary]
    next_cursor: str | None = None
    """Ask with it for older ones; nothing: that was all."""


class JobView(Shape):
    """A job whole."""

    id: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    """Where a job is. The last three are final."""
    stage: Literal["gateway", "importer", "planner", "exporter"]
    """The stage that has the job, or had it last."""
    progress: float
    """Of this stage."""
    eta_seconds: float | None = None
    """Of this stage, as it estimates itself."""
    message: str
    cancel_requested: bool
    created_at: AwareDatetime
    updated_at: AwareDatetime
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    run: int
    """Counts from 1; a job that is put back starts a new run."""
    attempt: int
    """Of this stage in this run."""
    deadline: AwareDatetime
    """A job that has not ended by then fails."""
    reason: str | None = None
    """Why the job failed."""
    hint: str | None = None
    """What can be done about it."""
    refused: bool
    """Failed because the input cannot be planned: trying again will not help."""
    timings: dict[str, dict[str, float]]
    """Seconds by stage and part; `total` is the whole stage."""
    log: list[LogLine]
    """Oldest first; the latest 200 lines."""


class MarginStructure(Shape):
    """
    A structure grown by a margin (negative: shrunk).

    A point is inside when its distance from the structure is at most the margin. With sides that differ, the margin
    is an ellipsoid in each octant: its semi-axes are the margins of the three sides that the octant looks to.
    """

    name: str
    """Of the new structure; no structure of the set may have it."""
    crop_to: str | None = None
    """Only what lies in this structure is kept; `{body}` stands for the body outline."""
    kind: Literal["margin"]
    of: str
    margin_mm: float | None = None
    """The same on every side; or give `sides`."""
    sides: Sides | None = None


class Overrides(Shape):
    """Numbers that replace the workflow's or the machine's. What is left out stays theirs."""

    beams: list[BeamRequest] | None = None
    isocentre_mm: tuple[float, float, float] | None = None
    """DICOM patient coordinates, mm; left out: the centroid of the target."""
    objectives: list[Objective] | None = None
    """Absolute doses; `{target}` stands for the target."""
    goals: list[Goal] | None = None
    """Absolute values."""
    derived_structures: (
        list[Annotated[MarginStructure | RingStructure | CombinedStructure, Field(discriminator="kind")]] | None
    ) = None
    """Margins, rings, unions, intersections, subtractions, made in this order before the workflow's own; one of the same name replaces the workflow's. May be the target, and be used in objectives and goals. `{target}` and `{body}` stand for the target and the body outline."""
    body_from_ct: BodyFromCt | None = None
    """How BODY is made where none was drawn; left out: such a structure set is refused."""
    density_overrides: list[DensityOverride] | None = None
    """Structures calculated with HU other than the CT's."""
    spot_spacing_mm: float | None = None
    layer_spacing_mm: float | None = None
    target_margin_mm: float | None = None
    minimum_spot_mu: float | None = None
    """Per fraction; not below what the machine can deliver."""
    maximum_spot_mu: float | None = None
    """Per fraction; not above what the machine can deliver."""
    optimisation: Literal["all beams together", "each beam alone"] | None = None
    robustness: Robustness | None = None
    """Errors of setup and range: robust objectives and all goals are looked at under them."""
    primaries_per_spot: int | None = None
    primaries_final: int | None = None
    """Protons per beam for the final dose; with uncertainty_percent at most. Given alone, exactly these are simulated and no uncertainty is aimed at."""
    batches: int | None = None
    uncertainty_percent: float | None = None
    """Batches are added until the statistical uncertainty in the target is no larger, or primaries_final are used up."""
    let_map: bool | None = None
    """Score the dose-averaged LET beside the final dose."""
    iterations: int | None = None
    seed: int | None = None


class PlanPage(Shape):
    """Some plans, newest first."""

    items: list[PlanSummary]
    next_cursor: str | None = None
    """Ask with it for older ones; nothing: that was all."""


class PlanRequest(Shape):
    """A plan on one study. Machine and CT calibration must be named unless the deployment has chosen them."""

    workflow: str
    prescription: PrescriptionRequest
    machine: str | None = None
    ct_calibration: str | None = None
    dose_grid_mm: float | None = None
    """Spacing of the dose grid in plane; left out: the workflow's."""
    overrides: Overrides | None = None
    study_instance_uid: str
    """The study to plan on."""
    segmentation_uid: str | None = None
    """SOP Instance UID of the RTSTRUCT; may be left out when the study has only one."""
    pacs: str | None = None
    """Connector that holds the study and takes the plan; left out: the deployment's."""


class PlanSpec(Shape):
    """
    Every number the planner will use. ``None`` means: the case decides, and the result says what.

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
    beams: list[Beam]
    isocentre_mm: tuple[float, float, float] | None = None
    objectives: list[Objective]
    goals: Annotated[list[Goal], Field(validate_default=True)] = []
    derived_structures: Annotated[
        list[Annotated[MarginStructure | RingStructure | CombinedStructure, Field(discriminator="kind")]],
        Field(validate_default=True),
    ] = []
    """Made of the structure set's and of one another, in this order."""
    body_from_ct: BodyFromCt | None = None
    """How BODY is made where none was drawn; left out: such a structure set is refused."""
    density_overrides: Annotated[list[DensityOverride], Field(validate_default=True)] = []
    """Structures calculated with HU other than the CT's."""
    rbe: float
    dose_grid_mm: float
    spot_spacing_mm: float
    layer_spacing_mm: float
    """Between energy layers, mm of water."""
    target_margin_mm: float
    """Spots are placed up to this far outside the target."""
    minimum_spot_mu: float
    maximum_spot_mu: float
    primaries_per_spot: int
    primaries_final: int
    batches: int
    uncertainty_percent: float | None = None
    optimisation: Literal["all beams together", "each beam alone"] = "all beams together"
    robustness: Robustness | None = None
    let_map: bool = False
    iterations: int
    seed: int


class ResolvedPlan(Shape):
    """
    A plan request with nothing left to chance: stored, returned, planned, and put in the report.

    ``origins`` maps each leaf of ``spec`` (``prescription.dose_gy_rbe``, ``beams``, ``dose_grid_mm``) and
    ``workflow``, ``machine``, ``ct_calibration`` to where its value came from.
    """

    workflow: Pinned
    machine: Pinned
    ct_calibration: Pinned
    spec: PlanSpec
    origins: dict[str, Literal["request", "workflow", "machine", "deployment", "case"]]
    warnings: list[str] = []


class WorkflowTemplate(Shape):
    """A planning workflow as data: one file each."""

    id: str
    version: str
    title: str
    description: str
    modality: Literal["proton"]
    engine: Literal["mcsquare"]
    normalisation: str
    rbe: float
    beams: list[Beam]
    objectives: list[ObjectiveTemplate]
    goals: list[GoalTemplate]
    derived_structures: Annotated[
        list[Annotated[MarginStructure | RingStructure | CombinedStructure, Field(discriminator="kind")]],
        Field(validate_default=True),
    ] = []
    body_from_ct: BodyFromCt | None = None
    density_overrides: Annotated[list[DensityOverride], Field(validate_default=True)] = []
    dose_grid_mm: float
    spot_spacing_mm: float
    layer_spacing_mm: float
    target_margin_mm: float
    primaries_per_spot: int
    primaries_final: int
    batches: int
    uncertainty_percent: float | None = None
    optimisation: Literal["all beams together", "each beam alone"] = "all beams together"
    robustness: Robustness | None = None
    let_map: bool = False
    iterations: int
    seed: int


class WorkflowView(Shape):
    """A workflow with every number it brings."""

    id: str
    version: str
    sha256: str
    title: str
    description: str
    parameters: WorkflowTemplate
    """What is used unless a request overrides it."""
    overrides_schema: dict[str, Any]
    """JSON Schema of the overrides it takes."""


class Workflows(Shape):
    """Every workflow."""

    workflows: list[WorkflowView]


class PlanAccepted(Shape):
    """A plan that was taken: the same answer however often the same request is made."""

    id: str
    url: str
    created_at: AwareDatetime
    deadline: AwareDatetime
    job: JobLink
    resolved: ResolvedPlan


class PlanView(Shape):
    """A plan whole: what was asked, what was used, where it is, what came of it."""

    id: str
    created_at: AwareDatetime
    study_instance_uid: str
    segmentation_uid: str | None
    """`null`: the study's only structure set."""
    pacs: str
    requested: dict[str, Any]
    """The request as it came."""
    resolved: ResolvedPlan
    """Every number that is used, and where it came from."""
    job: JobView
    artifacts: list[ArtifactView]
    dvh: list[StructureMetrics]
    """Metrics of each structure; empty until the plan is ready."""
    goals: list[GoalResult]
    """What the plan is judged by; empty until the plan is ready."""
    worst_goals: Annotated[list[WorstGoal | None], Field(validate_default=True)] = []
    """Of each goal, in their order, the worst scenario; empty for a plan without scenarios."""
    indices: PlanIndices | None = None
    """Homogeneity, conformity and gradient."""
    beams: list[BeamStatistics]
    """Spots, energies, MU and times; empty until the plan is ready."""
    uncertainty: Uncertainty | None = None
    """Statistical, of the final dose."""
    warnings: list[str]
    """Of the request, the case and the planner."""
    outcome_missing: str | None = None
    """Why a finished plan's metrics cannot be shown now."""
