"""What somebody of ill will sends: refused in words, never a defect, and never past what watches."""

import itertools
from collections.abc import AsyncIterator, MutableMapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from radiarch_gateway.app import create_app
from radiarch_gateway.audit.models import AuditRow
from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.limits import LoginLimits
from radiarch_gateway.auth.models import ApiKeyRow, ClinicRow, UserRow
from radiarch_gateway.auth.passwords import hash_password
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.auth.standing import stands
from radiarch_gateway.auth.totp import new_secret, step_of
from radiarch_gateway.errors import LimitedError
from radiarch_gateway.plans.models import PlanRow
from radiarch_testkit.people import login
from sqlmodel import col, select

V1 = "/api/v1"
JSON = {"Content-Type": "application/json"}
BAD_TIMES = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No bus, which nothing here needs."""
    return settings.model_copy(update={"nats_url": "nats://127.0.0.1:9", "authentication": "accounts"})


@pytest.fixture
def migrated(app: FastAPI) -> FastAPI:
    app.state.gateway.database.migrate()
    return app


@pytest.fixture
async def client(migrated: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(migrated) as found:
        yield found
    migrated.state.gateway.database.close()


def client_of(app: FastAPI, name: str = "gateway", address: str = "192.0.2.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url=f"http://{name}")


HALF = r'"\ud800"'
REFUSED: list[tuple[int, str, str, str | None]] = [
    *((422, "GET", f"{V1}/jobs?created_after={at.replace('+', '%2B')}", None) for at in BAD_TIMES),
    *((422, "GET", f"{V1}/plans?created_before={at.replace('+', '%2B')}", None) for at in BAD_TIMES),
    *((422, "GET", f"{V1}/audit?since={at.replace('+', '%2B')}", None) for at in BAD_TIMES),
    *((422, "GET", f"{V1}/audit/export?until={at.replace('+', '%2B')}", None) for at in BAD_TIMES),
    (422, "GET", f"{V1}/jobs?asked_by=%00", None),
    (422, "GET", f"{V1}/audit?actor=%00", None),
    (422, "POST", f"{V1}/erasures", r'{"patient_id": "a\u0000"}'),
    (422, "POST", f"{V1}/auth/login", '{"username": "a", "password": ' + HALF + "}"),
    (422, "POST", f"{V1}/auth/password", '{"new_password": "a", "current_password": ' + HALF + "}"),
    (422, "POST", f"{V1}/auth/totp/disable", '{"password": ' + HALF + "}"),
    (422, "POST", f"{V1}/clinics", '{"id": "a", "name": ' + HALF + "}"),
    (400, "POST", f"{V1}/plans", "[" * 100_000),
    (400, "POST", f"{V1}/plans", "1" * 5_000),
    (404, "GET", f"{V1}/artifacts/..%2f..%2fradiarch.db", None),
]


async def test_what_cannot_be_read_is_refused(client: httpx.AsyncClient, migrated: FastAPI) -> None:
    """Fails when a time without a UTC, a NUL that Postgres cannot keep, half a character or a bomb is a 500."""
    headers = login(migrated, set(Role)) | JSON
    wrong: list[str] = []
    for status, method, path, body in REFUSED:
        answer = await client.request(method, path, headers=headers, content=body)
        if (answer.status_code, answer.headers["Content-Type"]) != (status, "application/problem+json"):
            wrong.append(f"{method} {path} {(body or '')[:60]}: {answer.status_code}")
    assert not wrong


@pytest.mark.parametrize("path", ["*", "plans", ""])
async def test_what_is_no_path_is_not_found(migrated: FastAPI, path: str) -> None:
    """Fails when the layer of old paths takes a first step for granted."""
    seen: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        seen.extend([message["status"]] if "status" in message else [])

    where = {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": ""}
    who = {"headers": [], "client": ("192.0.2.1", 1), "server": ("gateway", 80), "scheme": "http"}
    await migrated({"type": "http", "method": "OPTIONS", "http_version": "1.1", **where, **who}, receive, send)
    migrated.state.gateway.database.close()
    assert seen in ([404], [307])


def test_a_code_in_other_digits_is_wrong_and_no_defect() -> None:
    """A phone's keyboard may write full-width digits."""
    for code in ("\uff11" * 6, "é", ""):
        assert step_of(new_secret(), code, utc_now()) is None


def test_addresses_of_one_network_log_in_by_one_limit() -> None:
    """Fails when each of the 2**64 addresses of one subscriber has tries of its own."""
    limits = LoginLimits(2)
    limits.check("2001:db8::1")
    limits.check("2001:db8::2")
    with pytest.raises(LimitedError):
        limits.check("2001:db8::3")


