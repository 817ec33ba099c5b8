"""Places in a queue, and when a job will begin: told from what is known, and not told otherwise."""

from typing import Any

import httpx
import pytest
from radiarch_common.topology import WORKERS
from radiarch_gateway.jobs.queue import Place, Waiting, left_of, places
from radiarch_gateway.jobs.waiting import Durations
from radiarch_testkit.gateway import StageHand, until

QUEUE = (Waiting("a", "small"), Waiting("b", "large"), Waiting("c", "small"))
SECONDS = {"small": 10.0, "large": 100.0}


@pytest.mark.parametrize(
    ("running", "workers", "starts"),
    [
        ([], 1, [0.0, 10.0, 110.0]),
        ([5.0], 1, [5.0, 15.0, 115.0]),
        ([5.0], 2, [0.0, 5.0, 10.0]),
        ([50.0, 7.0], 2, [7.0, 17.0, 50.0]),
        ([None], 1, [None, None, None]),
        ([None], 2, [0.0, 10.0, 110.0]),
        ([50.0, 7.0], 1, [50.0, 60.0, 160.0]),
        ([], 0, [None, None, None]),
    ],
)
def test_each_worker_takes_the_next(running: list[float | None], workers: int, starts: list[float | None]) -> None:
    """Counted by hand. Nothing is told without a worker, or behind a job of which nothing is known."""
    found = places(QUEUE, running, workers, SECONDS.get)
    assert [found[job.id] for job in QUEUE] == [Place(n, start) for n, start in enumerate(starts, start=1)]


def test_what_was_never_measured_is_not_told() -> None:
    """The first of its kind begins at once; what stands behind it does so nobody knows when."""
    found = places(QUEUE, [], 1, {"small": 10.0}.get)
    assert [found[job.id].start_eta_seconds for job in QUEUE] == [0.0, 10.0, None]


def test_durations_are_medians_of_the_workflow_else_of_all() -> None:
    """One that hung does not make every later one late."""
    durations = Durations([("small", 1.0), ("small", 2.0), ("small", 900.0), ("large", 50.0)])
    assert (durations.of("small"), durations.of("large"), durations.of("new")) == (2.0, 50.0, 26.0)
    assert Durations([]).of("small") is None
    assert (left_of(10.0, 4.0), left_of(10.0, 11.0), left_of(None, 1.0)) == (6.0, None, None)


async def test_jobs_know_their_place(http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand) -> None:
    """From the queue of the real bus: the first begins at once, when a worker is there; filters find them."""
    ids = [(await http.post("/api/v1/plans", json=body)).json()["id"] for _ in range(3)]
    last = (await until(lambda: http.get(f"/api/v1/jobs/{ids[2]}"), lambda a: a.json()["queued_for"])).json()
    assert (last["queued_for"], last["queue_position"], last["start_eta_seconds"]) == ("importer", 3, None)
    await (await stage_hand.bus.bucket(WORKERS)).put("importer.host-1", b"")
    await stage_hand.say(ids[0], "importer", "started")
    await stage_hand.say(ids[0], "importer", "finished", timings={"total": 4.0})
    await stage_hand.say(ids[0], "exporter", "finished")
    await until(lambda: http.get(f"/api/v1/jobs/{ids[0]}"), lambda a: a.json()["state"] == "succeeded")
    assert "queued" in (await http.get(f"/api/v1/jobs/{ids[0]}")).json()["timings"]["importer"]
    page = (await http.get("/api/v1/jobs", params={"state": ["queued", "running"]})).json()
    assert [(job["id"], job["queue_position"], job["start_eta_seconds"]) for job in page["items"]] == [
        (ids[2], 2, 4.0),
        (ids[1], 1, 0.0),
    ]
    created = last["created_at"]
    for asked, number in (
        ({"asked_by": "me", "workflow": "proton-impt", "study_instance_uid": "1.2.3.4"}, 3),
        ({"asked_by": "user:somebody"}, 0),
        ({"workflow": "other"}, 0),
        ({"study_instance_uid": "1.2.3.5"}, 0),
        ({"stage": "exporter"}, 1),
        ({"created_after": created}, 1),
        ({"created_before": created}, 2),
        ({"state": "succeeded", "limit": 1}, 1),
    ):
        for noun in ("jobs", "plans"):
            answer = await http.get(f"/api/v1/{noun}", params=asked)
            assert len(answer.json()["items"]) == number, (noun, asked, answer.text)
    first = (await http.get("/api/v1/jobs", params={"limit": 2})).json()
    rest = (await http.get("/api/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [job["id"] for job in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None
