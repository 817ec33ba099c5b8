"""The queues of the stages as the database knows them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from statistics import median
from typing import Final

from radiarch_common.messages import StageName, utc_now
from sqlmodel import Session, col, select

from radiarch_gateway.db import Database
from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.jobs.queue import Place, Waiting, left_of, places
from radiarch_gateway.jobs.timings import TOTAL
from radiarch_gateway.plans.models import PlanRow

LOOKED_AT: Final = 1000
"""Jobs of a queue whose places are worked out."""
REMEMBERED: Final = 100
"""Finished jobs whose seconds say how long such jobs take."""


class Durations:
    """How long a stage took of late: the median for a workflow, else for all."""

    def __init__(self, taken: Iterable[tuple[str, float]]) -> None:
        by_workflow: defaultdict[str, list[float]] = defaultdict(list)
        for workflow, seconds in taken:
            by_workflow[workflow].append(seconds)
        every = [seconds for some in by_workflow.values() for seconds in some]
        self._of = {workflow: median(some) for workflow, some in by_workflow.items()}
        self._any = median(every) if every else None

    def of(self, workflow: str) -> float | None:
        """Seconds, or ``None`` when no job has finished yet."""
        return self._of.get(workflow, self._any)


def waiting_places(database: Database, stages: Iterable[StageName], workers: Mapping[str, int]) -> dict[str, Place]:
    """The place of each job in these stages' queues; ``workers`` are those alive, by stage."""
    found: dict[str, Place] = {}
    now = utc_now()
    with database.reading() as session:
        for stage in stages:
            durations = _durations(session, stage)
            running = _running(session, stage, durations, now)
            found |= places(_waiting(session, stage), running, workers.get(stage, 0), durations.of)
    return found


def _durations(session: Session, stage: StageName) -> Durations:
    statement = (
        select(PlanRow.workflow, JobRow.timings)
        .join(JobRow)
        .where(JobRow.state == JobState.SUCCEEDED.value)
        .order_by(col(JobRow.id).desc())
        .limit(REMEMBERED)
    )
    found = [(workflow, timings.get(stage, {}).get(TOTAL)) for workflow, timings in session.exec(statement).all()]
    return Durations((workflow, seconds) for workflow, seconds in found if seconds is not None)


def _waiting(session: Session, stage: StageName) -> list[Waiting]:
    statement = (
        select(JobRow.id, PlanRow.workflow)
        .join(PlanRow)
        .where(JobRow.queued_for == stage, col(JobRow.cancel_requested).is_(False))
        .order_by(col(JobRow.queued_at), col(JobRow.id))
        .limit(LOOKED_AT)
    )
    return [Waiting(job_id, workflow) for job_id, workflow in session.exec(statement).all()]


def _running(session: Session, stage: StageName, durations: Durations, now: datetime) -> list[float | None]:
    statement = (
        select(JobRow.eta_seconds, JobRow.updated_at, JobRow.stage_started_at, PlanRow.workflow)
        .join(PlanRow)
        .where(
            JobRow.state == JobState.RUNNING.value,
            JobRow.stage == stage,
            col(JobRow.queued_for).is_(None),
            col(JobRow.stage_started_at).is_not(None),
        )
    )
    return [
        left_of(eta_s, (now - told_at).total_seconds())
        if eta_s is not None
        else left_of(durations.of(workflow), (now - (started_at or now)).total_seconds())
        for eta_s, told_at, started_at, workflow in session.exec(statement).all()
    ]
