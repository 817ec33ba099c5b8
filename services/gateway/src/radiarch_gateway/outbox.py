"""What the database decided and the bus must hear: sent until the bus has stored it.

Rows are written in the transaction of what they tell. Several gateways may send the same row: a job bears
its message id, a cancel and a closing event say the same thing twice.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from radiarch_common.bus import BUS_ERRORS
from radiarch_common.cancel import send_cancel
from radiarch_common.messages import (
    EVENT,
    Event,
    EventMessage,
    ExportResult,
    ImportStudy,
    JobMessage,
    PlanCase,
    StageName,
    utc_now,
)
from radiarch_common.telemetry import get_logger
from radiarch_common.topology import EVENTS, JOBS, event_subject, job_message_id, job_subject
from sqlalchemy import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, delete, select

from radiarch_gateway.bus import Link
from radiarch_gateway.db import Database
from radiarch_gateway.mailbox import Errand, OutboxRow, decision_id

POLL_S = 1.0
AGAIN_S = 1.0
BATCH = 200
JOB_ERRANDS: Final[dict[StageName, Errand]] = {"importer": "job", "planner": "plan", "exporter": "export"}
STAGE_OF: Final[dict[type[JobMessage], StageName]] = {
    ImportStudy: "importer",
    PlanCase: "planner",
    ExportResult: "exporter",
}

log = get_logger(__name__)


def put(session: Session, *said: JobMessage | Event) -> None:
    """Have jobs published for their stages, and those who follow a job told what was decided here, in this order.

    Once this transaction is committed; every gateway hears an event too, in its turn.
    """
    _put(session, [_event_values(one) if isinstance(one, EventMessage) else _job_values(one) for one in said])


def put_cancel(session: Session, job_id: str) -> None:
    """Have every stage told that a job shall stop."""
    _put(session, [{"errand": "cancel", "job_id": job_id, "payload": "", "created_at": utc_now()}])


def _put(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    session.connection().execute(insert(OutboxRow), rows)


def _job_values(job: JobMessage) -> dict[str, Any]:
    stage = STAGE_OF[type(job)]
    return {
        "errand": JOB_ERRANDS[stage],
        "job_id": job.job_id,
        "subject": job_subject(stage, job.job_id),
        "message_id": job_message_id(job, stage),
        "payload": job.model_dump_json(),
        "created_at": utc_now(),
    }


def _event_values(event: Event) -> dict[str, Any]:
    return {
        "errand": "event",
        "job_id": event.job_id,
        "subject": event_subject(event),
        "message_id": decision_id(event),
        "payload": event.model_dump_json(),
        "created_at": event.at,
    }


def take_back_job(session: Session, job_id: str) -> bool:
    """Remove a job that is not known to be published; whether there was one."""
    ours = OutboxRow.job_id == job_id
    rows = session.exec(select(OutboxRow).where(ours, col(OutboxRow.errand).in_(JOB_ERRANDS.values()))).all()
    for row in rows:
        session.delete(row)
    return bool(rows)


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
        """What is said of one job goes in its order; jobs do not wait for one another."""
        rows = await asyncio.to_thread(self._pending)
        by_job: dict[str, list[OutboxRow]] = {}
        for row in rows:
            by_job.setdefault(row.job_id, []).append(row)
        sent: list[OutboxRow] = []
        failures = await asyncio.gather(
            *(self._send_of_job(of_job, sent) for of_job in by_job.values()), return_exceptions=True
        )
        if sent:  # what the bus has stored is known to be, also when others were not taken
            await asyncio.to_thread(self._sent, sent)
        for failure in failures:
            if failure is not None:
                raise failure
        return len(rows)

    async def _send_of_job(self, rows: Sequence[OutboxRow], sent: list[OutboxRow]) -> None:
        for row in rows:
            await self._send(row)
            sent.append(row)

    async def _send(self, row: OutboxRow) -> None:
        bus = await self._link.bus()
        if row.errand == "cancel":
            await send_cancel(bus, row.job_id)
        else:
            stream = EVENTS if row.errand == "event" else JOBS
            subject, message_id = _address(row)
            await bus.publish(stream, subject, row.payload.encode(), message_id)
        log.debug("sent", errand=row.errand, job_id=row.job_id)

    def _pending(self) -> list[OutboxRow]:
        with self._database.reading() as session:
            return list(session.exec(select(OutboxRow).order_by(col(OutboxRow.id)).limit(BATCH)).all())

    def _sent(self, rows: Sequence[OutboxRow]) -> None:
        """In one transaction for all: a database waits for its disk once for each."""
        with self._database.writing() as session:
            session.exec(delete(OutboxRow).where(col(OutboxRow.id).in_([row.id for row in rows])))


def _address(row: OutboxRow) -> tuple[str, str]:
    """Subject and message id; a gateway of a version before, which may still run, writes neither."""
    if row.subject is not None and row.message_id is not None:
        return row.subject, row.message_id
    if row.errand == "event":
        event = EVENT.validate_json(row.payload)
        return event_subject(event), decision_id(event)
    for kind, stage in STAGE_OF.items():
        if JOB_ERRANDS[stage] == row.errand:
            job = kind.model_validate_json(row.payload)
            return job_subject(stage, job.job_id), job_message_id(job, stage)
    raise ValueError(f"there is no errand {row.errand!r}")
