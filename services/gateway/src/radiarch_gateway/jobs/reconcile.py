"""Finds jobs that nobody has: puts them back as a new run, or ends them with the reason.

A message that was lost, a worker that ended without a word, a deadline or a cancel that nobody was there to hear.
A job whose message lies in a queue is waited for or worked on, however long that takes.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nats.js.errors import NotFoundError
from radiarch_common.bus import BUS_ERRORS, Bus
from radiarch_common.messages import Cancelled, Failed, utc_now
from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger
from radiarch_common.topology import EVENTS, VERBS
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, or_, select

from radiarch_gateway.bus import Link
from radiarch_gateway.db import Database
from radiarch_gateway.feed import Stream, stream_now
from radiarch_gateway.housekeeping.lease import Lease
from radiarch_gateway.jobs.ahead import decide
from radiarch_gateway.jobs.birth import furthest_queue
from radiarch_gateway.jobs.judge import RUNS_UNATTENDED, Limits, Verdict, is_lost, suspect
from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.jobs.store import place, put_back
from radiarch_gateway.mailbox import OutboxRow
from radiarch_gateway.outbox import Relay, put_cancel
from radiarch_gateway.places import place_of

MOST_AT_ONCE: Final = 100
LOOKS_IN_SILENCE: Final = 10
LONGEST_BETWEEN_S: Final = 60.0

log = get_logger(__name__)


@dataclass(frozen=True)
class Suspect:
    """A job that may be lost, as it was seen."""

    id: str
    run: int
    last_sequence: int
    verdict: Verdict


class Reconciler:
    """Looks for lost jobs, for ever; of several gateways one does."""

    def __init__(self, database: Database, link: Link, relay: Relay, settings: Settings) -> None:
        self._database = database
        self._link = link
        self._relay = relay
        self._limits = Limits.of(settings)
        shortest = min(self._limits.silence, self._limits.stop).total_seconds()
        self._every_s = min(shortest / LOOKS_IN_SILENCE, LONGEST_BETWEEN_S)
        self._lease = Lease(database, "reconciling", timedelta(seconds=3 * self._every_s))

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self._look(await self._link.bus())
            except BUS_ERRORS as error:
                log.warning("reconciler waits for the bus", error=str(error) or type(error).__name__)
            except SQLAlchemyError as error:
                log.warning("reconciler waits for the database", error=type(error).__name__)
            await asyncio.sleep(self._every_s)

    async def _look(self, bus: Bus) -> None:
        if not await asyncio.to_thread(self._lease.take):
            return
        for found in await asyncio.to_thread(self._suspects):
            if await self._is_had(bus, found):
                continue
            if await asyncio.to_thread(self._act, found):
                log.warning("job without anybody", job_id=found.id, run=found.run, verdict=found.verdict.value)
                self._relay.wake()

    def _suspects(self) -> list[Suspect]:
        """Jobs that have been silent for long, or are past their deadline, and for which nothing is to be sent."""
        now = utc_now()
        quiet_since = now - min(self._limits.silence, self._limits.stop)
        open_states = [state.value for state in JobState if not state.final]
        statement = (
            select(JobRow)
            .where(
                col(JobRow.state).in_(open_states),
                or_(col(JobRow.updated_at) < quiet_since, col(JobRow.deadline) < now - self._limits.stop),
                col(JobRow.id).not_in(select(OutboxRow.job_id)),
            )
            .order_by(col(JobRow.updated_at))
            .limit(MOST_AT_ONCE)
        )
        with self._database.reading() as session:
            rows = session.exec(statement).all()
        judged = [Suspect(row.id, row.run, row.last_sequence, suspect(row, now, self._limits)) for row in rows]
        return [one for one in judged if one.verdict is not Verdict.LEAVE]

    async def _is_had(self, bus: Bus, found: Suspect) -> bool:
        """Whether somebody has a job: its message lies in a queue, or what was said of it is not counted yet.

        A job moves from each queue to the next, and into that before it leaves the first; so the queues are asked in
        that order, and its events after them.
        """
        if is_lost(found.verdict):
            for stage in VERBS:
                if await bus.waiting_job(stage, found.id) is not None:
                    return True
        stream = await stream_now(bus)
        counted = await asyncio.to_thread(self._counted, stream)
        return await _last_said(bus, found.id) > max(found.last_sequence, counted)

    def _counted(self, stream: Stream) -> int:
        with self._database.reading() as session:
            at = place_of(session)
        return at.sequence if at is not None and at.made_at == stream.made_at else 0

    def _act(self, found: Suspect) -> bool:
        """Do what was found right, unless the job has moved meanwhile."""
        now = utc_now()
        with self._database.writing() as session:
            row = session.get(JobRow, found.id, with_for_update=True)
            if row is None or (row.run, row.last_sequence) != (found.run, found.last_sequence):
                return False
            if suspect(row, now, self._limits) is not found.verdict:
                return False
            self._do(session, row, found.verdict, now)
        return True

    def _do(self, session: Session, row: JobRow, verdict: Verdict, now: datetime) -> None:
        minutes = self._limits.silence.total_seconds() / 60
        if verdict is Verdict.CANCEL:
            decide(session, row, Cancelled(at=now, **place(row)))
            put_cancel(session, row.id)
        elif verdict is Verdict.TOO_LATE:
            reason = f"The job did not end before its deadline, {row.deadline:%Y-%m-%d %H:%M} UTC. Last: {row.message}"
            decide(session, row, Failed(at=now, refused=False, reason=reason, **place(row)))
        elif verdict is Verdict.PUT_BACK:
            reason = f"Nothing was heard of it for {minutes:g} min, and it lay in no queue."
            put_back(session, row, furthest_queue(row), reason, row.deadline)
        else:
            reason = f"The job was lost {RUNS_UNATTENDED} times. Last: {row.message}"
            hint = "Look into the logs of the stages and of the bus, then try it again."
            decide(session, row, Failed(at=now, refused=False, reason=reason, hint=hint, **place(row)))


async def _last_said(bus: Bus, job_id: str) -> int:
    try:
        return (await bus.js.get_last_msg(EVENTS, f"events.{job_id}.>")).seq or 0
    except NotFoundError:
        return 0
