"""The bus goes and comes: plans and cancels are taken meanwhile, and reach it; nothing is lost or doubled."""

import asyncio
import signal
from typing import Any

import httpx
from fastapi import FastAPI
from radiarch_common.catalogue import Catalogue
from radiarch_common.messages import Cancelled, utc_now
from radiarch_common.settings import Settings
from radiarch_common.topology import CANCEL, EVENTS, JOBS, bootstrap
from radiarch_gateway.app import create_app
from radiarch_gateway.bootstrap import Gateway
from radiarch_gateway.bus import Link
from radiarch_gateway.mailbox import OutboxRow
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from radiarch_testkit.jobs import import_job
from sqlmodel import select


async def test_plans_are_taken_while_the_bus_is_down(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand, nats_server: EmbeddedNats
) -> None:
    """The job waits and says so; a cancel is taken too; after the restart both are on the bus, once."""
    nats_server.stop(signal.SIGKILL)
    await until(lambda: http.get("/api/v1/info"), lambda a: not a.json()["reachable"]["bus"]["ok"])
    first = (await http.post("/api/v1/plans", json=body)).json()["id"]
    second = (await http.post("/api/v1/plans", json=body)).json()["id"]
    waiting = (await http.get(f"/api/v1/jobs/{first}")).json()
    assert waiting["state"] == "queued"
    assert "waiting for the message bus" in waiting["message"]
    assert (await http.get("/health/ready")).status_code == 200
    cancelled = await http.delete(f"/api/v1/plans/{second}")
    assert (cancelled.status_code, cancelled.json()["state"]) == (202, "cancelled")

    nats_server.start()
    await until(lambda: http.get(f"/api/v1/jobs/{first}"), lambda a: "importer" in a.json()["message"])
    await until(lambda: stage_hand.bus.is_cancelled(second), bool)
    js = stage_hand.bus.js
    assert (await js.stream_info(JOBS)).state.messages == 1
    headers = (await js.get_last_msg(JOBS, f"jobs.import.{first}")).headers or {}
    assert headers["Nats-Msg-Id"] == f"{first}:1:importer"
    closing = await until(lambda: _last_kind(stage_hand, second), bool)
    assert closing == f"events.{second}.gateway.cancelled"
    await stage_hand.say(first, "importer", "started")
    await until(lambda: http.get(f"/api/v1/jobs/{first}"), lambda a: a.json()["state"] == "running")


async def test_a_job_taken_by_a_gateway_that_died_is_handed_over_by_the_next(
    body: dict[str, Any],
    stage_hand: StageHand,
    nats_server: EmbeddedNats,
    settings: Settings,
    catalogue: Catalogue,
) -> None:
    """What was answered with 202 is in the database, not in a process; its key still names it."""
    await stage_hand.offer(catalogue)
    key = {"Idempotency-Key": "kept"}
    with served(create_app(settings)) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            await until(lambda: client.get("/api/v1/info"), lambda a: a.json()["workflows"])
            nats_server.stop(signal.SIGKILL)
            taken = await client.post("/api/v1/plans", json=body, headers=key)
            assert taken.status_code == 202
    with served(create_app(settings)) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            again = await client.post("/api/v1/plans", json=body, headers=key)
            assert (again.status_code, again.json()) == (202, taken.json())
            nats_server.start()
            job_url = taken.json()["job"]["url"]
            await until(lambda: client.get(job_url), lambda a: "importer" in a.json()["message"])


async def test_events_said_during_a_restart_are_heard(
    http: httpx.AsyncClient,
    body: dict[str, Any],
    stage_hand: StageHand,
    nats_server: EmbeddedNats,
    settings: Settings,
) -> None:
    """The gateway reads on from its place after a killed server, also when the stream was made anew.

    A stream that is made anew counts from 1 again: fails if what a gateway has counted before keeps it from hearing.
    """
    job_id = (await http.post("/api/v1/plans", json=body)).json()["id"]
    await stage_hand.say(job_id, "importer", "started")
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "running")
    nats_server.stop(signal.SIGKILL)
    nats_server.start()
    await stage_hand.say(job_id, "planner", "started")
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["stage"] == "planner")
    await stage_hand.bus.js.delete_stream(EVENTS)
    await bootstrap(stage_hand.bus.client, settings)
    await stage_hand.say(job_id, "exporter", "started")
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["stage"] == "exporter")


async def test_what_cannot_be_read_is_counted_and_passed(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand
) -> None:
    """A message of a later version, or garbage, does not keep later events from being heard."""
    job_id = (await http.post("/api/v1/plans", json=body)).json()["id"]
    for data in (b"\xff{", b'{"version": 2, "kind": "started"}'):
        await stage_hand.bus.js.publish(f"events.{job_id}.importer.started", data, stream=EVENTS)
    await stage_hand.say("0" * 12, "importer", "started")
    await stage_hand.say(job_id, "importer", "started")
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "running")
    assert (await http.get("/api/v1/info")).json()["unreadable_events"] == 3


