"""Events to job state: each counted once, in the order of the stream, only ever forward.

How far a database has counted is written in it, in the transaction that counts: a database that was put back, or is
new, goes on from where it stands. Of several gateways one counts; the others see that it does, and wait.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, cast

from nats.aio.msg import Msg
from pydantic import ValidationError
from radiarch_common.bus import BUS_ERRORS, Bus
from radiarch_common.errors import RadiarchError
from radiarch_common.messages import EVENT, Event, utc_now
from radiarch_common.telemetry import get_logger
from radiarch_common.topology import EVENTS
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError, StatementError
from sqlmodel import col, delete

from radiarch_gateway.bus import Link
from radiarch_gateway.db import Database
from radiarch_gateway.feed import events_after, stream_now
from radiarch_gateway.jobs.books import Counted, SessionBooks, count
from radiarch_gateway.mailbox import InboxRow
from radiarch_gateway.places import Place, move_on, place_of

REMEMBERED: Final = timedelta(days=91)
"""Longer than the event stream keeps anything."""
AGAIN_S: Final = 1.0
LOOK_S: Final = 2.0
"""A gateway whose place did not move for so long, while there is something to count, has gone."""
TRIES: Final = 3

log = get_logger(__name__)


class OvertakenError(RadiarchError):
    """Another gateway has counted meanwhile."""


@dataclass(frozen=True)
class Heard:
    """An event as it came; no event: what came cannot be read."""

    event: Event | None
    event_id: str
    sequence: int


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
        """Count until cancelled."""
        await self._forget_old()
        overtaken = False
        while True:
            try:
                if overtaken:
                    await self._stand_by()
                    overtaken = False
                await self._count_from(await self._link.bus())
            except OvertakenError:
                overtaken = True
            except BUS_ERRORS as error:
                log.warning("events are not to be had; trying again", error=str(error) or type(error).__name__)
                await asyncio.sleep(AGAIN_S)
            except SQLAlchemyError as error:
                log.warning("events wait for the database", error=type(error).__name__)
                await asyncio.sleep(AGAIN_S)

    async def _count_from(self, bus: Bus) -> None:
        at = await asyncio.to_thread(self._place)
        stream = await stream_now(bus)
        after = at.sequence if at is not None and at.made_at == stream.made_at else 0
        if after > stream.last:
            log.warning("the event stream ends before what was counted: it is read again", counted=after)
            after = 0
        async with aclosing(events_after(bus, after)) as batches:
            async for messages in batches:
                heard = [self._read(message) for message in messages]
                at = await self._take(bus, at, heard, stream.made_at)

    def _read(self, message: Msg) -> Heard:
        sequence = message.metadata.sequence.stream
        event_id = event_id_of(message.headers, sequence)
        try:
            return Heard(read_event(message.data), event_id, sequence)
        except ValidationError as error:
            self.unreadable += 1
            log.error("unreadable event", subject=message.subject, errors=error.error_count())
            return Heard(None, event_id, sequence)

    async def _take(self, bus: Bus, at: Place | None, heard: Sequence[Heard], made_at: datetime) -> Place:
        """Count events together; where one of them makes that impossible, each alone."""
        for tries in range(1, TRIES + 1):
            try:
                return await self._count_and_erase(bus, at, heard, made_at)
            except (StatementError, OverflowError) as error:
                if not _is_for_what_was_said(error):
                    raise
                if len(heard) > 1:
                    break
                # A race with another writer passes; data that the database cannot hold do not.
                log.error("event not counted", event_id=heard[0].event_id, error=type(error).__name__, tries=tries)
                await asyncio.sleep(AGAIN_S)
        else:
            self.unreadable += 1
            return await self._count_and_erase(bus, at, [replace(heard[0], event=None)], made_at)
        for one in heard:
            at = await self._take(bus, at, [one], made_at)
        return cast("Place", at)

    async def _count_and_erase(self, bus: Bus, at: Place | None, heard: Sequence[Heard], made_at: datetime) -> Place:
        """What is said of a job that was erased is overwritten, as all that was said of it before.

        Until that is done, the place stays before it: a gateway that comes after one that died meanwhile finds it.
        """
        counted = await asyncio.to_thread(self.count, at, heard, made_at)
        self.unreadable += counted.count(Counted.UNKNOWN)
        place = Place(made_at, _done(heard, counted))
        if Counted.ERASED not in counted:
            return place
        left: list[Heard] = []
        for one, what in zip(heard, counted, strict=True):
            if what is Counted.ERASED:
                await bus.erase(EVENTS, one.sequence)
            left.append(one if what is not Counted.ERASED else replace(one, event=None))
        return await self._count_and_erase(bus, place, left, made_at)

    def count(self, at: Place | None, heard: Sequence[Heard], made_at: datetime) -> list[Counted]:
        """Count events, each once, in one transaction that moves the database on from a place.

        Raises
        ------
        OvertakenError
            If the database is at another place by now; nothing is counted.
        """
        with self._database.writing() as session:
            if place_of(session, to_change=True) != at:
                raise OvertakenError("another gateway has counted meanwhile")
            books = SessionBooks(session)
            told = [(one.event.job_id, one.event_id) for one in heard if one.event is not None]
            books.look_up({job_id for job_id, _ in told}, {event_id for _, event_id in told})
            counted = [_count(books, one) for one in heard]
            move_on(session, Place(made_at, _done(heard, counted)))
        return counted

    def _place(self) -> Place | None:
        with self._database.reading() as session:
            return place_of(session)

    async def _stand_by(self) -> None:
        """Returns when nobody else counts: there is something to count, and the place does not move."""
        log.info("another gateway counts the events")
        before = await asyncio.to_thread(self._place)
        while True:
            await asyncio.sleep(LOOK_S)
            stream = await stream_now(await self._link.bus())
            now = await asyncio.to_thread(self._place)
            if now == before and now != Place(stream.made_at, stream.last):
                log.info("nobody else counts the events")
                return
            before = now

    async def _forget_old(self) -> None:
        try:
            await asyncio.to_thread(self._prune)
        except SQLAlchemyError as error:
            log.warning("inbox not pruned", error=type(error).__name__)

    def _prune(self) -> None:
        with self._database.writing() as session:
            session.exec(delete(InboxRow).where(col(InboxRow.received_at) < utc_now() - REMEMBERED))


def _done(heard: Sequence[Heard], counted: Sequence[Counted]) -> int:
    """How far events are counted: up to the first that is still to be erased."""
    late = (one.sequence - 1 for one, what in zip(heard, counted, strict=True) if what is Counted.ERASED)
    return next(late, heard[-1].sequence)


def _is_for_what_was_said(error: StatementError | OverflowError) -> bool:
    """Whether it is an event that the database refuses; else the database is not to be had, which passes.

    Numbers that are too large are refused by SQLite's driver before it asks, and in a word of Python's own.
    """
    return isinstance(error, DataError | IntegrityError | OverflowError) or type(error) is StatementError


def _count(books: SessionBooks, one: Heard) -> Counted:
    if one.event is None:
        return Counted.DONE
    counted = count(books, one.event, one.event_id, one.sequence)
    if counted is Counted.UNKNOWN:
        log.warning("event of an unknown job", job_id=one.event.job_id, stage=one.event.stage, kind=one.event.kind)
    return counted


def read_event(data: bytes) -> Event:
    """An event as every teller of events reads it. Raises ValidationError."""
    return EVENT.validate_json(data.replace(b"\\u0000", b"\\u0020"))  # PostgreSQL's text has no NUL


def event_id_of(headers: dict[str, str] | None, sequence: int) -> str:
    """What tells an event from another: its message id, else its place in the stream."""
    return (headers or {}).get("Nats-Msg-Id") or f"EVENTS:{sequence}"
