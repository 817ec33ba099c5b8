"""Job state only moves forward, whatever the bus does to the events."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from radiarch_common.messages import EVENT, Event
from radiarch_gateway.jobs.models import JobRow
from radiarch_gateway.jobs.state import LOG_LINES, advance

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOB = "0" * 12


def _event(kind: str, stage: str, attempt: int = 1, second: int = 0, **own: object) -> Event:
    common = {"job_id": JOB, "run": 1, "stage": stage, "attempt": attempt, "at": START + timedelta(seconds=second)}
    return EVENT.validate_python({**common, "kind": kind, **own})


COURSE = (
    _event("started", "importer", 1, 0),
    _event("waiting", "importer", 1, 1, waiting_for="PACS 'main'", retry_in_s=2.0),
    _event("started", "importer", 2, 3),
    _event("finished", "importer", 2, 5, timings={"fetch": 1.5}),
    _event("started", "planner", 1, 6),
    _event("progress", "planner", 1, 7, progress=0.5, message="beamlets 5 of 10"),
    _event("retrying", "planner", 1, 8, reason="crashed", retry_in_s=2.0),
    _event("started", "planner", 2, 10),
    _event("finished", "planner", 2, 20),
    _event("started", "exporter", 1, 21),
    _event("finished", "exporter", 1, 25),
)


def _job() -> JobRow:
    return JobRow(id=JOB, created_at=START, updated_at=START, deadline=START + timedelta(hours=24))


def test_a_course_in_its_order() -> None:
    """Each event shows; the last one ends the job with the seconds of every stage."""
    job = _job()
    seen: list[tuple[str, str]] = []
    for event in COURSE:
        advance(job, event)
        seen.append((job.state, job.stage))
    assert seen == [("running", "importer")] * 4 + [("running", "planner")] * 5 + [
        ("running", "exporter"),
        ("succeeded", "exporter"),
    ]
    assert job.timings == {
        "importer": {"fetch": 1.5, "total": 2.0},
        "planner": {"queued": 1.0, "total": 10.0},
        "exporter": {"queued": 1.0, "total": 4.0},
    }
    assert (job.started_at, job.finished_at) == (START, START + timedelta(seconds=25))
    assert "Waiting for PACS 'main'" in job.log[1]["message"]


@given(st.data())
def test_events_in_any_order_and_number_end_the_same(data: st.DataObject) -> None:
    """With every event at least once, shuffled and repeated, the job has succeeded and says nothing else."""
    shuffled = data.draw(st.permutations(COURSE))
    more = data.draw(st.lists(st.sampled_from(COURSE)))
    job = _job()
    orders: list[tuple[int, ...]] = []
    for event in [*shuffled, *more]:
        advance(job, event)
        orders.append(job.order)
    assert orders == sorted(orders)
    assert (job.state, job.stage, job.progress) == ("succeeded", "exporter", 1.0)
    assert job.timings["importer"]["fetch"] == 1.5


@pytest.mark.parametrize(
    ("last", "state"),
    [
        (_event("failed", "planner", 1, 8, refused=True, reason="No target.", hint="Draw one."), "failed"),
        (_event("cancelled", "planner", 1, 8), "cancelled"),
        (_event("finished", "exporter", 1, 8), "succeeded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nothing_follows_an_end(last: Event, state: str) -> None:
    """A worker that was thought dead and speaks again changes nothing."""
    job = _job()
    advance(job, last)
    told = job.message
    for event in COURSE:
        advance(job, event)
    assert (job.state, job.message) == (state, told)


def test_an_older_attempt_is_not_heard() -> None:
    """A frozen worker's progress does not show over that of the worker that took over."""
    job = _job()
    advance(job, _event("started", "planner", 2, 1))
    advance(job, _event("progress", "planner", 1, 2, progress=0.9, message="stale"))
    assert (job.attempt, job.progress) == (2, 0.0)


def test_a_stage_that_hands_over_before_it_says_so_keeps_its_seconds() -> None:
    """The next stage's start may be heard first: state stays there, the seconds are kept."""
    job = _job()
    advance(job, _event("started", "planner", 1, 6))
    advance(job, _event("finished", "importer", 1, 7, timings={"fetch": 2.5}))
    assert (job.stage, job.timings["importer"]["fetch"]) == ("planner", 2.5)


def test_the_log_stays_bounded_and_counts_do_not_fill_it() -> None:
    """Progress once a second for hours is one line; what is new is kept."""
    job = _job()
    for number in range(1000):
        advance(job, _event("progress", "planner", 1, number, progress=0.5, message=f"batch {number} of 1000"))
    assert [line["message"] for line in job.log] == ["batch 999 of 1000"]
    for number in range(LOG_LINES * 2):
        text = f"part {chr(97 + number % 26) * (number // 26 + 1)}"
        advance(job, _event("progress", "planner", 1, number, progress=0.5, message=text))
    assert len(job.log) == LOG_LINES
