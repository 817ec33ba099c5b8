"""Where viewers see what happens: one reader of the event stream for all of them, however many there are.

What was said of a job before somebody followed it is read once, and kept as long as somebody follows it.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from fastapi.sse import ServerSentEvent
from nats.aio.msg import Msg
from pydantic import ValidationError
from radiarch_common.bus import BUS_ERRORS
from radiarch_common.messages import EVENT, Event
from radiarch_common.telemetry import get_logger

from radiarch_gateway.bus import Link
from radiarch_gateway.feed import EVERYTHING, Stream, events_after, events_kept, stream_now

AGAIN_S: Final = 0.5
RECENT: Final = 5000
"""Events of all jobs that are kept for those who follow all; who comes back later reads the stream."""
READ_AT_ONCE: Final = 32
"""Viewers that come all at once, as after a restart, wait here rather than run into the bus's time-outs."""
ALL: Final = "*"

log = get_logger(__name__)


@dataclass(frozen=True)
class Said:
    """An event and its place in the stream."""

    event: Event
    place: int

    @cached_property
    def shown(self) -> ServerSentEvent:
        """As viewers get it; written once for all of them."""
        return ServerSentEvent(raw_data=self.event.model_dump_json(), event=self.event.kind, id=str(self.place))


@dataclass
class Course:
    """What was said after a place, in order, and what is said from now on.

    Attributes
    ----------
    since
        Everything after this place is here; ``None`` while what was said before is being read.
    over
        The stream was made anew: nothing is added any more.
    """

    since: int | None = None
    over: bool = False
    viewers: int = 0
    _said: list[Said] = field(default_factory=list[Said])
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def after(self, place: int) -> list[Said]:
        """What is here after a place."""
        return self._said[bisect_right(self._said, place, key=_place) :]

    def add(self, said: Said) -> None:
        """Something was said."""
        self._said.append(said)
        self.wake()

    def begin(self, before: list[Said], up_to: int) -> None:
        """What was said up to a place, from the first event on, is read by now."""
        self.since = 0
        self._said = before + self.after(up_to)
        self.wake()

    def shorten(self, most: int) -> None:
        """Keep the newest only."""
        if len(self._said) > 2 * most:
            self.since = self._said[-most - 1].place
            self._said = self._said[-most:]

    def wake(self) -> None:
        """Have whoever waits look again."""
        self._news.set()
        self._news = asyncio.Event()

    async def news(self, within_s: float) -> bool:
        """Whether something was said within a time from now."""
        try:
            async with asyncio.timeout(within_s):
                await self._news.wait()
        except TimeoutError:
            return False
        return True


class Hub:
    """Reads the stream for ever, and tells the courses that somebody follows."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._stream: Stream | None = None
        """As it was when the hub came to it, its ``last`` moved on to what was told since."""
        self._placed = asyncio.Event()
        self._courses: dict[str, Course] = {}
        self._reading = asyncio.Semaphore(READ_AT_ONCE)

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            try:
                bus = await self._link.bus()
                async for messages in events_after(bus, self._come_to(await stream_now(bus))):
                    for message in messages:
                        self._tell(message)
            except BUS_ERRORS as error:
                log.info("viewers wait for the bus", error=str(error) or type(error).__name__)
                await asyncio.sleep(AGAIN_S)

    @asynccontextmanager
    async def course(self, job_id: str | None) -> AsyncGenerator[Course]:
        """What is said of a job, from its beginning, or of all from about now. Raises what the bus raises."""
        name = job_id or ALL
        await self._placed.wait()
        course = self._courses.get(name)
        if course is None or course.over:
            course = self._courses[name] = Course(since=self.place if job_id is None else None)
        course.viewers += 1
        try:
            if job_id is not None and course.since is None:
                await self._read_before(course, job_id)
            yield course
        finally:
            course.viewers -= 1
            if not course.viewers and self._courses.get(name) is course and name != ALL:
                del self._courses[name]

    async def before(self, place: int, up_to: int) -> AsyncGenerator[Said]:
        """What was said of all jobs between two places. Raises what the bus raises."""
        bus = await self._link.bus()
        async for message in events_kept(bus, EVERYTHING, place, up_to):
            said = read(message)
            if said is not None:
                yield said

    async def resume(self, place: int | None) -> int:
        """The place to go on from for who has seen everything up to a place of this stream, or nothing of it.

        A place beyond the end is of a stream that was made anew: from its start, then.
        """
        await self._placed.wait()
        if place is None:
            return self.place
        if place <= self.place:
            return place
        return place if place <= (await stream_now(await self._link.bus())).last else 0

    @property
    def place(self) -> int:
        """Of the last event that was told."""
        return self._stream.last if self._stream is not None else 0

    def _come_to(self, stream: Stream) -> int:
        """The place to read on from: the one that was reached, unless the stream is another."""
        if self._stream is None or self._stream.made_at != stream.made_at or self._stream.last > stream.last:
            for course in self._courses.values():
                course.over = True
                course.wake()
            self._courses.clear()
            self._stream = stream
            self._placed.set()
        return self._stream.last

    def _tell(self, message: Msg) -> None:
        if self._stream is not None:
            self._stream = replace(self._stream, last=message.metadata.sequence.stream)
        courses = [self._courses.get(name) for name in (message.subject.split(".")[1], ALL)]
        if not any(courses):
            return
        said = read(message)
        for course in courses:
            if course is not None and said is not None:
                course.add(said)
        if (everything := courses[1]) is not None:
            everything.shorten(RECENT)

    async def _read_before(self, course: Course, job_id: str) -> None:
        async with self._reading:
            if course.since is not None:  # another viewer's
                return
            bus = await self._link.bus()
            up_to = self.place
            kept = events_kept(bus, f"events.{job_id}.*.*", 0, up_to)
            course.begin([said async for message in kept if (said := read(message)) is not None], up_to)


def read(message: Msg) -> Said | None:
    """An event as viewers see it; ``None``: it cannot be read."""
    try:
        return Said(EVENT.validate_json(message.data), message.metadata.sequence.stream)
    except ValidationError:
        log.warning("viewers skip an unreadable event", subject=message.subject)
        return None


def _place(said: Said) -> int:
    return said.place
