"""Events counted into the database: once, in order, by one gateway of several, from where the database stands."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from radiarch_common.catalogue import Catalogue
from radiarch_common.messages import EVENT, Event, Requested
from radiarch_common.settings import Settings
from radiarch_gateway.aggregate import Aggregator, Heard, OvertakenError
from radiarch_gateway.app import create_app
from radiarch_gateway.bus import Link
from radiarch_gateway.db import Database
from radiarch_gateway.jobs.books import Counted
from radiarch_gateway.jobs.models import JobRow, TombstoneRow
from radiarch_gateway.places import Place, place_of
from radiarch_gateway.plans.models import PlanRow
from radiarch_testkit.databases import Databases
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from radiarch_testkit.jobs import resolved_plan
from radiarch_testkit.queued import put_queued_job
from sqlmodel import Session, select

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MADE = datetime(2026, 2, 1, 12, tzinfo=UTC)
"""When the event stream was."""
JOB = "0" * 12
ARTIFACT = {
    "name": "RTDOSE.dcm",
    "kind": "RTDOSE",
    "media_type": "application/dicom",
    "key": "artifacts/x",
    "sha256": "a" * 64,
    "size_bytes": 3_000_000_000,
}


def _event(kind: str, stage: str, attempt: int = 1, second: int = 0, **own: object) -> Event:
    common = {"job_id": JOB, "run": 1, "stage": stage, "attempt": attempt, "at": START + timedelta(seconds=second)}
    return EVENT.validate_python({**common, "kind": kind, **own})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """SQLite with one queued job."""
    database = Database(f"sqlite:///{tmp_path / 'radiarch.db'}")
    database.migrate()
    with database.writing() as session:
        put_queued_job(session, JOB, START)
    yield database
    database.close()


def test_an_event_counts_once(database: Database, settings: Settings) -> None:
    """Delivered twice, together or later, and published twice under one id, it makes one line and one artifact."""
    aggregator = Aggregator(database, Link(settings))
    started = _event("started", "exporter", 1, 1)
    finished = _event("finished", "exporter", 1, 2, artifacts=[ARTIFACT])
    together = [Heard(started, "a", 1), Heard(finished, "b", 2), Heard(started, "a", 3)]
    assert aggregator.count(None, together, MADE) == [Counted.DONE] * 3
    assert aggregator.count(Place(MADE, 3), [Heard(finished, "b", 4)], MADE) == [Counted.DONE]
    with database.reading() as session:
        job = _found(session)
        names = [row[0] for row in session.connection().exec_driver_sql("SELECT name FROM artifacts")]
        heard = session.connection().exec_driver_sql("SELECT count(*) FROM inbox").scalar_one()
    assert (job.state, len(job.log), names, heard) == ("succeeded", 2, ["RTDOSE.dcm"], 2)


def test_who_was_overtaken_counts_nothing(database: Database, settings: Settings) -> None:
    """A gateway that slept while another counted would otherwise move jobs in another order than the stream's."""
    aggregator = Aggregator(database, Link(settings))
    aggregator.count(None, [Heard(_event("started", "importer"), "a", 1)], MADE)
    with pytest.raises(OvertakenError):
        aggregator.count(None, [Heard(_event("finished", "exporter", 1, 2), "b", 2)], MADE)
    with database.reading() as session:
        assert (_found(session).stage, place_of(session)) == ("importer", Place(MADE, 1))


def test_an_event_of_no_job_here_is_counted_and_passed(database: Database, settings: Settings) -> None:
    """A bus shared with another database does not stop this one."""
    aggregator = Aggregator(database, Link(settings))
    stranger = _event("started", "importer").model_copy(update={"job_id": "9" * 12})
    heard = [Heard(stranger, "c", 1), Heard(_event("started", "importer"), "d", 2)]
    assert aggregator.count(None, heard, MADE) == [Counted.UNKNOWN, Counted.DONE]


def test_the_place_stays_before_what_is_still_to_be_erased(database: Database, settings: Settings) -> None:
    """What is said of an erased job is overwritten on the bus after the transaction: a gateway may die in between.

    Fails if the next one does not find it again, or counts the events behind it twice.
    """
    aggregator = Aggregator(database, Link(settings))
    gone = _event("started", "importer").model_copy(update={"job_id": "9" * 12})
    with database.writing() as session:
        session.add(TombstoneRow(job_id=gone.job_id, erased_at=MADE))
    first = Heard(_event("started", "importer"), "a", 1)
    heard = [first, Heard(gone, "b", 2), Heard(_event("progress", "importer", progress=0.5, message="x"), "c", 3)]
    assert aggregator.count(None, heard, MADE) == [Counted.DONE, Counted.ERASED, Counted.DONE]
    with database.reading() as session:
        assert place_of(session) == Place(MADE, 1)
    aggregator.count(Place(MADE, 1), [heard[2]], MADE)
    with database.reading() as session:
        assert (place_of(session), len(_found(session).log)) == (Place(MADE, 3), 2)


