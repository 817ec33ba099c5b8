"""The jobs table."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from radiarch_common.messages import STAGES, StageName
from sqlalchemy import JSON, BigInteger, Column
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
        """Whether nothing follows."""
        return self in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


class JobRow(SQLModel, table=True):
    """A job as its events told it.

    Attributes
    ----------
    run, stage, attempt, rank
        Of the event that counts; only an event that is not before them moves the job.
    last_sequence
        Place in the event stream of the last event heard.
    progress
        Of the stage, 0..1.
    timings
        Seconds by stage and part.
    case_key, result_key
        In the object store, as the stages named them last.
    log
        ``{"at", "stage", "message"}``, oldest first, bounded.
    """

    __tablename__ = "jobs"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    id: str = Field(primary_key=True, foreign_key="plans.id", max_length=40)
    state: str = Field(default=JobState.QUEUED.value, max_length=16, index=True)
    run: int = 1
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
    timings: dict[str, dict[str, float]] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    log: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))

    @property
    def order(self) -> tuple[int, int, int, int]:
        """As ``EventMessage.order``."""
        return self.run, STAGES.index(stage_name(self.stage)), self.attempt, self.rank


def stage_name(text: str) -> StageName:
    """The stage of this name. Raises ValueError when there is none."""
    for name in STAGES:
        if name == text:
            return name
    raise ValueError(f"there is no stage {text!r}")