async def test_a_reader_cannot_have_the_log_tell_of_another_study(client: httpx.AsyncClient, migrated: FastAPI) -> None:
    """What a route does not ask for is not written down: neither another study, nor words in clear as a kind."""
    gateway = migrated.state.gateway
    plan: dict[str, Any] = {"study_instance_uid": "1.2", "pacs": "main", "requested": {}, "resolved": {}}
    with gateway.database.writing() as session:
        who = {"clinic_id": "main", "asked_by": "x", "body_sha256": "0" * 64, "workflow": "w"}
        session.add(PlanRow(id="0plan", created_at=utc_now(), **who, **plan))
    headers = login(migrated, {Role.CLINICIAN})
    spoofed = "study_instance_uid=9.9&plan_id=0other&Doe_Jane_id=x"
    assert (await client.get(f"{V1}/plans/0plan/artifacts?{spoofed}", headers=headers)).status_code == 200
    assert (await client.get(f"{V1}/plans?study_instance_uid=1.2", headers=headers)).status_code == 200
    rows = _log(migrated)
    assert [row.study for row in rows] == [gateway.audit.hashed("1.2")] * 2
    assert rows[0].entities == [{"kind": "plan", "hash": gateway.audit.hashed("0plan")}]


async def test_a_refused_password_is_written_down_as_refused_alone(
    client: httpx.AsyncClient, migrated: FastAPI
) -> None:
    """Fails when the count of the try, which is committed first, is taken for the act: the log then says success."""
    headers = login(migrated, {Role.CLINICIAN})
    hashed = hash_password("right")
    with migrated.state.gateway.database.writing() as session:
        user = session.exec(select(UserRow)).one()
        user.password_hash = hashed
        session.add(user)
    for path, body in (
        ("password", {"current_password": "wrong", "new_password": "long enough to be good"}),
        ("password", {"current_password": "right", "new_password": "short"}),
        ("totp/disable", {"password": "wrong"}),
        ("totp/disable", {"password": "right"}),
    ):
        await client.post(f"{V1}/auth/{path}", json=body, headers=headers)
    assert [(row.outcome, row.status) for row in _log(migrated)] == [("4", 403), ("4", 422), ("4", 403), ("0", None)]


async def test_credentials_that_are_nobodys_and_links_are_counted_by_address(settings: Settings) -> None:
    """Fails when a flood of bad tokens, or of HEAD for a link, is counted by nobody."""
    app = create_app(settings.model_copy(update={"rate_limit_per_min": 3}))
    app.state.gateway.database.migrate()
    link = f"{V1}/artifacts/0a/file?expires=9&signature=x"
    asked = [("GET", f"{V1}/jobs", {"Authorization": "Bearer nobody"}), ("HEAD", link, {}), ("GET", "/jobs", {})]
    for number, (method, path, headers) in enumerate(asked):
        async with client_of(app, address=f"192.0.2.{number}") as stranger:
            seen = [(await stranger.request(method, path, headers=headers)).status_code for _ in range(4)]
        assert seen[:3] == [seen[0]] * 3
        assert seen[3] == 429, (method, path)
    app.state.gateway.database.close()


async def test_a_gateway_without_login_answers_to_this_machines_name_alone(settings: Settings) -> None:
    """Fails when a page whose name was led here (DNS rebinding) may read plans."""
    app = create_app(settings.model_copy(update={"authentication": "none"}))
    app.state.gateway.database.migrate()
    names = {"evil.example": 421, "evil.example:9042": 421, "localhost.evil.example": 421, "192.0.2.7": 421}
    names |= {"localhost:9042": 200, "LOCALHOST": 200, "127.0.0.1:9042": 200, "[::1]:9042": 200, "": 421}
    async with client_of(app) as client:
        for (name, status), path in itertools.product(names.items(), (f"{V1}/plans", "/plans")):
            answer = await client.get(path, headers={"Host": name})
            assert answer.status_code == status, name
    app.state.gateway.database.close()


async def test_behind_a_proxy_with_tls_cookies_are_for_tls_alone(settings: Settings) -> None:
    """The proxy need not be trusted with addresses for that."""
    app = create_app(settings.model_copy(update={"tls_by_proxy": True}))
    app.state.gateway.database.migrate()
    async with client_of(app) as client:
        assert "; Secure" in (await client.get("/login")).headers["set-cookie"]
    app.state.gateway.database.close()


def test_a_closed_clinic_ends_the_streams_of_everybody_in_it(migrated: FastAPI) -> None:
    """Of keys and of an issuer's people too, at once and not when their hour is over."""
    database, now = migrated.state.gateway.database, utc_now()
    with database.writing() as session:
        session.add(ClinicRow(id="north", name="north", created_at=now))
        session.flush()
        own: dict[str, Any] = {"name": "k", "scopes": ["jobs:read"], "created_by": "x", "clinic_id": "north"}
        ends = now + timedelta(days=1)
        session.add(ApiKeyRow(id="0a", sha256="0" * 64, created_at=now, expires_at=ends, **own))
    callers = [Caller(id=who, name="", clinic_id="north", scopes=frozenset()) for who in ("key:0a", "oidc:1")]
    assert all(stands(database, caller) for caller in callers)
    with database.writing() as session:
        session.get_one(ClinicRow, "north").active = False
    assert not any(stands(database, caller) for caller in callers)
    database.close()


def _log(app: FastAPI) -> list[AuditRow]:
    with app.state.gateway.database.reading() as session:
        return list(session.exec(select(AuditRow).order_by(col(AuditRow.sequence))).all())
