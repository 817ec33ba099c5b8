"""Job state told again from the event stream: ``radiarch admin rebuild-state``.

Plans, jobs, artifacts and tombstones come back as the stream tells them, by the same rules as live. What the stream
no longer holds (plans from before its retention, or from before it told requests) is left as it is.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from nats.aio.msg import Msg
from pydantic import ValidationError
from radiarch_common.bus import Bus, connect
from radiarch_common.errors import RadiarchError
from radiarch_common.messages import Artifact, Erased, Event, Requested, utc_now
from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger
from radiarch_common.topology import EVENTS
from sqlalchemy import text
from sqlmodel import Session, col, delete, select

from radiarch_gateway.aggregate import event_id_of, read_event
from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.artifacts.store import add_artifacts
from radiarch_gateway.db import Database
from radiarch_gateway.erasures.store import TABLES
from radiarch_gateway.feed import EVERYTHING, events_kept, stream_now
from radiarch_gateway.jobs.ahead import put_on_top
from radiarch_gateway.jobs.birth import job_of, plan_of
from radiarch_gateway.jobs.books import Counted, clinic_of, count, forget, without_taken_key
from radiarch_gateway.jobs.models import JobRow, TombstoneRow
from radiarch_gateway.mailbox import InboxRow
from radiarch_gateway.plans.models import PlanRow

log = get_logger(__name__)


class RebuildError(RadiarchError):
    """The database is not to be rebuilt."""


@dataclass(frozen=True)
class Told:
    """One event as it lies in the stream."""

    event: Event
    event_id: str
    sequence: int


@dataclass
class MemoryBooks:
    """Plans, jobs and artifacts while they are told again."""

    begun: dict[str, Requested] = field(default_factory=dict[str, Requested])
    jobs: dict[str, JobRow] = field(default_factory=dict[str, JobRow])
    artifacts: dict[str, tuple[Artifact, ...]] = field(default_factory=dict[str, tuple[Artifact, ...]])
    erased: dict[str, datetime] = field(default_factory=dict[str, datetime])
    heard: dict[str, int] = field(default_factory=dict[str, int])

    def first_time(self, event_id: str, sequence: int) -> bool:
        """See ``Books.first_time``."""
        if event_id in self.heard:
            return False
        self.heard[event_id] = sequence
        return True

    def job(self, job_id: str) -> JobRow | None:
        """See ``Books.job``."""
        return self.jobs.get(job_id)

    def begin(self, event: Requested) -> JobRow:
        """See ``Books.begin``."""
        self.begun[event.job_id] = event
        self.jobs[event.job_id] = job_of(event)
        return self.jobs[event.job_id]

    def leave(self, job_id: str, artifacts: tuple[Artifact, ...]) -> None:
        """See ``Books.leave``."""
        self.artifacts[job_id] = artifacts

    def erase(self, job_id: str, at: datetime) -> None:
        """See ``Books.erase``."""
        for kept in (self.begun, self.jobs, self.artifacts):
            kept.pop(job_id, None)
        self.erased.setdefault(job_id, at)

    def is_erased(self, job_id: str) -> bool:
        """See ``Books.is_erased``."""
        return job_id in self.erased


def tell(events: Iterable[Told]) -> MemoryBooks:
    """What events tell, in the order of the stream."""
    books = MemoryBooks()
    for told in events:
        if count(books, told.event, told.event_id, told.sequence) is Counted.UNKNOWN:
            books.heard.pop(told.event_id)  # of a job that is left as it is: it may not have been counted yet
    return books


def write(session: Session, books: MemoryBooks) -> None:
    """Put what was told into the database, over what it holds of the same jobs.

    A decision of a gateway that is not in the stream yet stays on top.
    """
    for job_id, at in books.erased.items():
        forget(session, job_id, at)
    erased = set(session.exec(select(TombstoneRow.job_id)).all())  # also what the stream has not heard of yet
    for job_id, event in books.begun.items():
        if job_id in erased:
            continue
        clinic_of(session, event)
        before = session.get(JobRow, job_id)
        waiting = [one for one in before.ahead if one["id"] not in books.heard] if before is not None else []
        job = books.jobs[job_id]
        put_on_top(job, waiting)
        session.merge(plan_of(without_taken_key(session, event)))
        session.flush()
        session.merge(job)
        session.flush()
        session.exec(delete(ArtifactRow).where(col(ArtifactRow.job_id) == job_id))
        add_artifacts(session, job_id, books.artifacts.get(job_id, ()))
    now = utc_now()
    known = set(session.exec(select(InboxRow.event_id)).all())
    session.add_all(
        InboxRow(event_id=event_id, sequence=sequence, received_at=now)
        for event_id, sequence in books.heard.items()
        if event_id not in known
    )


def rebuild(database: Database, settings: Settings, *, replace: bool) -> int:
    """Read the stream and write the database, in one transaction that keeps gateways from writing; jobs told.

    A gateway that runs meanwhile waits, and goes on where the stream was read to. What the stream or the database
    still held of a job that was erased (by a gateway that died of it, in a database that was put back) is erased.

    Raises
    ------
    RebuildError
        If the database holds plans, and they are not to be replaced.
    """
    database.migrate()
    with database.writing() as session:
        if database.kind == "postgresql":
            session.connection().execute(text("LOCK TABLE stream_places, inbox, jobs IN EXCLUSIVE MODE"))
        if not replace and session.exec(select(PlanRow.id).limit(1)).first() is not None:
            raise RebuildError("The database holds plans: with --replace they are told again from the stream.")
        told = asyncio.run(_read(settings))
        books = tell(told)
        were_there = any(session.get(PlanRow, job_id) is not None for job_id in books.erased)
        write(session, books)
    left = [one.sequence for one in told if one.event.job_id in books.erased and not isinstance(one.event, Erased)]
    if left:
        asyncio.run(_erase(settings, left))
    if were_there:
        database.scrub(TABLES)
    log.info("rebuilt", jobs=len(books.jobs), events=len(books.heard), erased=len(books.erased))
    return len(books.jobs)


async def _erase(settings: Settings, sequences: Sequence[int]) -> None:
    client = await connect(settings, "rebuild")
    try:
        for sequence in sequences:
            await Bus(client).erase(EVENTS, sequence)
    finally:
        await client.close()


async def _read(settings: Settings) -> list[Told]:
    client = await connect(settings, "rebuild")
    try:
        bus = Bus(client)
        kept = events_kept(bus, EVERYTHING, 0, (await stream_now(bus)).last)
        return [told async for message in kept if (told := _told(message)) is not None]
    finally:
        await client.close()


def _told(message: Msg) -> Told | None:
    sequence = message.metadata.sequence.stream
    try:
        return Told(read_event(message.data), event_id_of(message.headers, sequence), sequence)
    except ValidationError as error:
        log.error("unreadable event", subject=message.subject, errors=error.error_count())
        return None
