"""The tables of jobs, and of those that were erased."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from radiarch_common.messages import STAGES, StageName
from sqlalchemy import JSON, BigInteger
from sqlmodel import Field, SQLModel

from radiarch_gateway.db import UtcDateTime


class JobState(StrEnum):
    """Where a job is. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether nothing follows, unless a person asks for it."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class JobFold(SQLModel):
    """What a job's events tell, and nothing besides: the same again from the same events in the same order.

    Attributes
    ----------
    run, stage, attempt, rank
        Of the event that counts; only an event that is not before them moves the job.
    unattended
        Runs since a person asked for one, without the first.
    last_sequence
        Place in the event stream of the last event heard.
    progress
        Of the stage, 0..1.
    stage_started_at
        Of the attempt that runs; nothing while the job waits for another.
    queued_for, queued_at
        The stage in whose queue the job is, and since when.
    timings
        Seconds by stage and part.
    case_key, result_key
        In the object store, as the stages named them last; what a new run goes on from.
    log
        ``{"at", "stage", "message"}``, oldest first, bounded.
    """

    state: str = Field(default=JobState.QUEUED.value, max_length=16, index=True)
    run: int = 1
    unattended: int = 0
    stage: str = Field(default="gateway", max_length=16)
    attempt: int = 0
    rank: int = 0
    last_sequence: int = Field(default=0, sa_type=BigInteger)
    progress: float = 0.0
    eta_seconds: float | None = None
    message: str = ""
    reason: str | None = None
    hint: str | None = None
    refused: bool = False
    cancel_requested: bool = False
    case_key: str | None = Field(default=None, max_length=512, index=True)
    result_key: str | None = Field(default=None, max_length=512)
    created_at: datetime = Field(sa_type=UtcDateTime)
    deadline: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    stage_started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    queued_for: str | None = Field(default=None, max_length=16, index=True)
    queued_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    timings: dict[str, dict[str, float]] = Field(default_factory=dict, sa_type=JSON)
    log: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)

    @property
    def order(self) -> tuple[int, int, int, int]:
        """As ``EventMessage.order``."""
        return self.run, STAGES.index(stage_name(self.stage)), self.attempt, self.rank


class JobRow(JobFold, table=True):
    """A job as users see it: what its events told, and on top of it what was decided here and not heard yet.

    Attributes
    ----------
    ahead
        Decisions that are on their way through the stream: ``{"id", "event"}``, oldest first.
    folded
        What the events told, while something is ahead of them.
    """

    __tablename__ = "jobs"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    id: str = Field(primary_key=True, foreign_key="plans.id", max_length=40)
    ahead: list[dict[str, Any]] = Field(default_factory=list, sa_type=JSON)
    folded: dict[str, Any] | None = Field(default=None, sa_type=JSON)


class TombstoneRow(SQLModel, table=True):
    """A job that was erased: whatever is still heard of it is passed over."""

    __tablename__ = "tombstones"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    job_id: str = Field(primary_key=True, max_length=40)
    erased_at: datetime = Field(sa_type=UtcDateTime)


def stage_name(text: str) -> StageName:
    """The stage of this name. Raises ValueError when there is none."""
    for name in STAGES:
        if name == text:
            return name
    raise ValueError(f"there is no stage {text!r}")
