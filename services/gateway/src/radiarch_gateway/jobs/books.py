"""What every teller of events does with one, live or again from the start; only where it is written differs."""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import Enum
from typing import Protocol

from radiarch_common.messages import Artifact, Erased, Event, Finished, Requested, utc_now
from sqlalchemy import insert
from sqlmodel import Session, col, delete, select

from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.artifacts.store import add_artifacts
from radiarch_gateway.auth.models import ClinicRow
from radiarch_gateway.jobs.ahead import hear
from radiarch_gateway.jobs.birth import job_values, plan_values
from radiarch_gateway.jobs.models import JobRow, TombstoneRow
from radiarch_gateway.mailbox import InboxRow, OutboxRow
from radiarch_gateway.plans.models import PlanRow
from radiarch_gateway.rules.models import DecisionRow


class Counted(Enum):
    """What became of an event: counted, of a job that is not known, or of one that was erased."""

    DONE = "done"
    UNKNOWN = "unknown"
    ERASED = "erased"


class Books(Protocol):
    """Where plans, jobs and artifacts are written."""

    def first_time(self, event_id: str, sequence: int) -> bool:
        """Whether an event was not counted before; from now on it is."""
        ...

    def job(self, job_id: str) -> JobRow | None:
        """A job, to be changed."""
        ...

    def begin(self, event: Requested) -> JobRow:
        """Enter a plan and its job."""
        ...

    def leave(self, job_id: str, artifacts: tuple[Artifact, ...]) -> None:
        """Enter what a job left."""
        ...

    def erase(self, job_id: str, at: datetime) -> None:
        """Remove everything of a job, and remember that it was."""
        ...

    def is_erased(self, job_id: str) -> bool:
        """Whether a job was erased."""
        ...


def count(books: Books, event: Event, event_id: str, sequence: int) -> Counted:
    """Count an event, once. One of a job that was erased is told to be, as often as it is heard."""
    if not isinstance(event, Erased) and books.is_erased(event.job_id):
        return Counted.ERASED
    if not books.first_time(event_id, sequence):
        return Counted.DONE
    if isinstance(event, Erased):
        books.erase(event.job_id, event.at)
        return Counted.DONE
    job = books.job(event.job_id)
    if job is None and isinstance(event, Requested):
        job = books.begin(event)
    if job is None:
        return Counted.UNKNOWN
    if hear(job, event, event_id, sequence) and isinstance(event, Finished):
        books.leave(job.id, event.artifacts)
    return Counted.DONE


class SessionBooks:
    """Written into the database as they come."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._jobs: dict[str, JobRow | None] = {}
        self._erased: dict[str, bool] = {}
        self._heard: dict[str, bool] = {}

    def look_up(self, job_ids: Collection[str], event_ids: Collection[str]) -> None:
        """Read at once what events of these will ask for one by one.

        The jobs first, and locked: whoever holds one has also said what was heard of it.
        """
        locked = select(JobRow).where(col(JobRow.id).in_(job_ids)).order_by(col(JobRow.id)).with_for_update()
        self._jobs = dict.fromkeys(job_ids) | {job.id: job for job in self._session.exec(locked).all()}
        erased = set(self._session.exec(select(TombstoneRow.job_id).where(col(TombstoneRow.job_id).in_(job_ids))).all())
        self._erased = {job_id: job_id in erased for job_id in job_ids}
        heard = set(self._session.exec(select(InboxRow.event_id).where(col(InboxRow.event_id).in_(event_ids))).all())
        self._heard = {event_id: event_id in heard for event_id in event_ids}

    def first_time(self, event_id: str, sequence: int) -> bool:
        """See ``Books.first_time``."""
        if self._heard[event_id]:
            return False
        self._session.add(InboxRow(event_id=event_id, sequence=sequence, received_at=utc_now()))
        self._heard[event_id] = True
        return True

    def job(self, job_id: str) -> JobRow | None:
        """See ``Books.job``."""
        return self._jobs[job_id]

    def begin(self, event: Requested) -> JobRow:
        """See ``Books.begin``; a clinic that the database has lost comes back under its id."""
        clinic_of(self._session, event)
        begin(self._session, [without_taken_key(self._session, event)])
        job = self._jobs[event.job_id] = self._session.get_one(JobRow, event.job_id)
        return job

    def leave(self, job_id: str, artifacts: tuple[Artifact, ...]) -> None:
        """See ``Books.leave``."""
        add_artifacts(self._session, job_id, artifacts)

    def erase(self, job_id: str, at: datetime) -> None:
        """See ``Books.erase``."""
        self._session.flush()
        forget(self._session, job_id, at)
        self._jobs[job_id] = None
        self._erased[job_id] = True

    def is_erased(self, job_id: str) -> bool:
        """See ``Books.is_erased``."""
        return self._erased[job_id]


def begin(session: Session, events: Sequence[Requested]) -> None:
    """Enter plans and their jobs."""
    session.flush()
    connection = session.connection()
    connection.execute(insert(PlanRow), [plan_values(event) for event in events])
    connection.execute(insert(JobRow), [job_values(event) for event in events])


def without_taken_key(session: Session, event: Requested) -> Requested:
    """A plan whose key serves another one by now: its client asked again while the database did not know it."""
    taken = select(PlanRow.id).where(
        PlanRow.clinic_id == event.clinic_id,
        PlanRow.idempotency_key == event.idempotency_key,
        PlanRow.id != event.job_id,
    )
    if event.idempotency_key is None or session.exec(taken).first() is None:
        return event
    return event.model_copy(update={"idempotency_key": None})


def clinic_of(session: Session, event: Requested) -> None:
    """Make the clinic of a plan when the database has lost it; whose it is is known by its id alone."""
    if session.get(ClinicRow, event.clinic_id) is None:
        session.add(ClinicRow(id=event.clinic_id, name=event.clinic_id, created_at=event.at))
        session.flush()


def forget(session: Session, job_id: str, at: datetime) -> None:
    """Remove everything of a job from these tables, and set its tombstone; done again, it changes nothing."""
    session.exec(delete(OutboxRow).where(col(OutboxRow.job_id) == job_id))
    session.exec(delete(ArtifactRow).where(col(ArtifactRow.job_id) == job_id))
    session.exec(delete(DecisionRow).where(col(DecisionRow.plan_id) == job_id))
    session.exec(delete(JobRow).where(col(JobRow.id) == job_id))
    session.exec(delete(PlanRow).where(col(PlanRow.id) == job_id))
    if session.get(TombstoneRow, job_id) is None:
        session.add(TombstoneRow(job_id=job_id, erased_at=at))
