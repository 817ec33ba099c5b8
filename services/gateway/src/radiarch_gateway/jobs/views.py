"""Jobs as users see them."""

from dataclasses import asdict
from datetime import datetime

from pydantic import BaseModel, Field
from radiarch_common.messages import StageName

from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.jobs.queue import NOWHERE, Place


class LogLine(BaseModel):
    """Something that happened to a job."""

    at: datetime
    stage: StageName
    message: str


class JobSummary(BaseModel):
    """Where a job is."""

    id: str
    state: JobState
    stage: StageName = Field(description="The stage that has the job, or had it last.")
    progress: float = Field(ge=0, le=1, description="Of this stage.")
    eta_seconds: float | None = Field(default=None, description="Of this stage, as it estimates itself.")
    queued_for: StageName | None = Field(default=None, description="The stage in whose queue the job is.")
    queue_position: int | None = Field(
        default=None, ge=1, description="In that queue, from 1; told by `/jobs` alone, of the first thousand."
    )
    start_eta_seconds: float | None = Field(
        default=None,
        ge=0,
        description=(
            "Until that stage begins, from what its workers say of their jobs and what such jobs took of late; "
            "`null` where nothing is known."
        ),
    )
    message: str
    cancel_requested: bool
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


class JobView(JobSummary):
    """A job whole."""

    run: int = Field(description="Counts from 1; a job that is put back starts a new run.")
    attempt: int = Field(description="Of this stage in this run.")
    deadline: datetime = Field(description="A job that has not ended by then fails.")
    reason: str | None = Field(default=None, description="Why the job failed.")
    hint: str | None = Field(default=None, description="What can be done about it.")
    refused: bool = Field(description="Failed because the input cannot be planned: trying again will not help.")
    timings: dict[str, dict[str, float]] = Field(
        description="Seconds by stage and part; `queued` is before its start, `total` the whole stage."
    )
    log: list[LogLine] = Field(description="Oldest first; the latest 200 lines.")


class JobPage(BaseModel):
    """Some jobs, newest first."""

    items: list[JobSummary]
    next_cursor: str | None = Field(default=None, description="Ask with it for older ones; nothing: that was all.")


def job_view(row: JobRow, place: Place = NOWHERE) -> JobView:
    """The whole of it."""
    return JobView.model_validate(row.model_dump() | asdict(place))


def job_summary(row: JobRow, place: Place = NOWHERE) -> JobSummary:
    """The short form."""
    return JobSummary.model_validate(row.model_dump(include=set(JobSummary.model_fields)) | asdict(place))
