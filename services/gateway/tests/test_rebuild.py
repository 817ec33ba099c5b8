"""Job state told again from the stream is the state that followed it live, whatever happened in between."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from radiarch_common.messages import EVENT, Erased, Event, Failed, Requested
from radiarch_common.settings import Settings
from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.auth.models import ClinicRow
from radiarch_gateway.db import Database
from radiarch_gateway.errors import ConflictError, MissingError
from radiarch_gateway.jobs.ahead import decide
from radiarch_gateway.jobs.birth import first_message, furthest_queue
from radiarch_gateway.jobs.books import SessionBooks, begin, count, forget
from radiarch_gateway.jobs.models import JobRow, JobState, TombstoneRow
from radiarch_gateway.jobs.rebuild import RebuildError, Told, rebuild, tell, write
from radiarch_gateway.jobs.store import cancel, place, put_back, retry
from radiarch_gateway.mailbox import InboxRow, OutboxRow, decision_id
from radiarch_gateway.outbox import put
from radiarch_gateway.plans.models import PlanRow
from radiarch_gateway.rules.models import DecisionRow, RuleRow
from radiarch_testkit.gateway import StageHand, until
from radiarch_testkit.jobs import resolved_plan
from sqlmodel import SQLModel, col, delete, select

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOBS = ("0" * 12, "1" * 12, "2" * 12)
STAGES = ("importer", "planner", "exporter")
TOLD = (PlanRow, JobRow, ArtifactRow, TombstoneRow)
"""The tables that the stream tells of."""
ARTIFACT = {"name": "RTDOSE.dcm", "kind": "RTDOSE", "media_type": "application/dicom", "sha256": "a" * 64}


def requested(job_id: str, at: datetime) -> Requested:
    return Requested(
        job_id=job_id,
        run=1,
        stage="gateway",
        attempt=0,
        at=at,
        clinic_id="north",
        asked_by="user:1",
        deadline=at + timedelta(hours=24),
        pacs="main",
        study_instance_uid="1.2.3",
        requested={"prescription": {"dose_gy_rbe": 60.1}},
        resolved=resolved_plan(),
        idempotency_key=f"key-{job_id}",
        body_sha256="b" * 64,
    )


class Live:
    """A gateway without its threads: what it writes, what its relay sends, what its aggregator hears, in any order."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.stream: list[Told] = []
        self.heard = 0
        self.now = START

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1.5)
        return self.now

    def take(self, job_id: str) -> None:
        with self.database.writing() as session:
            if session.get(PlanRow, job_id) is not None or session.get(TombstoneRow, job_id) is not None:
                return
            event = requested(job_id, self.tick())
            begin(session, [event])
            put(session, event)
            put(session, first_message(event))

    def cancel(self, job_id: str) -> None:
        with suppress(MissingError, ConflictError), self.database.writing() as session:
            cancel(session, job_id, "north", "user:2")

    def retry(self, job_id: str) -> None:
        with suppress(MissingError, ConflictError), self.database.writing() as session:
            retry(session, job_id, "north", "user:2", refused_too=True, lives_h=1)

    def reconcile(self, job_id: str, *, fail: bool) -> None:
        with self.database.writing() as session:
            row = session.get(JobRow, job_id)
            if row is None or JobState(row.state).final:
                return
            if fail:
                decide(session, row, Failed(at=self.tick(), refused=False, reason="Lost.", **place(row)))
            else:
                put_back(session, row, furthest_queue(row), "Lost.", row.deadline)

    def erase(self, job_id: str) -> None:
        with self.database.writing() as session:
            if session.get(PlanRow, job_id) is None:
                return
            event = Erased(job_id=job_id, run=1, stage="gateway", attempt=0, at=self.tick())
            forget(session, job_id, event.at)
            put(session, event)

    def relay(self, most: int) -> None:
        with self.database.writing() as session:
            for row in session.exec(select(OutboxRow).order_by(col(OutboxRow.id)).limit(most)).all():
                if row.errand == "event":
                    event = EVENT.validate_json(row.payload)
                    self.publish(event, decision_id(event))
                session.delete(row)

    def has_sent(self, job_id: str) -> bool:
        """Whether a stage can know of a job: its request is sent first."""
        return any(told.event.job_id == job_id and told.event.kind == "requested" for told in self.stream)

    def publish(self, event: Event, event_id: str) -> None:
        told = EVENT.validate_json(event.model_dump_json())
        self.stream.append(Told(told, event_id, len(self.stream) + 1))

    def hear(self, most: int, *, again: int = 0) -> None:
        """The next events together, after so many that were heard before."""
        first = max(self.heard - again, 0)
        next_ones = self.stream[first : self.heard + most]
        with self.database.writing() as session:
            books = SessionBooks(session)
            books.look_up({told.event.job_id for told in next_ones}, {told.event_id for told in next_ones})
            for told in next_ones:
                count(books, told.event, told.event_id, told.sequence)
        self.heard = min(self.heard + most, len(self.stream))

    def replace(self) -> None:
        """``rebuild-state --replace`` in the midst of it."""
        with self.database.writing() as session:
            write(session, tell(self.stream))


