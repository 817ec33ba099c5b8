"""Python client of a Radiarch server, for threads (``Radiarch``) and for event loops (``AsyncRadiarch``)."""

from radiarch_client.aio import AsyncRadiarch
from radiarch_client.errors import (
    ConflictError,
    DamagedError,
    LoginNeededError,
    MissingError,
    NotAllowedError,
    NotReadyError,
    RadiarchError,
    RefusedError,
    ServerError,
    UnavailableError,
    UnreadableError,
)
from radiarch_client.events import JobEvent, has_ended
from radiarch_client.models import (
    ArtifactView,
    BeamRequest,
    Goal,
    Info,
    JobSummary,
    JobView,
    Objective,
    Overrides,
    PlanAccepted,
    PlanRequest,
    PlanSummary,
    PlanView,
    PrescriptionRequest,
    Problem,
    WorkflowView,
)
from radiarch_client.patience import Patience
from radiarch_client.sync import DEFAULT_SERVER, Radiarch
from radiarch_client.tokens import Tokens, TokenStore

__all__ = [
    "DEFAULT_SERVER",
    "ArtifactView",
    "AsyncRadiarch",
    "BeamRequest",
    "ConflictError",
    "DamagedError",
    "Goal",
    "Info",
    "JobEvent",
    "JobSummary",
    "JobView",
    "LoginNeededError",
    "MissingError",
    "NotAllowedError",
    "NotReadyError",
    "Objective",
    "Overrides",
    "Patience",
    "PlanAccepted",
    "PlanRequest",
    "PlanSummary",
    "PlanView",
    "PrescriptionRequest",
    "Problem",
    "Radiarch",
    "RadiarchError",
    "RefusedError",
    "ServerError",
    "TokenStore",
    "Tokens",
    "UnavailableError",
    "UnreadableError",
    "WorkflowView",
    "has_ended",
]
