"""Who may do what: every route times every role, in one table.

A route that is not in the table fails the test, and so does a row without a route.
"""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from radiarch_common.settings import Settings
from radiarch_gateway.app import create_app
from radiarch_gateway.audit.act import outcome_of
from radiarch_gateway.audit.models import AuditRow
from radiarch_gateway.auth.guard import PUBLIC, UnguardedRouteError, check_routes, routes_and_scopes
from radiarch_gateway.auth.scopes import Role
from radiarch_testkit.gateway import HANG_S, served
from radiarch_testkit.people import login
from sqlmodel import col, select

EVERYBODY = "clinician radiographer radiologist physicist admin"
PLANNERS = "clinician physicist"
RULE_WRITERS = "physicist admin"
V1 = "/api/v1"

ALLOWED = {
    ("GET", f"{V1}/info"): EVERYBODY,
    ("GET", f"{V1}/workflows"): EVERYBODY,
    ("POST", f"{V1}/plans"): PLANNERS,
    ("GET", f"{V1}/plans"): EVERYBODY,
    ("GET", f"{V1}/plans/{{plan_id}}"): EVERYBODY,
    ("DELETE", f"{V1}/plans/{{plan_id}}"): PLANNERS,
    ("GET", f"{V1}/jobs"): EVERYBODY,
    ("GET", f"{V1}/jobs/{{job_id}}"): EVERYBODY,
    ("POST", f"{V1}/jobs/{{job_id}}/cancel"): PLANNERS,
    ("POST", f"{V1}/jobs/{{job_id}}/retry"): PLANNERS,
    ("GET", f"{V1}/jobs/{{job_id}}/events"): EVERYBODY,
    ("GET", f"{V1}/plans/{{plan_id}}/artifacts"): EVERYBODY,
    ("GET", f"{V1}/events"): EVERYBODY,
    ("GET", f"{V1}/artifacts/{{artifact_id}}"): EVERYBODY,
    ("HEAD", f"{V1}/artifacts/{{artifact_id}}"): EVERYBODY,
    ("GET", f"{V1}/auth/me"): EVERYBODY,
    ("POST", f"{V1}/auth/logout"): EVERYBODY,
    ("POST", f"{V1}/auth/password"): EVERYBODY,
    ("POST", f"{V1}/auth/totp/setup"): EVERYBODY,
    ("POST", f"{V1}/auth/totp/confirm"): EVERYBODY,
    ("POST", f"{V1}/auth/totp/disable"): EVERYBODY,
    ("GET", f"{V1}/clinics"): "admin",
    ("POST", f"{V1}/clinics"): "admin",
    ("PATCH", f"{V1}/clinics/{{clinic_id}}"): "admin",
    ("GET", f"{V1}/users"): "admin",
    ("POST", f"{V1}/users"): "admin",
    ("GET", f"{V1}/users/{{user_id}}"): "admin",
    ("PATCH", f"{V1}/users/{{user_id}}"): "admin",
    ("POST", f"{V1}/users/{{user_id}}/reset-password"): "admin",
    ("POST", f"{V1}/users/{{user_id}}/reset-totp"): "admin",
    ("POST", f"{V1}/users/{{user_id}}/unlock"): "admin",
    ("POST", f"{V1}/users/{{user_id}}/end-sessions"): "admin",
    ("GET", f"{V1}/keys"): "admin",
    ("POST", f"{V1}/keys"): "admin",
    ("DELETE", f"{V1}/keys/{{key_id}}"): "admin",
    ("GET", f"{V1}/rules"): EVERYBODY,
    ("GET", f"{V1}/rules/decisions"): EVERYBODY,
    ("GET", f"{V1}/rules/{{rule_id}}"): EVERYBODY,
    ("POST", f"{V1}/rules"): RULE_WRITERS,
    ("POST", f"{V1}/rules/test"): RULE_WRITERS,
    ("POST", f"{V1}/rules/{{rule_id}}/versions"): RULE_WRITERS,
    ("POST", f"{V1}/rules/{{rule_id}}/versions/{{version}}/sign"): "physicist",
    ("POST", f"{V1}/rules/{{rule_id}}/deactivate"): RULE_WRITERS,
    ("GET", f"{V1}/hooks"): EVERYBODY,
    ("GET", "/"): EVERYBODY,
    ("GET", "/list"): EVERYBODY,
    ("GET", "/plan/{plan_id}"): EVERYBODY,
    ("GET", "/plan/{plan_id}/job"): EVERYBODY,
    ("GET", "/password"): EVERYBODY,
    ("GET", f"{V1}/audit"): "admin",
    ("GET", f"{V1}/audit/export"): "admin",
    ("GET", f"{V1}/audit/check"): "admin",
    ("POST", f"{V1}/artifacts/{{artifact_id}}/link"): EVERYBODY,
    ("POST", f"{V1}/erasures"): "admin",
    ("GET", f"{V1}/erasures/{{erasure_id}}"): "admin",
}
"""The roles that may call a route; everybody else gets 403, and whoever does not log in gets 401."""

