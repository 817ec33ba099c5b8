"""The audit log: complete, chained, append-only, and without a name in it."""

import json
import warnings
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from radiarch_common.catalogue import Catalogue
from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from radiarch_gateway.admin.commands import app as command
from radiarch_gateway.audit.act import Act
from radiarch_gateway.audit.ledger import Audit, note
from radiarch_gateway.audit.models import AuditRow
from radiarch_gateway.audit.store import check
from radiarch_gateway.auth.models import SessionRow
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.auth.secret import ServerSecret
from radiarch_gateway.db import Database
from radiarch_testkit.databases import Databases
from radiarch_testkit.desk import desk
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from radiarch_testkit.people import login
from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError
from sqlmodel import col, select, update
from typer.testing import CliRunner

V1 = "/api/v1"
STUDY = "1.2.826.0.1.4711"
WRITERS = 4
EACH = 12


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'radiarch.db'}"
    postgres: Databases = request.getfixturevalue("postgres")
    return postgres.new_database()


def test_the_database_keeps_the_chain_and_refuses_every_change(database_url: str) -> None:
    """Several gateways append at once, each with its own connection: no entry is lost, none doubled, none moved.

    Then somebody with the database's password tries to change the log, and does after removing the triggers.
    """
    databases = [Database(database_url) for _ in range(WRITERS)]
    databases[0].migrate()
    audits = [Audit(database, ServerSecret(Settings(), database)) for database in databases]
    for audit in audits:
        audit.prepare()

    def write(writer: int) -> None:
        for number in range(EACH):
            with databases[writer].writing() as session:
                note(session, Act(actor=f"user:{writer}", operation=f"test {number}", names={"plan": "p"}))

    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(write, range(WRITERS)))
    head = check(databases[0])
    assert head.intact
    assert head.sequence == WRITERS * EACH
    with databases[0].reading() as session:
        (plan_hash,) = {row.entities[0]["hash"] for row in session.exec(select(AuditRow))}
    assert plan_hash == audits[1].hashed("p")

    refused = ["UPDATE audit SET actor = 'x' WHERE sequence = 3", "DELETE FROM audit WHERE sequence = 3"]
    if databases[0].kind == "sqlite":
        refused.append("INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE sequence = 3")
    else:
        refused.append("TRUNCATE audit")
    for statement in refused:
        with pytest.raises(DatabaseError, match="append-only"), databases[0].writing() as session:
            session.connection().execute(text(statement))
    assert check(databases[0]) == head

    with databases[0].writing() as session:
        _remove_triggers(session.connection(), databases[0].kind)
        session.connection().execute(text("DELETE FROM audit WHERE sequence = 3"))
    broken = check(databases[0])
    assert not broken.intact
    assert broken.sequence == 3
    for database in databases:
        database.close()


def _remove_triggers(connection: Connection, kind: str) -> None:
    on = "" if kind == "sqlite" else " ON audit"
    for name in ("no_update", "no_delete", "only_after") if kind == "sqlite" else ("no_change", "no_truncate"):
        connection.execute(text(f"DROP TRIGGER audit_{name}{on}"))


def test_an_entry_is_committed_and_rolled_back_with_its_act(tmp_path: Path) -> None:
    """Fails when the log may tell of what did not happen, or an act may happen that it does not tell of."""
    database = Database(f"sqlite:///{tmp_path / 'radiarch.db'}")
    database.migrate()
    audit = Audit(database, ServerSecret(Settings(), database))
    audit.prepare()
    with suppress(RuntimeError), database.writing() as session:
        note(session, Act(actor="user:1", operation="login"))
        raise RuntimeError
    assert check(database).sequence == 0
    with database.writing() as session:
        note(session, Act(actor="user:1", operation="login"))
    assert check(database).sequence == 1
    database.close()


