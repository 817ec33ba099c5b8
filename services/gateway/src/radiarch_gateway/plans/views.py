"""Plans as users see them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from radiarch_common.plans import ResolvedPlan
from radiarch_common.quality import BeamStatistics, PlanIndices
from radiarch_common.result import GoalResult, Uncertainty
from radiarch_common.worst import WorstGoal

from radiarch_gateway.artifacts.models import ArtifactView
from radiarch_gateway.jobs.views import JobSummary, JobView
from radiarch_gateway.plans.outcome import StructureMetrics


class JobLink(BaseModel):
    """Where to follow a job."""

    id: str
    url: str
    events_url: str


class PlanAccepted(BaseModel):
    """A plan that was taken: the same answer however often the same request is made."""

    id: str
    url: str
    created_at: datetime
    deadline: datetime
    job: JobLink
    resolved: ResolvedPlan


class PlanSummary(BaseModel):
    """A plan in a list."""

    id: str
    created_at: datetime
    study_instance_uid: str
    workflow: str
    machine: str
    target: str
    dose_gy_rbe: float
    fractions: int
    job: JobSummary


class PlanPage(BaseModel):
    """Some plans, newest first."""

    items: list[PlanSummary]
    next_cursor: str | None = Field(default=None, description="Ask with it for older ones; nothing: that was all.")


class PlanView(BaseModel):
    """A plan whole: what was asked, what was used, where it is, what came of it."""

    id: str
    created_at: datetime
    study_instance_uid: str
    segmentation_uid: str | None = Field(description="`null`: the study's only structure set.")
    pacs: str
    requested: dict[str, Any] = Field(description="The request as it came.")
    resolved: ResolvedPlan = Field(description="Every number that is used, and where it came from.")
    job: JobView
    artifacts: list[ArtifactView]
    dvh: list[StructureMetrics] = Field(description="Metrics of each structure; empty until the plan is ready.")
    goals: list[GoalResult] = Field(description="What the plan is judged by; empty until the plan is ready.")
    worst_goals: list[WorstGoal | None] = Field(
        default=[], description="Of each goal, in their order, the worst scenario; empty for a plan without scenarios."
    )
    indices: PlanIndices | None = Field(default=None, description="Homogeneity, conformity and gradient.")
    beams: list[BeamStatistics] = Field(description="Spots, energies, MU and times; empty until the plan is ready.")
    uncertainty: Uncertainty | None = Field(default=None, description="Statistical, of the final dose.")
    warnings: list[str] = Field(description="Of the request, the case and the planner.")
    outcome_missing: str | None = Field(default=None, description="Why a finished plan's metrics cannot be shown now.")
