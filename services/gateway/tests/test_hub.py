"""What viewers share: courses without a gap or a repeat, one reader of the stream however many look on."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi.sse import ServerSentEvent
from radiarch_common.messages import Started
from radiarch_common.settings import Settings
from radiarch_common.topology import EVENTS, bootstrap
from radiarch_gateway.auth.caller import LOCAL
from radiarch_gateway.auth.standing import Standing
from radiarch_gateway.bootstrap import end
from radiarch_gateway.bus import Link
from radiarch_gateway.db import Database
from radiarch_gateway.hub import Course, Hub, Said
from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.stream import follow, follow_all
from radiarch_testkit.gateway import HANG_S, StageHand, until
from radiarch_testkit.queued import put_queued_job

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOB = "0" * 12
VIEWERS = 20


def _said(place: int) -> Said:
    return Said(Started(job_id=JOB, run=1, stage="planner", attempt=1, at=NOW), place)


def _places(course: Course, after: int = 0) -> list[int]:
    return [said.place for said in course.after(after)]


def test_what_was_said_while_the_past_was_read_is_there_once() -> None:
    """The hub goes on while a job's past is read: fails if what both have is shown twice, or what came since never."""
    course = Course()
    for place in (5, 8, 9):
        course.add(_said(place))
    course.begin([_said(2), _said(5)], up_to=7)
    assert _places(course) == [2, 5, 8, 9]
    assert _places(course, after=5) == [8, 9]
    assert _places(course, after=6) == [8, 9]
    assert _places(course, after=9) == []


def test_what_is_cut_off_is_known_to_be() -> None:
    """Everything after ``since`` is there: fails if a viewer who comes back would miss an event in between."""
    course = Course(since=0)
    for place in range(1, 30):
        course.add(_said(place))
        course.shorten(5)
        assert course.since is not None
        assert _places(course, course.since) == list(range(course.since + 1, place + 1))
        assert len(_places(course)) <= 2 * 5
    assert (course.since or 0) >= 15


async def test_who_waits_is_woken() -> None:
    """By anything new, at once; else the time is over."""
    course = Course(since=0)
    waiting = asyncio.create_task(course.news(HANG_S))
    await asyncio.sleep(0)
    course.add(_said(1))
    assert await waiting
    assert not await course.news(0.01)


@pytest.fixture
async def hub(settings: Settings, stage_hand: StageHand) -> AsyncIterator[Hub]:
    """A hub on the real bus."""
    link = Link(settings)
    hub = Hub(link)
    tasks = [asyncio.create_task(link.keep()), asyncio.create_task(hub.run())]
    yield hub
    for task in reversed(tasks):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_stream_that_is_made_anew_ends_its_courses(hub: Hub, settings: Settings, stage_hand: StageHand) -> None:
    """Places count from 1 again. Fails if a viewer waits for ever, or takes old places for new ones."""
    await stage_hand.say(JOB, "planner", "started")
    async with hub.course(JOB) as course, hub.course(None) as everything:
        assert _places(course) == [1]
        await stage_hand.bus.js.delete_stream(EVENTS)
        await bootstrap(stage_hand.bus.client, settings)
        await until(lambda: asyncio.sleep(0, course.over and everything.over), bool)
    assert await hub.resume(1) == 0
    await stage_hand.say(JOB, "planner", "started")
    async with hub.course(JOB) as course:
        await until(lambda: asyncio.sleep(0, _places(course)), lambda places: places == [1])


async def test_a_place_that_this_gateway_has_not_come_to_yet_is_kept(hub: Hub, stage_hand: StageHand) -> None:
    """A viewer comes from another gateway, which was quicker. Fails if everything is shown to it once more."""
    for _ in range(3):
        await stage_hand.say(JOB, "planner", "started")
    assert await hub.resume(3) == 3
    assert await hub.resume(4) == 0
    await until(lambda: asyncio.sleep(0, hub.place), lambda place: place == 3)
    assert await hub.resume(None) == 3
    assert await hub.resume(2) == 2
    assert [said.place async for said in hub.before(1, 3)] == [2, 3]