def test_the_command_checks_and_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an operator runs: exit status 1 with the first wrong entry, whether changed or later than a noted head."""
    url = f"sqlite:///{tmp_path / 'radiarch.db'}"
    monkeypatch.setenv("RADIARCH_DATABASE_URL", url)
    database = Database(url)
    database.migrate()
    audit = Audit(database, ServerSecret(Settings(), database))
    audit.prepare()
    for number in range(3):
        with database.writing() as session:
            note(session, Act(actor=f"user:{number}", operation="login", action="E", names={"username": "jo"}))
    run = CliRunner()
    seen = run.invoke(command, ["audit", "check"])
    assert seen.exit_code == 0, seen.output
    head = seen.stdout.split()[-1]
    assert head.startswith("3:")
    assert run.invoke(command, ["audit", "check", "--head", head]).exit_code == 0
    later = run.invoke(command, ["audit", "check", "--head", f"4:{'0' * 64}"])
    assert later.exit_code == 1
    assert "Entry 4: missing" in later.stderr
    assert run.invoke(command, ["audit", "check", "--head", "three"]).exit_code == 2
    assert run.invoke(command, ["audit", "export", "--out", str(tmp_path / "log.ndjson")]).exit_code == 0
    exported = (tmp_path / "log.ndjson").read_text().splitlines()
    assert run.invoke(command, ["audit", "export"]).stdout.splitlines() == exported
    assert [json.loads(line)["type"]["code"] for line in exported] == ["110114"] * 3
    database.close()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"authentication": "accounts"})


@pytest.fixture
async def people(app: FastAPI, http: httpx.AsyncClient) -> dict[str, dict[str, str]]:
    """Headers of a clinician, of an administrator, and of the administrator of another clinic."""
    return {
        "clinician": login(app, {Role.CLINICIAN}),
        "admin": login(app, {Role.ADMIN}),
        "other": login(app, {Role.ADMIN}, clinic_id="elsewhere"),
    }


@pytest.fixture
async def http(app: FastAPI, stage_hand: StageHand, catalogue: Catalogue) -> AsyncIterator[httpx.AsyncClient]:
    await stage_hand.offer(catalogue)
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            headers = login(app, {Role.ADMIN})
            await until(lambda: client.get(f"{V1}/info", headers=headers), lambda answer: answer.json()["workflows"])
            yield client


async def test_the_trail_of_a_study(
    app: FastAPI, http: httpx.AsyncClient, people: dict[str, dict[str, str]], body: dict[str, Any]
) -> None:
    """Every act on a study is found by its UID and nobody else's is; the UID itself stands nowhere.

    The entry of what changed something is there once: from its transaction, not from its answer too.
    """
    clinician, admin = people["clinician"], people["admin"]
    asked = body | {"study_instance_uid": STUDY}
    again = clinician | {"Idempotency-Key": "once"}
    plan_id = (await http.post(f"{V1}/plans", json=asked, headers=again)).json()["id"]
    assert (await http.post(f"{V1}/plans", json=asked, headers=again)).status_code == 202
    await http.post(f"{V1}/plans", json=body, headers=clinician)
    assert (await http.get(f"{V1}/plans/{plan_id}", headers=clinician)).status_code == 200
    assert (await http.get(f"{V1}/plans/{plan_id}", headers=people["other"])).status_code == 404
    assert (await http.delete(f"{V1}/plans/{plan_id}", headers=admin)).status_code == 403
    assert (await http.delete(f"{V1}/plans/{plan_id}", headers=clinician)).status_code == 202
    assert (await http.post(f"{V1}/plans", json=asked | {"dose_grid_mm": 0}, headers=clinician)).status_code == 422

    found = (await http.get(f"{V1}/audit", params={"study_instance_uid": STUDY}, headers=admin)).json()["items"]
    told = [(act["operation"], act["action"], act["outcome"], act["status"]) for act in reversed(found)]
    assert told == [
        ("POST /plans", "C", "0", None),
        ("POST /plans", "C", "0", 202),
        ("GET /plans/{plan_id}", "R", "0", 200),
        ("DELETE /plans/{plan_id}", "D", "4", 403),
        ("DELETE /plans/{plan_id}", "D", "0", None),
    ]
    (plan_hash,) = {act["entities"][0]["hash"] for act in found}
    assert plan_hash == app.state.gateway.audit.hashed(plan_id)
    assert len({act["actor"] for act in found}) == 2

    elsewhere = await http.get(f"{V1}/audit", headers=people["other"])
    assert [act["operation"] for act in elsewhere.json()["items"]] == ["GET /plans/{plan_id}"]
    with app.state.gateway.database.reading() as session:
        rows = list(session.exec(select(AuditRow).order_by(col(AuditRow.sequence))))
    everything = json.dumps([row.model_dump(mode="json") for row in rows])
    for name in (STUDY, body["study_instance_uid"], plan_id, "Somebody", "PTV"):
        assert f'"{name}"' not in everything
    answer = (await http.get(f"{V1}/audit/check", headers=admin)).json()
    assert answer["intact"]
    known = {"sequence": answer["sequence"], "hash": answer["hash"]}
    assert (await http.get(f"{V1}/audit/check", params=known, headers=admin)).json()["intact"]
    forged = known | {"hash": "0" * 64}
    assert not (await http.get(f"{V1}/audit/check", params=forged, headers=admin)).json()["intact"]
    assert (await http.get(f"{V1}/audit/check", params={"sequence": 1}, headers=admin)).status_code == 422


async def test_the_export_is_fhir(
    http: httpx.AsyncClient, people: dict[str, dict[str, str]], body: dict[str, Any]
) -> None:
    """Each line is an AuditEvent of FHIR R4 by an independent model of it; paging meets each entry once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library, at import
        from fhir.resources.R4B.auditevent import AuditEvent

    admin = people["admin"]
    await http.post(f"{V1}/plans", json=body | {"study_instance_uid": STUDY}, headers=people["clinician"])
    for _ in range(4):
        await http.get(f"{V1}/plans", headers=people["clinician"])
    answer = await http.get(f"{V1}/audit/export", headers=admin)
    assert answer.headers["Content-Type"] == "application/fhir+ndjson"
    events = [AuditEvent.model_validate_json(line) for line in answer.text.splitlines()]
    assert [event.id for event in events] == [str(number + 1) for number in range(len(events))]
    assert {event.action for event in events} == {"C", "R"}
    met: list[int] = []
    before: dict[str, int] = {}
    while True:
        page = (await http.get(f"{V1}/audit", params={"limit": 2, "action": "C", **before}, headers=admin)).json()
        met += [act["sequence"] for act in page["items"]]
        if page["next_before"] is None:
            break
        before = {"before": page["next_before"]}
    assert met == [1]
    later = {"since": utc_now().isoformat()}
    assert (await http.get(f"{V1}/audit", params=later, headers=admin)).json()["items"] == []
    assert (await http.get(f"{V1}/audit", params={"since": "2026-01-01"}, headers=admin)).status_code == 422