async def test_cancel_tells_the_stages_and_can_be_repeated(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand
) -> None:
    """Bucket and wire both say it; a second request changes nothing; the stage's word ends the job."""
    job_id = (await http.post("/api/v1/plans", json=body)).json()["id"]
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: "importer" in a.json()["message"])
    await stage_hand.say(job_id, "planner", "started")
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["stage"] == "planner")
    wire = await stage_hand.bus.client.subscribe(f"control.cancel.{job_id}")
    await stage_hand.bus.client.flush()
    asked = await http.post(f"/api/v1/jobs/{job_id}/cancel")
    assert (asked.status_code, asked.json()["state"]) == (202, "running")
    assert asked.json()["cancel_requested"]
    await wire.next_msg(timeout=20)
    assert await stage_hand.bus.is_cancelled(job_id)
    revision = (await (await stage_hand.bus.bucket(CANCEL)).get(job_id)).revision
    assert (await http.post(f"/api/v1/jobs/{job_id}/cancel")).status_code == 202
    await stage_hand.say(job_id, "planner", "cancelled")
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "cancelled")
    assert (await http.delete(f"/api/v1/plans/{job_id}")).status_code == 202
    assert (await (await stage_hand.bus.bucket(CANCEL)).get(job_id)).revision == revision


async def test_a_job_that_no_stage_has_begun_is_cancelled_at_once(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand
) -> None:
    """No importer is there. Fails if a queued job is cancelled only when its turn comes."""
    job_id = (await http.post("/api/v1/plans", json=body)).json()["id"]
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: "importer" in a.json()["message"])
    assert await stage_hand.bus.waiting_job("importer", job_id) is not None
    await http.post(f"/api/v1/jobs/{job_id}/cancel")
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "cancelled")


async def test_what_an_older_gateway_left_is_sent_and_not_taken_for_a_cancel(
    app: FastAPI, http: httpx.AsyncClient, stage_hand: StageHand
) -> None:
    """Of a version before, which may run beside this one: its rows bear neither address nor message id.

    Fails if the job is cancelled, if an event is not told, or if either could be sent twice under two ids.
    """
    job = import_job("c" * 12)
    event = Cancelled(job_id="d" * 12, run=1, stage="gateway", attempt=0, at=utc_now())
    rows = [
        OutboxRow(errand="job", job_id=job.job_id, payload=job.model_dump_json(), created_at=utc_now()),
        OutboxRow(errand="event", job_id=event.job_id, payload=event.model_dump_json(), created_at=utc_now()),
    ]
    gateway: Gateway = app.state.gateway
    with gateway.database.writing() as session:
        session.add_all(rows)
    gateway.relay.wake()

    async def left() -> int:
        with gateway.database.reading() as session:
            return len(session.exec(select(OutboxRow)).all())

    await until(left, lambda count: count == 0)
    js = stage_hand.bus.js
    sent = await js.get_last_msg(JOBS, f"jobs.import.{job.job_id}")
    assert ((sent.data or b"").decode(), (sent.headers or {})["Nats-Msg-Id"]) == (
        job.model_dump_json(),
        f"{job.job_id}:1:importer",
    )
    told = await js.get_last_msg(EVENTS, f"events.{event.job_id}.gateway.cancelled")
    assert (told.headers or {})["Nats-Msg-Id"] == f"{event.job_id}:1:gateway:0:gateway-cancelled"
    assert not any([await stage_hand.bus.is_cancelled(job_id) for job_id in (job.job_id, event.job_id)])


async def test_a_connection_closed_for_good_ends_what_keeps_it(settings: Settings) -> None:
    """The gateway ends with it, and is started again.

    Fails if it goes on without a bus for ever: plans would be taken, and none handed over.
    """
    link = Link(settings)
    keeping = asyncio.create_task(link.keep())
    await (await link.bus()).client.close()  # what the client does itself when the server refuses it
    async with asyncio.timeout(HANG_S):
        await keeping
    assert not link.up


async def test_what_has_ended_cannot_be_cancelled(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand
) -> None:
    """A plan that is ready stays ready; nobody is told to stop."""
    job_id = (await http.post("/api/v1/plans", json=body)).json()["id"]
    await stage_hand.say(job_id, "exporter", "finished")
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "succeeded")
    refused = await http.post(f"/api/v1/jobs/{job_id}/cancel")
    assert refused.status_code == 409
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert not await stage_hand.bus.is_cancelled(job_id)


async def _last_kind(stage_hand: StageHand, job_id: str) -> str:
    found = (await stage_hand.bus.js.stream_info(EVENTS, subjects_filter=f"events.{job_id}.>")).state.subjects
    return next(iter(found or {}), "")