class CountedStanding(Standing):
    """The right to go on, for ever; counts how often a viewer looked, which it does when nothing came for a while."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, LOCAL, 3600.0)
        self.looks = 0

    async def ended(self) -> bool:
        self.looks += 1
        return await super().ended()


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """With one job that runs."""
    database = Database(settings.database_url)
    database.migrate()
    with database.writing() as session:
        put_queued_job(session, JOB, NOW)
    yield database
    database.close()


async def _say(stage_hand: StageHand, *messages: str) -> None:
    for message in messages:
        await stage_hand.say(JOB, "planner", "progress", progress=0.5, message=message)


def _message(event: ServerSentEvent) -> str:
    return json.loads(event.raw_data or "{}").get("message", "")


async def test_a_slow_viewer_of_all_misses_nothing(
    hub: Hub, database: Database, stage_hand: StageHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is shown what was said before, more is said than the hub keeps.

    Fails if the viewer goes on from where the hub has come to meanwhile, and not from where it stands itself.
    """
    monkeypatch.setattr("radiarch_gateway.hub.RECENT", 5)
    said = [f"step {number}" for number in range(60)]
    await _say(stage_hand, *said[:10])
    await until(lambda: asyncio.sleep(0, hub.place), lambda place: place == 10)
    seen: list[str] = []
    async with (
        asyncio.timeout(HANG_S),
        aclosing(follow_all(hub, database, LOCAL.clinic_id, 0, CountedStanding(database))) as events,
    ):
        async for event in events:
            if event.raw_data is not None:
                seen.append(_message(event))
            if len(seen) == 3:
                await _say(stage_hand, *said[10:])
                await until(lambda: asyncio.sleep(0, hub.place), lambda place: place == 60)
            if seen and seen[-1] == said[-1]:
                break
    assert seen == said


async def test_a_viewer_that_stays_sees_all_of_the_old_stream_and_of_the_new(
    hub: Hub, database: Database, settings: Settings, stage_hand: StageHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is slow: meanwhile something was said, the stream was made anew, and more was said.

    Fails if what the hub was told last of the old stream is not shown, or if the new one is shown only from the place
    that the viewer had reached in the old one.
    """
    monkeypatch.setattr("radiarch_gateway.feed.QUIET_S", 0.1)
    old, new = [f"old {n}" for n in range(4)], [f"new {n}" for n in range(6)]
    await _say(stage_hand, old[0])
    seen: list[str] = []
    async with (
        asyncio.timeout(HANG_S),
        hub.course(JOB) as course,
        aclosing(follow(hub, database, JOB, 0, CountedStanding(database))) as events,
    ):
        async for event in events:
            seen.append(_message(event))
            if len(seen) == 1:
                await _say(stage_hand, *old[1:])
                await until(lambda: asyncio.sleep(0, hub.place), lambda place: place == len(old))
                await stage_hand.bus.js.delete_stream(EVENTS)
                await bootstrap(stage_hand.bus.client, settings)
                await until(lambda: asyncio.sleep(0, course.over), bool)
                await _say(stage_hand, *new)
                await until(lambda: asyncio.sleep(0, hub.place), lambda place: place == len(new))
            if seen[-1] == new[-1]:
                break
    assert seen == old + new


async def test_a_viewers_stream_does_not_end_while_the_hub_is_behind(
    settings: Settings, database: Database, stage_hand: StageHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another gateway has counted the end of the job; this one's reader waits for the bus.

    Fails if the viewer is told that the stream is over, and never what ended the job.
    """
    monkeypatch.setattr("radiarch_gateway.stream.QUIET_S", 0.05)
    link = Link(settings)
    hub, standing = Hub(link), CountedStanding(database)
    keeping, reading = asyncio.create_task(link.keep()), asyncio.create_task(hub.run())
    seen: list[str | None] = []

    async def look_on() -> None:
        async with aclosing(follow(hub, database, JOB, 0, standing)) as events:
            async for event in events:
                seen.append(event.event)

    viewer = asyncio.create_task(look_on())
    await stage_hand.say(JOB, "planner", "started")
    await until(lambda: asyncio.sleep(0, seen), lambda seen: seen == ["started"])
    await end(reading)
    await stage_hand.say(JOB, "exporter", "finished")
    with database.writing() as session:
        session.add(session.get_one(JobRow, JOB).sqlmodel_update({"state": JobState.SUCCEEDED, "last_sequence": 2}))
    looks = standing.looks
    await until(lambda: asyncio.sleep(0, viewer.done() or standing.looks > looks + 3), bool)
    assert not viewer.done()
    reading = asyncio.create_task(hub.run())
    async with asyncio.timeout(HANG_S):
        await viewer
    assert seen == ["started", "finished"]
    await end(reading)
    await end(keeping)


async def test_however_many_look_on_the_stream_is_read_once(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand
) -> None:
    """By the one who counts, and for all viewers. Fails if each viewer has a consumer, or one is left behind."""
    job_id = (await http.post("/api/v1/plans", json=body)).json()["id"]
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["queued_for"] == "importer")

    async def look_on() -> int:
        answer = await http.get(f"/api/v1/jobs/{job_id}/events")
        return answer.text.count("data:")

    viewers = [asyncio.create_task(look_on()) for _ in range(VIEWERS)]

    async def consumers() -> int:
        return (await stage_hand.bus.js.stream_info(EVENTS)).state.consumer_count

    await stage_hand.say(job_id, "planner", "started")
    await until(consumers, lambda count: count == 2)
    await stage_hand.say(job_id, "planner", "failed", refused=False, reason="Enough.")
    assert await asyncio.gather(*viewers) == [3] * VIEWERS
