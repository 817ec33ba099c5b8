"""Events to job state: each counted once, only ever forward."""

import asyncio
from datetime import timedelta

from nats.aio.msg import Msg
from pydantic import ValidationError
from radiarch_common.bus import BUS_ERRORS
from radiarch_common.messages import EVENT, Event, utc_now
from radiarch_common.telemetry import get_logger
from radiarch_common.topology import EVENTS
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlmodel import col, delete

from radiarch_gateway.bus import Link
from radiarch_gateway.db import Database
from radiarch_gateway.jobs.books import Counted, SessionBooks, count
from radiarch_gateway.mailbox import InboxRow

REMEMBERED = timedelta(days=91)
"""Longer than the event stream keeps anything."""
AGAIN_S = 1.0
TRIES = 3

log = get_logger(__name__)


class Aggregator:
    """Writes what the events tell into the database.

    Attributes
    ----------
    unreadable
        Events that this version could not read, or that are of no job known here, since the start.
    """

    def __init__(self, database: Database, link: Link) -> None:
        self._database = database
        self._link = link
        self.unreadable = 0

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._forget_old()
        async for message in self._link.state_events():
            await self._take(message)

    async def _take(self, message: Msg) -> None:
        """One message, seen through; acked when its transaction is committed, or it is not worth one.

        What is said of a job that was erased is overwritten, as all that was said of it before.
        """
        late = False
        try:
            event = read_event(message.data)
        except ValidationError as error:
            self.unreadable += 1
            log.error("unreadable event", subject=message.subject, errors=error.error_count())
        else:
            late = await self._until_counted(event, message)
        try:
            if late:
                await (await self._link.bus()).erase(EVENTS, message.metadata.sequence.stream)
            await message.ack_sync()
        except BUS_ERRORS as error:
            log.warning("event will come again", error=str(error) or type(error).__name__)

    async def _until_counted(self, event: Event, message: Msg) -> bool:
        """Returns when an event is counted; whether it is of a job that was erased."""
        sequence = message.metadata.sequence.stream
        event_id = event_id_of(message.headers, sequence)
        tries = 0
        while True:
            try:
                counted = await asyncio.to_thread(self.count, event, event_id, sequence)
            except (OperationalError, InterfaceError) as error:
                log.warning("events wait for the database", error=type(error).__name__)
            except SQLAlchemyError as error:  # a race with another gateway passes; data it cannot hold do not
                tries += 1
                log.error("event cannot be counted", event_id=event_id, error=type(error).__name__, tries=tries)
                if tries >= TRIES:
                    self.unreadable += 1
                    return False
            else:
                self.unreadable += counted is Counted.UNKNOWN
                return counted is Counted.ERASED
            await asyncio.sleep(AGAIN_S)

    def count(self, event: Event, event_id: str, sequence: int) -> Counted:
        """Count an event, once."""
        with self._database.writing() as session:
            counted = count(SessionBooks(session), event, event_id, sequence)
        if counted is Counted.UNKNOWN:
            log.warning("event of an unknown job", job_id=event.job_id, stage=event.stage, kind=event.kind)
        return counted

    async def _forget_old(self) -> None:
        try:
            await asyncio.to_thread(self._prune)
        except SQLAlchemyError as error:
            log.warning("inbox not pruned", error=type(error).__name__)

    def _prune(self) -> None:
        with self._database.writing() as session:
            session.exec(delete(InboxRow).where(col(InboxRow.received_at) < utc_now() - REMEMBERED))


def read_event(data: bytes) -> Event:
    """An event as every teller of events reads it. Raises ValidationError."""
    return EVENT.validate_json(data.replace(b"\\u0000", b"\\u0020"))  # PostgreSQL's text has no NUL


def event_id_of(headers: dict[str, str] | None, sequence: int) -> str:
    """What tells an event from another: its message id, else its place in the stream."""
    return (headers or {}).get("Nats-Msg-Id") or f"EVENTS:{sequence}"