@pytest.fixture(scope="module")
def databases() -> Iterator[tuple[Database, Database]]:
    pair = Database("sqlite://"), Database("sqlite://")
    with_north(pair[0])
    pair[1].migrate()  # and has lost the clinic
    yield pair
    for database in pair:
        database.close()


def with_north(database: Database) -> None:
    database.migrate()
    with database.writing() as session:
        session.add(ClinicRow(id="north", name="north", created_at=START))


def emptied(database: Database) -> Database:
    with database.writing() as session:
        for table in (ArtifactRow, JobRow, PlanRow, TombstoneRow, InboxRow, OutboxRow):
            session.exec(delete(table))
    return database


def dump(database: Database) -> dict[str, list[dict[str, Any]]]:
    def key(row: SQLModel) -> str:
        return json.dumps(row.model_dump(mode="json"), sort_keys=True)

    with database.reading() as session:
        return {
            str(table.__tablename__): [
                json.loads(key(row)) for row in sorted(session.exec(select(table)).all(), key=key)
            ]
            for table in TOLD
        }


@st.composite
def said(draw: st.DrawFn) -> dict[str, Any]:
    """Something that a stage says, rightly, late, or long fenced off."""
    kind = draw(
        st.sampled_from(
            ["started", "started", "progress", "waiting", "retrying", "finished", "finished", "failed", "cancelled"]
        )
    )
    own: dict[str, dict[str, Any]] = {
        "progress": {"progress": draw(st.sampled_from([0.25, 0.5])), "message": "beamlets 3 of 9", "eta_seconds": 12.5},
        "waiting": {"waiting_for": "PACS 'main'", "retry_in_s": 2.0},
        "retrying": {"reason": "crashed", "retry_in_s": 2.0},
        "failed": {"refused": draw(st.booleans()), "reason": "No target.", "hint": "Draw one."},
    }
    stage = draw(st.sampled_from(STAGES))
    if kind == "finished":
        own["finished"] = {
            "timings": {"part": draw(st.sampled_from([1.25, 7.5]))},
            "outputs": {
                "importer": {"case_key": "cases/a"},
                "planner": {"case_key": "cases/a", "result_key": "results/a"},
            }.get(stage, {}),
            "artifacts": [ARTIFACT | {"key": f"artifacts/{draw(st.integers(1, 2))}", "size_bytes": 3}]
            if stage == "exporter"
            else [],
        }
    return {
        "kind": kind,
        "stage": stage,
        "run": draw(st.integers(1, 3)),
        "attempt": draw(st.integers(1, 2)),
        **own.get(kind, {}),
    }


WHAT_HAPPENS = st.one_of(
    st.tuples(st.just("take")),
    st.tuples(st.just("say"), said()),
    st.tuples(st.just("say"), said()),
    st.tuples(st.just("say"), said()),
    st.tuples(st.just("say again"), st.integers(0, 50)),
    st.tuples(st.just("cancel")),
    st.tuples(st.just("retry")),
    st.tuples(st.just("reconcile"), st.booleans()),
    st.tuples(st.just("erase")),
    st.tuples(st.just("relay"), st.integers(1, 4)),
    st.tuples(st.just("relay"), st.integers(1, 4)),
    st.tuples(st.just("hear"), st.integers(1, 6), st.integers(0, 3)),
    st.tuples(st.just("hear"), st.integers(1, 6), st.integers(0, 3)),
    st.tuples(st.just("replace")),
)


def happens(live: Live, job_id: str, what: str, *how: Any) -> None:  # noqa: ANN401 - as WHAT_HAPPENS draws it
    if what == "say" and live.has_sent(job_id):
        event = EVENT.validate_python({"job_id": job_id, "at": live.tick(), **how[0]})
        live.publish(event, f"said-{len(live.stream)}")
    elif what == "say again" and live.stream:
        told = live.stream[how[0] % len(live.stream)]
        live.publish(told.event, told.event_id)
    elif what == "hear":
        live.hear(how[0], again=how[1])
    elif what == "relay":
        live.relay(how[0])
    elif what == "replace":
        live.replace()
    elif what == "reconcile":
        live.reconcile(job_id, fail=how[0])
    elif what in ("take", "cancel", "retry", "erase"):
        getattr(live, what)(job_id)


