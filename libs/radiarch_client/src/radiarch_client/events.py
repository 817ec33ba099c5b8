"""What happens to a job, and where it is."""

from typing import Any, Final

from pydantic import AwareDatetime

from radiarch_client.models import JobSummary, JobView
from radiarch_client.shape import Shape

FINAL: Final = frozenset({"succeeded", "failed", "cancelled"})
LAST_STAGE: Final = "exporter"


class JobEvent(Shape):
    """One event. What its kind does not have is ``None``; what this client does not know is kept beside it.

    Attributes
    ----------
    id
        Its place: events after it are asked for by ``events(job, after=id)``.
    kind
        ``requested``, ``started``, ``progress``, ``waiting``, ``retrying``, ``finished``, ``failed``, ``cancelled``
        and more
    progress
        Of the stage, 0..1.
    refused
        Failed because the input cannot be planned.
    """

    id: str = ""
    kind: str
    job_id: str
    run: int
    stage: str
    attempt: int
    at: AwareDatetime
    progress: float | None = None
    message: str | None = None
    eta_seconds: float | None = None
    waiting_for: str | None = None
    retry_in_s: float | None = None
    reason: str | None = None
    hint: str | None = None
    refused: bool | None = None
    timings: dict[str, float] | None = None
    artifacts: list[dict[str, Any]] | None = None

    @property
    def ends_job(self) -> bool:
        """Whether nothing follows."""
        return self.kind in {"failed", "cancelled"} or (self.kind == "finished" and self.stage == LAST_STAGE)


def has_ended(job: JobView | JobSummary) -> bool:
    """Whether nothing more will happen to a job."""
    return job.state in FINAL
