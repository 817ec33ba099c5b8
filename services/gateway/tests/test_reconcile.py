"""Jobs that nobody has: found by what lies in the queues, put back, and at last given up."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from nats.js.errors import NotFoundError
from radiarch_common.settings import Settings
from radiarch_common.topology import JOBS
from radiarch_gateway.jobs.judge import Limits, Verdict, suspect
from radiarch_gateway.jobs.models import JobFold
from radiarch_testkit.gateway import StageHand, until

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = Limits(silence=timedelta(minutes=30), stop=timedelta(minutes=4))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A job is lost after a second of silence."""
    return settings.model_copy(update={"lost_after_min": 1 / 60, "ack_wait_s": 1.0, "stop_within_s": 1.0})


@pytest.mark.parametrize(
    ("own", "verdict"),
    [
        ({}, Verdict.PUT_BACK),
        ({"state": "running", "unattended": 1}, Verdict.PUT_BACK),
        ({"unattended": 2}, Verdict.GIVE_UP),
        ({"updated_at": NOW - timedelta(minutes=29)}, Verdict.LEAVE),
        ({"state": "succeeded"}, Verdict.LEAVE),
        ({"state": "failed", "deadline": NOW - timedelta(days=1)}, Verdict.LEAVE),
        ({"deadline": NOW - timedelta(minutes=5), "updated_at": NOW}, Verdict.TOO_LATE),
        ({"deadline": NOW - timedelta(minutes=3), "updated_at": NOW}, Verdict.LEAVE),
        ({"cancel_requested": True}, Verdict.CANCEL),
        ({"cancel_requested": True, "deadline": NOW - timedelta(days=1)}, Verdict.CANCEL),
        ({"cancel_requested": True, "updated_at": NOW - timedelta(minutes=3)}, Verdict.LEAVE),
    ],
)
def test_what_becomes_of_a_silent_job(own: dict[str, Any], verdict: Verdict) -> None:
    """A job that was asked to stop is never begun again; one past its deadline does not wait for a worker to come."""
    common: dict[str, Any] = {
        "created_at": NOW,
        "deadline": NOW + timedelta(hours=1),
        "updated_at": NOW - timedelta(hours=1),
    }
    assert suspect(JobFold(**(common | own)), NOW, LIMITS) is verdict


async def test_a_lost_job_is_put_back_and_the_third_time_given_up(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand
) -> None:
    """Its message vanishes from the queue, again and again; each time one new run goes on where the stages had come to.

    A job that waits in its queue meanwhile is left alone, however long it waits; a person may try the lost one again.
    """
    waiting = (await http.post("/api/v1/plans", json=body)).json()["id"]
    lost = (await http.post("/api/v1/plans", json=body)).json()["id"]
    await _until_queued(stage_hand, f"jobs.import.{lost}", f"{lost}:1:importer")
    await stage_hand.say(lost, "importer", "started")
    await stage_hand.say(lost, "importer", "finished", outputs={"case_key": "cases/a"})
    await stage_hand.bus.js.purge_stream(JOBS, subject=f"jobs.import.{lost}")
    for run in (2, 3):
        found = await _until_queued(stage_hand, f"jobs.plan.{lost}", f"{lost}:{run}:planner")
        assert b'"case_key":"cases/a"' in found
        view = await until(lambda: http.get(f"/api/v1/jobs/{lost}"), lambda a: a.json()["queued_for"] == "planner")
        assert (view.json()["run"], view.json()["state"]) == (run, "queued")
        await stage_hand.bus.js.purge_stream(JOBS, subject=f"jobs.plan.{lost}")
    ended = await until(lambda: http.get(f"/api/v1/jobs/{lost}"), lambda a: a.json()["state"] == "failed")
    assert "lost 3 times" in ended.json()["reason"]
    assert (await http.get(f"/api/v1/jobs/{waiting}")).json()["run"] == 1
    assert (await http.post(f"/api/v1/jobs/{lost}/retry")).status_code == 202
    await _until_queued(stage_hand, f"jobs.import.{lost}", f"{lost}:4:importer")
    again = await http.post(f"/api/v1/jobs/{lost}/retry")
    assert again.status_code == 409


async def test_a_cancel_that_nobody_is_there_to_hear(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand
) -> None:
    """The worker died with the job, and none comes. Fails if the job shows for ever that it is about to stop."""
    job_id = (await http.post("/api/v1/plans", json=body)).json()["id"]
    await _until_queued(stage_hand, f"jobs.import.{job_id}", f"{job_id}:1:importer")
    await stage_hand.bus.js.purge_stream(JOBS, subject=f"jobs.import.{job_id}")
    await stage_hand.say(job_id, "planner", "started")
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["stage"] == "planner")
    assert (await http.post(f"/api/v1/jobs/{job_id}/cancel")).json()["state"] == "running"
    await until(lambda: http.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "cancelled")


async def _until_queued(stage_hand: StageHand, subject: str, message_id: str) -> bytes:
    async def look() -> tuple[str, bytes]:
        try:
            found = await stage_hand.bus.js.get_last_msg(JOBS, subject)
        except NotFoundError:
            return "", b""
        return (found.headers or {}).get("Nats-Msg-Id", ""), found.data or b""

    return (await until(look, lambda found: found[0] == message_id))[1]
