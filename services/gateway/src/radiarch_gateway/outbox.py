"""What the database decided and the bus must hear: sent until the bus has stored it.

Rows are written in the transaction of what they tell. Several gateways may send the same row: a job bears
its message id, a cancel and a closing event say the same thing twice.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter
from radiarch_common.bus import BUS_ERRORS
from radiarch_common.cancel import send_cancel
from radiarch_common.messages import EVENT, Event, ExportResult, ImportStudy, JobMessage, PlanCase, StageName, utc_now
from radiarch_common.telemetry import get_logger
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, delete, select

from radiarch_gateway.bus import Link
from radiarch_gateway.db import Database
from radiarch_gateway.mailbox import Errand, OutboxRow, decision_id

POLL_S = 1.0
AGAIN_S = 1.0
BATCH = 50
JOB_ERRANDS: Final[dict[Errand, tuple[StageName, type[JobMessage]]]] = {
    "job": ("importer", ImportStudy),
    "plan": ("planner", PlanCase),
    "export": ("exporter", ExportResult),
}

_ERRAND: TypeAdapter[Errand] = TypeAdapter(Errand)

log = get_logger(__name__)


def put_job(session: Session, job: JobMessage) -> None:
    """Have a stage's job published once this transaction is committed."""
    _put(session, _errand_of(job), job.job_id, job.model_dump_json(), utc_now())


def put_cancel(session: Session, job_id: str) -> None:
    """Have every stage told that a job shall stop."""
    _put(session, "cancel", job_id, "", utc_now())


def put_event(session: Session, event: Event) -> None:
    """Have those who follow a job told what was decided here; every gateway hears it too, in its turn."""
    _put(session, "event", event.job_id, event.model_dump_json(), event.at)


def take_back_job(session: Session, job_id: str) -> bool:
    """Remove a job that is not known to be published; whether there was one."""
    ours = OutboxRow.job_id == job_id
    rows = session.exec(select(OutboxRow).where(ours, col(OutboxRow.errand).in_(JOB_ERRANDS))).all()
    for row in rows:
        session.delete(row)
    return bool(rows)


def _errand_of(job: JobMessage) -> Errand:
    return next(errand for errand, (_, kind) in JOB_ERRANDS.items() if kind is type(job))


def _put(session: Session, errand: Errand, job_id: str, payload: str, at: datetime) -> None:
    session.add(OutboxRow(errand=errand, job_id=job_id, payload=payload, created_at=at))


class Relay:
    """Sends what lies in the outbox, in its order, for ever."""

    def __init__(self, database: Database, link: Link) -> None:
        self._database = database
        self._link = link
        self._more = asyncio.Event()

    def wake(self) -> None:
        """There is something new."""
        self._more.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self._more.clear()
            try:
                await self._link.bus()
                sent = await self._send_some()
            except BUS_ERRORS as error:
                log.warning("outbox waits for the bus", error=str(error) or type(error).__name__)
                await asyncio.sleep(AGAIN_S)
            except SQLAlchemyError as error:
                log.warning("outbox waits for the database", error=type(error).__name__)
                await asyncio.sleep(AGAIN_S)
            else:
                if sent < BATCH:
                    await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._more.wait()
        except TimeoutError:
            return

    async def _send_some(self) -> int:
        rows = await asyncio.to_thread(self._pending)
        sent: list[OutboxRow] = []
        try:
            for row in rows:
                await self._send(row)
                sent.append(row)
        finally:  # what the bus has stored is known to be, also when the next was not taken
            if sent:
                await asyncio.to_thread(self._sent, sent)
        return len(rows)

    async def _send(self, row: OutboxRow) -> None:
        errand = _ERRAND.validate_python(row.errand)
        bus = await self._link.bus()
        if errand == "cancel":
            await send_cancel(bus, row.job_id)
        elif errand == "event":
            event = EVENT.validate_json(row.payload)
            await bus.send_event(event, decision_id(event))
        else:
            stage, kind = JOB_ERRANDS[errand]
            await bus.send_job(stage, kind.model_validate_json(row.payload))
        log.debug("sent", errand=row.errand, job_id=row.job_id)

    def _pending(self) -> list[OutboxRow]:
        with self._database.reading() as session:
            return list(session.exec(select(OutboxRow).order_by(col(OutboxRow.id)).limit(BATCH)).all())

    def _sent(self, rows: Sequence[OutboxRow]) -> None:
        """In one transaction for all: a database waits for its disk once for each."""
        with self._database.writing() as session:
            session.exec(delete(OutboxRow).where(col(OutboxRow.id).in_([row.id for row in rows])))
