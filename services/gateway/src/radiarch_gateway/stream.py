"""A job's events as server-sent events, from the stream itself: no gap, no repeat."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi.sse import ServerSentEvent
from nats.aio.msg import Msg
from pydantic import ValidationError
from radiarch_common.bus import BUS_ERRORS
from radiarch_common.errors import RadiarchError
from radiarch_common.messages import EVENT, STAGES, Cancelled, Event, Failed, Finished
from radiarch_common.telemetry import get_logger
from sqlmodel import select

from radiarch_gateway.bus import AGAIN_S, Link, next_message
from radiarch_gateway.db import Database
from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.mailbox import OutboxRow

QUIET_S = 2.0

log = get_logger(__name__)


class StreamOverError(RadiarchError):
    """There will be no further event."""


async def follow(link: Link, database: Database, job_id: str, after: int) -> AsyncGenerator[ServerSentEvent]:
    """Events of a job after a place in the stream, until the one that ends it."""
    last = after
    over = False
    furthest = (0, 0, 0, 0)
    while True:
        try:
            async with aclosing(_from(link, job_id, last)) as messages:
                async for message in messages:
                    if message is None:
                        if over:  # nothing came since the database said that nothing will
                            return
                        over = await asyncio.to_thread(_nothing_follows, database, job_id)
                        continue
                    last = message.metadata.sequence.stream
                    event = _read(message)
                    if event is None:
                        continue
                    yield ServerSentEvent(raw_data=event.model_dump_json(), event=event.kind, id=str(last))
                    furthest = max(furthest, event.order)
                    if ends(event) and event.order == furthest:  # not the word of an attempt that was fenced off
                        return
        except BUS_ERRORS as error:
            log.info("viewer waits for the bus", job_id=job_id, error=str(error) or type(error).__name__)
            await asyncio.sleep(AGAIN_S)


def ends(event: Event) -> bool:
    """Whether a job is over with this event."""
    return isinstance(event, Failed | Cancelled) or (isinstance(event, Finished) and event.stage == STAGES[-1])


async def _from(link: Link, job_id: str, after: int) -> AsyncGenerator[Msg | None]:
    async with link.job_events(job_id, after) as subscription:
        while True:
            yield await next_message(subscription, QUIET_S)


def _read(message: Msg) -> Event | None:
    try:
        return EVENT.validate_json(message.data)
    except ValidationError:
        log.warning("viewer skips an unreadable event", subject=message.subject)
        return None


def _nothing_follows(database: Database, job_id: str) -> bool:
    """Whether everything about a job has been said on the bus; its events may be too old to be kept there."""
    with database.reading() as session:
        row = session.get(JobRow, job_id)
        unsent = session.exec(select(OutboxRow).where(OutboxRow.job_id == job_id)).first()
    return row is None or (JobState(row.state).final and unsent is None)