@examples(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(history=st.lists(st.tuples(st.sampled_from(JOBS), WHAT_HAPPENS), min_size=5, max_size=60))
def test_told_again_is_followed_live(
    databases: tuple[Database, Database], history: list[tuple[str, tuple[Any, ...]]]
) -> None:
    """Plans, jobs with their timings and logs, artifacts and tombstones are equal to the last byte.

    Fails if anything but the stream's order decides a job's state: a flag written beside it, a decision counted
    twice or lost, a late event of an attempt that was fenced off, a job that comes back after it was erased.
    """
    live = Live(emptied(databases[0]))
    again = emptied(databases[1])
    for job_id in JOBS[:2]:
        live.take(job_id)
    live.relay(2)  # the first job has left
    for job_id, what in history:
        happens(live, job_id, *what)
    live.relay(1000)
    live.hear(1000)
    with again.writing() as session:
        write(session, tell(live.stream))
    assert dump(again) == dump(live.database)
    assert all(not job["ahead"] and job["folded"] is None for job in dump(again)["jobs"])


def test_what_is_decided_shows_at_once_and_stays(databases: tuple[Database, Database]) -> None:
    """A job cancelled before it left is cancelled now, and while its request comes back from the stream.

    Fails if the request, heard after the cancel, puts the job into the queue again.
    """
    live = Live(emptied(databases[0]))
    live.take(JOBS[0])
    live.cancel(JOBS[0])
    states: list[str] = []
    for _ in range(4):
        states.append(dump(live.database)["jobs"][0]["state"])
        live.relay(1)
        live.hear(1)
    assert states == ["cancelled"] * 4
    assert [told.event.kind for told in live.stream] == ["requested", "cancelling", "cancelled"]


async def test_a_lost_database_comes_back(
    http: httpx.AsyncClient, body: dict[str, Any], stage_hand: StageHand, settings: Settings, tmp_path: Path
) -> None:
    """From the real stream into an empty database: the same answer, word for word; a full one is not overwritten."""
    first = (await http.post("/api/v1/plans", json=body)).json()["id"]
    second = (await http.post("/api/v1/plans", json=body)).json()["id"]
    await until(lambda: http.get(f"/api/v1/jobs/{first}"), lambda a: "importer" in a.json()["message"])
    await stage_hand.say(first, "importer", "started")
    await stage_hand.say(first, "importer", "finished", timings={"fetch": 1.5})
    await stage_hand.say(first, "exporter", "finished", artifacts=[ARTIFACT | {"key": "artifacts/1", "size_bytes": 3}])
    await http.post(f"/api/v1/jobs/{second}/cancel")
    await until(lambda: http.get(f"/api/v1/jobs/{first}"), lambda a: a.json()["state"] == "succeeded")
    await until(lambda: http.get(f"/api/v1/jobs/{second}"), lambda a: a.json()["state"] == "cancelled")
    live = Database(settings.database_url)
    await until(lambda: asyncio.to_thread(_under_way, live), lambda rest: not rest)
    lost = Database(f"sqlite:///{tmp_path / 'new.db'}")
    assert await asyncio.to_thread(rebuild, lost, settings, replace=False) == 2
    assert dump(lost) == dump(live)
    with pytest.raises(RebuildError, match="--replace"):
        await asyncio.to_thread(rebuild, lost, settings, replace=False)
    assert await asyncio.to_thread(rebuild, lost, settings, replace=True) == 2
    assert dump(lost) == dump(live)
    for database in (live, lost):
        database.close()


def _under_way(database: Database) -> bool:
    """Whether something is still to be sent, or to be heard."""
    with database.reading() as session:
        ahead = any(job.ahead for job in session.exec(select(JobRow)).all())
        return ahead or session.exec(select(OutboxRow)).first() is not None


async def test_what_was_erased_goes_from_a_database_that_was_put_back(
    stage_hand: StageHand, settings: Settings, tmp_path: Path
) -> None:
    """An old copy of the database, and a stream whose erasure was broken off after the tombstone.

    Fails when a plan, a rule's decision on it, or a byte of its study is left in the database or the stream.
    """
    study, job_id = "1.2.3.4.987654321987654321", JOBS[0]
    event = requested(job_id, START).model_copy(update={"study_instance_uid": study})
    database = Database(settings.database_url)
    with_north(database)
    with database.writing() as session:
        begin(session, [event])
        session.add(RuleRow(id="r", clinic_id="north", created_at=START, created_by="x"))
        session.flush()
        about: dict[str, Any] = {"study_instance_uid": study, "plan_id": job_id, "pacs": "main", "decided_at": START}
        session.add(
            DecisionRow(id="d", clinic_id="north", rule_id="r", rule_version=1, outcome="planned", why=[], **about)
        )
    await stage_hand.bus.send_event(event, "requested")
    tombstone = Erased(job_id=job_id, run=1, stage="gateway", attempt=0, at=START)
    await stage_hand.bus.send_event(tombstone, "erased")
    assert await asyncio.to_thread(rebuild, database, settings, replace=True) == 0
    with database.reading() as session:
        assert session.exec(select(PlanRow)).all() == session.exec(select(DecisionRow)).all() == []
        assert session.get(TombstoneRow, job_id) is not None
    database.close()
    assert not _holding(tmp_path, study)
    assert await stage_hand.bus.last_event("gateway", job_id, "erased") is not None


def _holding(folder: Path, word: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]
