"""SQLite and PostgreSQL through the same code: schema, locks, one request taken once, an outage."""

import asyncio
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from alembic import command
from radiarch_common.catalogue import Catalogue
from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from radiarch_gateway.app import create_app
from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.auth.models import SecretRow
from radiarch_gateway.db import Database, alembic_config
from radiarch_gateway.jobs.models import JobRow
from radiarch_gateway.plans.models import PlanRow
from radiarch_testkit.databases import Databases
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from sqlalchemy import Connection, create_engine, inspect, text
from sqlmodel import SQLModel, delete, select

MANY = 12


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fresh' / 'radiarch.db'}"
    postgres: Databases = request.getfixturevalue("postgres")
    return postgres.new_database()


@pytest.fixture
async def two(
    database_url: str, settings: Settings, stage_hand: StageHand, catalogue: Catalogue
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Two gateways, as a deployment may run, on one database and one bus."""
    await stage_hand.offer(catalogue)
    same = settings.model_copy(update={"database_url": database_url})
    with served(create_app(same)) as one, served(create_app(same)) as other:
        async with (
            httpx.AsyncClient(base_url=one, timeout=HANG_S) as first,
            httpx.AsyncClient(base_url=other, timeout=HANG_S) as second,
        ):
            for client in (first, second):
                await until(lambda c=client: c.get("/api/v1/info"), lambda answer: answer.json()["workflows"])
            yield first, second


def test_the_migrations_make_exactly_the_tables(database_url: str) -> None:
    """A column added to a model without a migration fails here; a second start changes nothing."""
    database = Database(database_url)
    database.migrate()
    database.migrate()
    with _connection(database_url) as connection:
        command.check(alembic_config(connection))
        tables = set(inspect(connection).get_table_names())
    database.close()
    assert tables == {"alembic_version", *SQLModel.metadata.tables}


PLAN_OF_0001 = {
    "id": "0123456789",
    "created_at": "2026-01-02 03:04:05+00:00",
    "study_instance_uid": "1.2.3",
    "pacs": "main",
    "requested": "{}",
    "resolved": '{"workflow": {"id": "proton-impt", "version": "1"}}',
    "idempotency_key": "once",
    "body_sha256": "0" * 64,
}
JOB_OF_0001 = {
    **dict.fromkeys(("created_at", "deadline", "updated_at"), "2026-01-02 03:04:05+00:00"),
    **dict.fromkeys(("run", "attempt", "rank", "last_sequence", "progress"), 1),
    **dict.fromkeys(("refused", "cancel_requested"), False),
    **{"id": "0123456789", "state": "queued", "stage": "gateway", "message": "", "timings": "{}", "log": "[]"},
}
ARTIFACT_OF_0001 = {
    **dict.fromkeys(("id", "name", "kind", "media_type", "key", "sha256"), "f"),
    **{"job_id": "0123456789", "position": 0, "size_bytes": 1},
}


def test_a_database_of_the_first_version_keeps_its_plans(database_url: str) -> None:
    """Up, down and up again; fails when a step loses a row, or stumbles over rows that refer to others."""
    database = Database(database_url)
    with _connection(database_url) as connection:
        command.upgrade(alembic_config(connection), "0001")
        for table, row in (("plans", PLAN_OF_0001), ("jobs", JOB_OF_0001), ("artifacts", ARTIFACT_OF_0001)):
            names = ", ".join(row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
        connection.commit()
    for _ in range(2):
        database.migrate()
        with database.reading() as session:
            plan, job = session.exec(select(PlanRow)).one(), session.exec(select(JobRow)).one()
            assert (plan.clinic_id, plan.workflow, plan.idempotency_key) == ("main", "proton-impt", "once")
            assert (job.queued_for, job.queued_at, job.ahead) == ("importer", job.created_at, [])
            assert session.exec(select(ArtifactRow.job_id)).one() == job.id
        with database.migrating() as connection:
            command.downgrade(alembic_config(connection), "0001")
    with _connection(database_url) as connection:
        assert connection.execute(text("SELECT count(*) FROM artifacts")).scalar_one() == 1
    database.close()


def test_gateways_that_start_at_once_migrate_once(database_url: str) -> None:
    """Each would make the tables; the others wait for the one that does."""
    databases = [Database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(len(databases)) as threads:
        list(threads.map(Database.migrate, databases))
    for database in databases:
        database.ping()
        database.close()


async def test_a_key_makes_one_plan_however_many_ask_at_once(
    two: tuple[httpx.AsyncClient, httpx.AsyncClient], body: dict[str, Any]
) -> None:
    """A phone that sends again over a bad line, to whichever gateway, gets the plan it has already."""
    headers = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(
        *(two[number % 2].post("/api/v1/plans", json=body, headers=headers) for number in range(MANY))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert len((await two[0].get("/api/v1/plans")).json()["items"]) == 1
    reordered = {name: body[name] for name in reversed(body)}
    assert (await two[1].post("/api/v1/plans", json=reordered, headers=headers)).text == answers[0].text
    other = await two[1].post("/api/v1/plans", json=body | {"dose_grid_mm": 2}, headers=headers)
    assert other.status_code == 409
    assert other.headers["Content-Type"] == "application/problem+json"


async def test_two_gateways_hand_every_job_over_once(
    two: tuple[httpx.AsyncClient, httpx.AsyncClient], body: dict[str, Any], stage_hand: StageHand
) -> None:
    """Both relays read one outbox, both aggregators one stream: each job on the bus once, each state right.

    A NUL in an engine's last words is no text for PostgreSQL, and must not cost the event.
    """
    answers = await asyncio.gather(*(two[n % 2].post("/api/v1/plans", json=body) for n in range(MANY)))
    ids = [answer.json()["id"] for answer in answers]
    for job_id in ids:
        await until(
            lambda job_id=job_id: two[0].get(f"/api/v1/jobs/{job_id}"), lambda a: "importer" in a.json()["message"]
        )
    state = (await stage_hand.bus.js.stream_info("JOBS")).state
    assert state.messages == MANY
    for job_id in ids:
        await stage_hand.say(job_id, "planner", "failed", refused=True, reason="No target.", hint="Draw\0one.")
    for job_id in ids:
        found = await until(
            lambda job_id=job_id: two[1].get(f"/api/v1/jobs/{job_id}"), lambda a: a.json()["state"] == "failed"
        )
        assert found.json() | {"reason": "No target.", "hint": "Draw one.", "refused": True} == found.json()


async def test_a_database_that_goes_and_comes(
    postgres: Databases, settings: Settings, stage_hand: StageHand, catalogue: Catalogue, body: dict[str, Any]
) -> None:
    """While it is away requests are answered with 503, and no event is lost."""
    await stage_hand.offer(catalogue)
    with served(create_app(settings.model_copy(update={"database_url": postgres.new_database()}))) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            taken = await until(lambda: client.post("/api/v1/plans", json=body), lambda a: a.status_code == 202)
            job_url = taken.json()["job"]["url"]
            postgres.stop()
            try:
                down = await client.get(job_url)
                assert down.status_code == 503
                assert down.headers["Content-Type"] == "application/problem+json"
                assert int(down.headers["Retry-After"]) > 0
                assert (await client.get("/health/ready")).status_code == 503
                assert not (await client.get("/api/v1/info")).json()["reachable"]["database"]["ok"]
                await stage_hand.say(taken.json()["id"], "importer", "started")
            finally:
                postgres.start()
            found = await until(lambda: client.get(job_url), lambda a: a.status_code == 200)
            found = await until(lambda: client.get(job_url), lambda a: a.json()["state"] == "running")
            assert found.json()["stage"] == "importer"


@contextmanager
def _connection(url: str) -> Generator[Connection]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_what_was_deleted_is_in_no_file_of_the_database(database_url: str) -> None:
    """Fails when deleted rows stay in SQLite's pages or its log, or Postgres does not take the statement."""
    planted = "planted-" + "x" * 40
    database = Database(database_url)
    database.migrate()
    with database.writing() as session:
        for number in range(50):
            session.add(SecretRow(name=f"{number}", value=planted, created_at=utc_now()))
    if database.kind == "sqlite":
        assert _holds(database_url, planted)
    with database.writing() as session:
        session.exec(delete(SecretRow))
    database.scrub(["secrets"])
    if database.kind == "sqlite":
        assert not _holds(database_url, planted)
    with database.reading() as session:
        assert session.exec(select(SecretRow)).first() is None
    database.close()


def _holds(database_url: str, word: str) -> bool:
    folder = Path(database_url.removeprefix("sqlite:///")).parent
    return any(word.encode() in path.read_bytes() for path in folder.iterdir())