async def test_a_login_that_has_ended_is_told_with_whose_it_was(
    app: FastAPI, http: httpx.AsyncClient, people: dict[str, dict[str, str]]
) -> None:
    """A token that goes on being used after its owner was locked out is worth knowing; noise of nobody is not."""
    with app.state.gateway.database.writing() as session:
        session.exec(update(SessionRow).values(revoked_at=utc_now()))
    assert (await http.get(f"{V1}/plans", headers=people["clinician"])).status_code == 401
    assert (await http.get(f"{V1}/plans")).status_code == 401
    with app.state.gateway.database.reading() as session:
        (row,) = session.exec(select(AuditRow))
    assert row.actor.startswith("user:")
    assert (row.operation, row.status, row.outcome) == ("GET /plans", 401, "4")


async def test_no_answer_without_its_entry(app: FastAPI, http: httpx.AsyncClient, people: dict[str, Any]) -> None:
    """While the log cannot be written, nothing is told and nothing done; what concerns nobody still is."""
    with app.state.gateway.database.writing() as session:
        session.connection().execute(text("ALTER TABLE audit RENAME TO aside"))
    for method in ("GET", "POST"):
        answer = await http.request(method, f"{V1}/plans", headers=people["clinician"], json={})
        assert answer.status_code == 503, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await http.get(f"{V1}/info", headers=people["clinician"])).status_code == 200


def test_a_name_that_the_database_cannot_hold_has_its_entry_and_spoils_no_others(
    postgres: Databases, tmp_path: Path
) -> None:
    """A NUL in a path, which PostgreSQL has no text for, amid requests whose entries share its transaction.

    Fails if it is answered with anything but 422, has no entry, or if anybody else's request is not answered for it.
    """
    with desk(tmp_path, database_url=postgres.new_database()) as here:
        headers = here.headers(Role.PHYSICIST)

        def ask(path: str) -> int:
            return here.http.get(path, headers=headers).status_code

        with ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(ask, ["/plans/a%00b", *["/plans"] * 5] * 6))
        assert answers == [422, *[200] * 5] * 6
        with here.gateway.database.reading() as session:
            rows = session.exec(select(AuditRow)).all()
        assert sorted((row.operation, row.status) for row in rows) == sorted(
            [("GET /plans/{plan_id}", 422)] * 6 + [("GET /plans", 200)] * 30
        )
        spoilt = {entity["hash"] for row in rows for entity in row.entities}
        assert spoilt == {here.gateway.audit.hashed("a\0b")}