def test_a_plan_whose_key_was_used_again_is_known_once_more(database: Database, settings: Settings) -> None:
    """The database was put back, and its client, told nothing of that, asked again before the stream was read.

    Fails if the first plan, which runs, is refused for its key, and nobody here knows of it.
    """
    with database.writing() as session:
        session.add(session.get_one(PlanRow, JOB).sqlmodel_update({"idempotency_key": "k"}))
    first = Requested(
        job_id="9" * 12,
        run=1,
        stage="gateway",
        attempt=0,
        at=START,
        clinic_id="main",
        asked_by="local",
        deadline=START + timedelta(hours=24),
        pacs="main",
        study_instance_uid="1.2.3",
        requested={},
        resolved=resolved_plan(),
        idempotency_key="k",
        body_sha256="b" * 64,
    )
    heard = [Heard(first, "a", 1), Heard(_event("started", "importer", job_id=first.job_id), "b", 2)]
    assert Aggregator(database, Link(settings)).count(None, heard, MADE) == [Counted.DONE] * 2
    with database.reading() as session:
        keys = [session.get_one(PlanRow, job_id).idempotency_key for job_id in (JOB, first.job_id)]
        assert keys == ["k", None]
        assert session.get_one(JobRow, first.job_id).stage == "importer"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_when_the_gateway_that_counts_ends_another_goes_on(
    kind: str,
    settings: Settings,
    stage_hand: StageHand,
    catalogue: Catalogue,
    body: dict[str, Any],
    request: pytest.FixtureRequest,
) -> None:
    """The second gateway stands by while the first one counts. Fails if the events wait for the first for ever."""
    if kind == "postgresql":
        postgres: Databases = request.getfixturevalue("postgres")
        settings = settings.model_copy(update={"database_url": postgres.new_database()})
    await stage_hand.offer(catalogue)
    with ExitStack() as second, ExitStack() as first:
        one = first.enter_context(served(create_app(settings)))
        async with httpx.AsyncClient(base_url=one, timeout=HANG_S) as client:
            await until(lambda: client.get("/api/v1/info"), lambda a: a.json()["workflows"])
            job_id = (await client.post("/api/v1/plans", json=body)).json()["id"]
            await until(lambda: client.get(f"/api/v1/jobs/{job_id}"), lambda a: "importer" in a.json()["message"])
            other = second.enter_context(served(create_app(settings)))
            await stage_hand.say(job_id, "importer", "started")
            await until(lambda: client.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "running")
        first.close()
        await stage_hand.say(job_id, "planner", "started")
        async with httpx.AsyncClient(base_url=other, timeout=HANG_S) as client:
            await until(lambda: client.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["stage"] == "planner")
            log = (await client.get(f"/api/v1/jobs/{job_id}")).json()["log"]
    assert [line["stage"] for line in log] == ["gateway", "importer", "planner"]


async def test_a_database_that_was_put_back_catches_up(
    settings: Settings, stage_hand: StageHand, catalogue: Catalogue, body: dict[str, Any], tmp_path: Path
) -> None:
    """An older copy of the database, and the bus as it is: fails if what came after the copy is never heard again."""
    await stage_hand.offer(catalogue)
    with served(create_app(settings)) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            await until(lambda: client.get("/api/v1/info"), lambda a: a.json()["workflows"])
            job_id = (await client.post("/api/v1/plans", json=body)).json()["id"]
            await until(lambda: client.get(f"/api/v1/jobs/{job_id}"), lambda a: "importer" in a.json()["message"])
    shutil.copy(tmp_path / "radiarch.db", tmp_path / "copy.db")
    with served(create_app(settings)) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            await stage_hand.say(job_id, "importer", "started")
            later = (await client.post("/api/v1/plans", json=body)).json()["id"]
            await until(lambda: client.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "running")
            await until(lambda: client.get(f"/api/v1/jobs/{later}"), lambda a: "importer" in a.json()["message"])
    put_back = settings.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'copy.db'}"})
    with served(create_app(put_back)) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            await until(lambda: client.get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "running")
            await until(lambda: client.get(f"/api/v1/jobs/{later}"), lambda a: a.status_code == 200)


def _found(session: Session) -> JobRow:
    return session.exec(select(JobRow)).one()
