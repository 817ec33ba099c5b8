"""Server-sent events: what a viewer sees, across breaks of its line and of the bus."""

import asyncio
import json
import signal
from dataclasses import dataclass
from typing import Any

import httpx
from radiarch_common.topology import EVENTS
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_testkit.gateway import StageHand, until

STEPS = 40


@dataclass(frozen=True)
class Seen:
    """One event as it came."""

    id: str
    kind: str
    data: dict[str, Any]


async def _follow(
    http: httpx.AsyncClient, job_id: str, *, after: str | None = None, stop: int | None = None
) -> list[Seen]:
    """Events until the stream ends, or so many."""
    headers = {} if after is None else {"Last-Event-ID": after}
    seen: list[Seen] = []
    fields: dict[str, str] = {}
    async with http.stream("GET", f"/api/v1/jobs/{job_id}/events", headers=headers) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields:
                seen.append(Seen(fields["id"], fields["event"], json.loads(fields["data"])))
                fields = {}
                if len(seen) == stop:
                    break
    return seen


async def _job(http: httpx.AsyncClient, body: dict[str, Any]) -> str:
    """A job whose request is in the stream, so that what a stage says comes after it."""
    job_id = (await http.post("/api/v1/plans", json=body)).json()["id"]
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["queued_for"] == "importer")
    return job_id


async def _work(stage_hand: StageHand, job_id: str) -> None:
    await stage_hand.say(job_id, "planner", "started")
    for step in range(STEPS):
        await stage_hand.say(job_id, "planner", "progress", progress=step / STEPS, message=f"step {step}")
        await stage_hand.say("f" * 12, "planner", "started")  # another job's events are not shown
    await stage_hand.say(job_id, "exporter", "finished")


async def test_every_event_once_across_breaks(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand
) -> None:
    """A viewer whose line breaks again and again while the job runs misses nothing and sees nothing twice."""
    job_id = await _job(http, body)
    working = asyncio.create_task(_work(stage_hand, job_id))
    seen: list[Seen] = []
    while not seen or seen[-1].data["stage"] != "exporter":
        seen += await _follow(http, job_id, after=seen[-1].id if seen else None, stop=7)
    await working
    assert [event.kind for event in seen] == ["requested", "started", *["progress"] * STEPS, "finished"]
    assert [e.data["message"] for e in seen[2:-1]] == [f"step {step}" for step in range(STEPS)]
    places = [int(event.id) for event in seen]
    assert places == sorted(set(places))


async def test_the_stream_ends_with_the_job_and_is_told_again_to_who_comes_late(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand
) -> None:
    """The whole course is there after the end; who has it all is told not to come back."""
    job_id = await _job(http, body)
    await _work(stage_hand, job_id)
    seen = await _follow(http, job_id)
    assert (len(seen), seen[-1].kind) == (STEPS + 3, "finished")
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "succeeded")
    again = await http.get(f"/api/v1/jobs/{job_id}/events", headers={"Last-Event-ID": seen[-1].id})
    assert (again.status_code, again.content) == (204, b"")


async def test_the_last_word_of_a_worker_that_was_fenced_off_does_not_end_the_stream(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand
) -> None:
    """The job goes on in its second attempt; so does the stream."""
    job_id = await _job(http, body)
    await stage_hand.say(job_id, "planner", "started", attempt=2)
    await stage_hand.say(job_id, "planner", "failed", attempt=1, refused=False, reason="late")
    await stage_hand.say(job_id, "exporter", "finished")
    seen = await _follow(http, job_id)
    assert [event.kind for event in seen] == ["requested", "started", "failed", "finished"]


async def test_a_viewer_outlives_a_killed_bus(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand, nats_server: EmbeddedNats
) -> None:
    """The open stream goes on after the server came back, without a gap or a repeat."""
    job_id = await _job(http, body)
    await stage_hand.say(job_id, "planner", "started")
    following = asyncio.create_task(_follow(http, job_id))
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "running")
    nats_server.stop(signal.SIGKILL)
    nats_server.start()
    await stage_hand.say(job_id, "planner", "progress", progress=0.5, message="half")
    await stage_hand.say(job_id, "planner", "failed", refused=False, reason="Enough.")
    assert [event.kind for event in await following] == ["requested", "started", "progress", "failed"]


async def test_a_job_whose_events_are_no_longer_kept_ends_its_stream(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand
) -> None:
    """Months later the events are gone; the stream closes instead of staying open for ever."""
    job_id = await _job(http, body)
    await stage_hand.say(job_id, "exporter", "finished")
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "succeeded")
    await stage_hand.bus.js.purge_stream(EVENTS)
    assert await _follow(http, job_id) == []