SILENT = {f"{V1}/info", f"{V1}/workflows"}
"""What the audit log does without."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Callers must say who they are."""
    return settings.model_copy(update={"authentication": "accounts"})


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as found:
            yield found


def filled(path: str) -> str:
    """The path with a name that nothing has."""
    return "/".join("0nothing0" if part.startswith("{") else part for part in path.split("/"))


def test_every_route_is_in_the_table_or_public(app: FastAPI) -> None:
    """A new route is either told here who may call it, or told there that anybody may."""
    routes = {(method, path) for method, path, _ in routes_and_scopes(app)}
    assert routes == set(ALLOWED) | PUBLIC


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_route_that_asks_nothing_keeps_the_server_down(settings: Settings, method: str) -> None:
    """Deny by default: what was forgotten does not start, rather than being open."""
    app = create_app(settings)
    router = APIRouter()

    @router.api_route("/forgotten", methods=[method])
    def forgotten() -> None: ...

    app.include_router(router)
    with pytest.raises(UnguardedRouteError, match=f"{method} /forgotten"):
        check_routes(app)


def test_a_mounted_application_keeps_the_server_down(settings: Settings) -> None:
    """Nothing guards what is mounted, but for the files that are named."""
    app = create_app(settings)
    app.mount("/forgotten", FastAPI())
    with pytest.raises(UnguardedRouteError, match="/forgotten"):
        check_routes(app)


async def test_each_role_may_do_what_the_table_says_and_nothing_else(app: FastAPI, client: httpx.AsyncClient) -> None:
    """Fails when a role gains or loses a route. What is allowed may then fail for other reasons, such as 404."""
    wrong: list[str] = []
    for role in Role:
        headers = login(app, {role})
        for (method, path), allowed in ALLOWED.items():
            async with client.stream(method, filled(path), headers=headers) as answer:  # some have no end
                status = answer.status_code
            if (status == 403) == (role in allowed.split()) or status == 401:
                wrong.append(f"{role} {method} {path}: {status}")
            if path.endswith("/logout"):
                headers = login(app, {role})
    assert not wrong


async def test_every_route_leaves_an_entry_in_the_audit_log(app: FastAPI, client: httpx.AsyncClient) -> None:
    """Done or refused, each once; only what tells nothing of a person or a study leaves none."""
    admin, clinician = login(app, {Role.ADMIN, Role.PHYSICIST}), login(app, {Role.CLINICIAN})
    wanted: list[tuple[str, str]] = []
    for method, path in ALLOWED:
        for headers in (admin, clinician):
            async with client.stream(method, filled(path), headers=headers) as answer:  # some have no end
                status = answer.status_code
            if path not in SILENT or status >= 400:
                wanted.append((f"{method} {path.removeprefix(V1)}", outcome_of(status)))
        if path.endswith("/logout"):
            admin, clinician = login(app, {Role.ADMIN, Role.PHYSICIST}), login(app, {Role.CLINICIAN})
    with app.state.gateway.database.reading() as session:
        rows = session.exec(select(AuditRow).order_by(col(AuditRow.sequence))).all()
        assert [(row.operation, row.outcome) for row in rows] == wanted


async def test_nobody_may_do_anything(client: httpx.AsyncClient) -> None:
    """Without a credential, with one that is nobody's, and with a kind that is not known."""
    for method, path in ALLOWED:
        for headers in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic YTpi"}):
            answer = await client.request(method, filled(path), headers=headers)
            assert answer.status_code == 401, (method, path, headers)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
