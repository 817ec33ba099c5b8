"""Events of jobs as server-sent events, from the stream itself: no gap, no repeat."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi.sse import ServerSentEvent
from radiarch_common.bus import BUS_ERRORS
from radiarch_common.errors import RadiarchError
from radiarch_common.messages import STAGES, Cancelled, Event, Failed, Finished
from radiarch_common.telemetry import get_logger
from sqlmodel import select

from radiarch_gateway.auth.standing import Standing
from radiarch_gateway.db import Database
from radiarch_gateway.hub import AGAIN_S, Course, Hub, Said
from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.mailbox import OutboxRow
from radiarch_gateway.plans.models import PlanRow

QUIET_S = 2.0
LONGEST_QUIET_S = 30.0
"""A stream in which nothing happens is looked after ever less often: a thousand of them would keep a gateway busy."""
MOST_KNOWN = 10_000
"""Jobs whose clinic one stream remembers."""

log = get_logger(__name__)


class StreamOverError(RadiarchError):
    """There will be no further event."""


async def follow(
    hub: Hub, database: Database, job_id: str, after: int, standing: Standing
) -> AsyncGenerator[ServerSentEvent]:
    """Events of a job after a place in the stream, until the one that ends it, or the right to see them ends."""
    over = False
    furthest = (0, 0, 0, 0)
    async with aclosing(_told(hub, job_id, after, standing)) as told:
        async for said, _ in told:
            if said is None:
                if over:  # nothing came since the database said that nothing will
                    return
                over = await asyncio.to_thread(_nothing_follows, database, job_id, hub.place)
                continue
            over, event = False, said.event
            yield said.shown
            furthest = max(furthest, event.order)
            # Neither the word of an attempt that was fenced off, nor the end of a run after which another began.
            last = ends(event) and event.order == furthest
            if last and not await asyncio.to_thread(_runs_again, database, job_id, event.run):
                return


async def follow_all(
    hub: Hub, database: Database, clinic_id: str, after: int | None, standing: Standing
) -> AsyncGenerator[ServerSentEvent]:
    """Events of all jobs of a clinic after a place in the stream, or from now on, until the right to see them ends.

    The first line bears no event, but the place: a client whose line breaks before anything has happened goes on from
    there.
    """
    begun = False
    clinics: dict[str, str] = {}
    async with aclosing(_told(hub, None, after, standing)) as told:
        async for said, place in told:
            if said is None:
                if not begun:
                    begun = True
                    yield ServerSentEvent(comment="events follow", id=str(place))
                continue
            job_id = said.event.job_id
            if job_id not in clinics and (found := await asyncio.to_thread(_clinic_of, database, job_id)):
                if len(clinics) >= MOST_KNOWN:
                    clinics.pop(next(iter(clinics)))
                clinics[job_id] = found
            if clinics.get(job_id) == clinic_id:
                yield said.shown


def ends(event: Event) -> bool:
    """Whether a job is over with this event."""
    return isinstance(event, Failed | Cancelled) or (isinstance(event, Finished) and event.stage == STAGES[-1])


async def _told(
    hub: Hub, job_id: str | None, after: int | None, standing: Standing
) -> AsyncGenerator[tuple[Said | None, int]]:
    """Events with their places, across breaks of the bus; ``None`` at first, and now and then while nothing comes."""
    last = after
    while not await standing.ended():
        try:
            async with hub.course(job_id) as course:
                last = await hub.resume(last)
                yield None, last
                async with aclosing(_of_course(hub, course, last, standing)) as told:
                    async for said, last in told:
                        yield said, last
                if course.over:
                    last = 0
        except BUS_ERRORS as error:
            log.info("viewer waits for the bus", job_id=job_id, error=str(error) or type(error).__name__)
            await asyncio.sleep(AGAIN_S)


async def _of_course(
    hub: Hub, course: Course, last: int, standing: Standing
) -> AsyncGenerator[tuple[Said | None, int]]:
    quiet_s = QUIET_S
    while not await standing.ended():
        since = course.since
        if since is not None and last < since:
            async with aclosing(hub.before(last, since)) as before:
                async for said in before:
                    yield said, said.place
            last = since
        elif new := course.after(last):
            for said in new:
                yield said, said.place
            last, quiet_s = new[-1].place, QUIET_S
        elif course.over:
            return
        elif not await course.news(quiet_s):
            quiet_s = min(2 * quiet_s, LONGEST_QUIET_S)
            yield None, last


def _clinic_of(database: Database, job_id: str) -> str | None:
    with database.reading() as session:
        return session.exec(select(PlanRow.clinic_id).where(PlanRow.id == job_id)).first()


def _runs_again(database: Database, job_id: str, run: int) -> bool:
    """Whether a later run was begun; it is in the database before anybody can hear of it."""
    with database.reading() as session:
        row = session.get(JobRow, job_id)
    return row is not None and row.run > run


def _nothing_follows(database: Database, job_id: str, place: int) -> bool:
    """Whether everything about a job has been said on the bus, and the hub has heard it.

    Its events may be too old to be kept there.
    """
    with database.reading() as session:
        row = session.get(JobRow, job_id)
        unsent = session.exec(select(OutboxRow).where(OutboxRow.job_id == job_id)).first()
    return row is None or (JobState(row.state).final and unsent is None and row.last_sequence <= place)
