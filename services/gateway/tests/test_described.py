"""Whatever the layers around the application answer, to whichever operation, is in its description."""

import re
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI
from radiarch_common.settings import Settings
from radiarch_gateway.app import create_app
from radiarch_gateway.auth.guard import PUBLIC
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.edge.rates import PROBES
from radiarch_testkit.described import Described
from radiarch_testkit.people import login
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

ONE = 1


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """No bus, which nothing here needs; with a login."""
    return settings.model_copy(update={"nats_url": "nats://127.0.0.1:9", "authentication": "accounts"})


def operations(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of all that is described, something in place of every parameter."""
    for path, found in app.openapi()["paths"].items():
        yield from ((method.upper(), re.sub(r"\{.*?\}", "something", path)) for method in found)


async def statuses(
    app: FastAPI, headers: dict[str, str], *, but: str = "never", public: bool = True
) -> AsyncIterator[tuple[str, int]]:
    """What each operation answers; ``but`` begins the paths that are left out."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    open_to_all = {(method, re.sub(r"\{.*?\}", "something", path)) for method, path in PUBLIC}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for method, path in operations(app):
            if not path.startswith(but) and (public or (method, path) not in open_to_all):
                answer = await client.request(method, path, headers=headers)
                yield f"{method} {path}", answer.status_code


async def test_a_name_that_is_not_served_is_refused_at_every_operation(settings: Settings) -> None:
    """Fails, by the ``described`` fixture too, when 421 is missing in the description of one operation."""
    app = create_app(settings.model_copy(update={"authentication": "none"}))
    found = [item async for item in statuses(app, {"Host": "radiarch.example"})]
    assert found
    assert {status for _, status in found} == {421}, found


async def test_a_body_too_long_is_refused_at_every_operation(app: FastAPI) -> None:
    """Also where none is expected: its length is announced, and nothing of it is read."""
    found = [item async for item in statuses(app, {"Content-Length": "999999999"})]
    assert {status for _, status in found} == {413}, found


async def test_too_many_calls_are_refused_at_every_operation(settings: Settings) -> None:
    """Of who has no credential, and of who asks what needs none; probes of health are not counted."""
    limits = {"rate_limit_per_min": ONE, "rate_limit_public_per_min": ONE}
    app = create_app(settings.model_copy(update=limits))
    app.state.gateway.database.migrate()
    async for _ in statuses(app, {}, but=PROBES):
        pass
    found = [item async for item in statuses(app, {}, but=PROBES)]
    assert {status for _, status in found} == {429}, found


async def test_no_database_is_told_at_every_guarded_operation(settings: Settings) -> None:
    """Nobody can be asked who they are: its tables are not there."""
    given = create_app(settings)
    given.state.gateway.database.migrate()
    headers = login(given, {Role.ADMIN})
    app = create_app(settings.model_copy(update={"database_url": "sqlite://"}))
    app.state.gateway.secret = given.state.gateway.secret
    found = [item async for item in statuses(app, headers, but=PROBES, public=False)]
    assert {status for _, status in found} == {503}, found


async def test_a_layer_that_answers_otherwise_is_found_out(app: FastAPI, described: Described) -> None:
    """What the ``described`` fixture is for; at old paths and by HEAD too, and where no operation is, never."""
    app.add_middleware(Teapot)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for path in ("/api/v1/jobs/something", "/jobs", "/docs", "/api/v1/nothing"):
            await client.get(path)
        await client.head("/api/v1/artifacts/something/file")
        await client.put("/api/v1/jobs")
    assert described.otherwise == [
        "GET /api/v1/jobs/{job_id}: 418",
        "GET /api/v1/jobs: 418",
        "HEAD /api/v1/artifacts/{artifact_id}/file: 418",
    ]
    described.otherwise.clear()


class Teapot:
    """A layer that nobody described."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        await Response(status_code=418)(scope, receive, send)
