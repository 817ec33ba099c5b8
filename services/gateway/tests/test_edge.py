"""The web edge: what every request and every answer passes."""

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
import structlog
from fastapi import FastAPI
from pydantic import ValidationError
from radiarch_common.settings import Settings
from radiarch_gateway.app import create_app
from radiarch_gateway.auth.guard import InfoReader
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.edge.rates import neighbourhood
from radiarch_gateway.edge.slow import http_protocol
from radiarch_testkit.gateway import HANG_S, served
from radiarch_testkit.people import login

PAGE = "https://viewer.example"
V1 = "/api/v1"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A gateway without a bus, which nothing here needs; small limits."""
    return settings.model_copy(
        update={
            "nats_url": "nats://127.0.0.1:9",
            "authentication": "accounts",
            "max_body_bytes": 2048,
            "cors_origins": [PAGE],
        }
    )


def client_of(app: FastAPI, address: str = "192.0.2.1", scheme: str = "http") -> httpx.AsyncClient:
    """A client of the application without a socket; a defect is answered, not raised."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1234))
    return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://gateway")


@pytest.fixture
def migrated(app: FastAPI) -> FastAPI:
    """The application with its tables, its background work not started."""
    app.state.gateway.database.migrate()
    return app


@pytest.fixture
async def client(migrated: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(migrated) as found:
        yield found
    migrated.state.gateway.database.close()


def with_defect(app: FastAPI) -> FastAPI:
    @app.get(f"{V1}/defect")
    def defect(_: InfoReader) -> None:  # pyright: ignore[reportUnusedFunction]
        raise ZeroDivisionError

    return app


async def test_every_answer_has_the_security_headers_a_defects_too(
    client: httpx.AsyncClient, migrated: FastAPI
) -> None:
    """Fails when a layer moves inside the application, whose answers to its own defects then lack them."""
    headers = login(with_defect(migrated), {Role.ADMIN})
    for path, status in (("/health/live", 200), (f"{V1}/nothing", 404), (f"{V1}/defect", 500), (f"{V1}/jobs", 200)):
        answer = await client.get(path, headers=headers)
        assert answer.status_code == status
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "Strict-Transport-Security" not in answer.headers
        assert (answer.headers.get("Cache-Control") == "no-store") == path.startswith(V1)
        assert answer.headers["X-Request-ID"]


async def test_strict_transport_security_is_said_over_tls_alone(migrated: FastAPI) -> None:
    async with client_of(migrated, scheme="https") as client:
        assert "max-age" in (await client.get("/health/live")).headers["Strict-Transport-Security"]


async def test_a_proxy_that_speaks_tls_is_enough_for_strict_transport_security(settings: Settings) -> None:
    """The proxy need not be among those whose headers are believed: fails when the scheme of its own line decides."""
    async with client_of(create_app(settings.model_copy(update={"tls_by_proxy": True}))) as client:
        for path in ("/health/live", "/docs"):
            assert "max-age" in (await client.get(path)).headers["Strict-Transport-Security"]


async def test_the_documentation_may_run_its_own_inline_script(client: httpx.AsyncClient) -> None:
    """Fails when the page changes and its script's digest does not: Swagger UI would stay empty."""
    for path in ("/docs", "/docs/oauth2-redirect", "/redoc"):
        page = await client.get(path)
        policy = page.headers["Content-Security-Policy"]
        for script in re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
    assert "sha256" not in (await client.get("/health/live")).headers["Content-Security-Policy"]


async def test_only_listed_pages_may_call(client: httpx.AsyncClient) -> None:
    """Another origin, and one that begins or ends like a listed one, get no permission."""
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, idempotency-key",
    }
    allowed = await client.options(f"{V1}/plans", headers={"Origin": PAGE, **asked})
    assert allowed.headers["Access-Control-Allow-Origin"] == PAGE
    shown = (await client.get("/health/live", headers={"Origin": PAGE})).headers["Access-Control-Expose-Headers"]
    assert {"Location", "ETag", "Retry-After"} <= set(shown.split(", "))
    for origin in ("https://evil.example", f"{PAGE}.evil.example", "http://viewer.example", "null"):
        refused = await client.options(f"{V1}/plans", headers={"Origin": origin, **asked})
        assert "Access-Control-Allow-Origin" not in refused.headers
    failed = await client.get(f"{V1}/jobs", headers={"Origin": PAGE})
    assert failed.status_code == 401
    assert failed.headers["Access-Control-Allow-Origin"] == PAGE


@pytest.mark.parametrize("origin", ["*", "https://*.example", "https://viewer.example/", "viewer.example"])
def test_an_origin_is_exact(origin: str) -> None:
    with pytest.raises(ValidationError, match="cors_origins"):
        Settings(cors_origins=[origin])


async def test_a_body_is_limited_announced_or_not(client: httpx.AsyncClient, migrated: FastAPI) -> None:
    """Chunks have no Content-Length: they are counted as they come."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 1024

    headers = login(migrated, {Role.PHYSICIST}) | {"Content-Type": "application/json"}
    for content in (b" " * 2049, chunks()):
        answer = await client.post(f"{V1}/plans", content=content, headers=headers)
        assert answer.status_code == 413
        assert answer.json()["status"] == 413
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await client.post(f"{V1}/plans", content=b"{}", headers=headers)).status_code == 422


async def test_a_body_that_stalls_is_given_up(settings: Settings) -> None:
    """Its part came; the next does not."""
    app = create_app(settings.model_copy(update={"slow_client_s": 0.05}))
    app.state.gateway.database.migrate()
    headers = login(app, {Role.PHYSICIST})
    with served(app) as url:
        assert (await _half_a_body(url, headers)).startswith(b"HTTP/1.1 408 ")


async def _half_a_body(url: str, headers: dict[str, str]) -> bytes:
    import asyncio

    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    lines = [f"POST {V1}/plans HTTP/1.1", "Host: x", "Content-Length: 100", *(f"{k}: {v}" for k, v in headers.items())]
    writer.write("\r\n".join([*lines, "Content-Type: application/json", "", '{"study']).encode())
    async with asyncio.timeout(HANG_S):
        answer = await reader.readline()
    writer.close()
    return answer


async def test_headers_that_do_not_come_end_the_connection() -> None:
    """Half a request's line, and headers without an end: closed, without an answer."""
    import asyncio

    import uvicorn
    from uvicorn.server import ServerState

    async def nothing(scope: object, receive: object, send: object) -> None: ...

    config = uvicorn.Config(nothing, interface="asgi3", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    kind = http_protocol(0.05)
    server = await asyncio.get_running_loop().create_server(
        lambda: kind(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    port: int = server.sockets[0].getsockname()[1]
    endless = b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(200))
    try:
        for sent in (b"", b"GET / HT", endless):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            async with asyncio.timeout(HANG_S):
                assert await reader.read() == b""
            writer.close()
    finally:
        server.close()


async def test_a_caller_who_calls_too_often_waits_and_others_do_not(settings: Settings) -> None:
    """By caller, not by address: two colleagues behind one address do not count for each other."""
    app = create_app(settings.model_copy(update={"rate_limit_per_min": 3}))
    app.state.gateway.database.migrate()
    one, other = login(app, {Role.CLINICIAN}), login(app, {Role.CLINICIAN})
    async with client_of(app) as client:
        answers = [await client.get(f"{V1}/jobs", headers=one) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["RateLimit"].startswith('"caller";r=2;t=')
        assert answers[0].headers["RateLimit-Policy"] == '"caller";q=3;w=60'
        refused = answers[3]
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert refused.json()["detail"] == "More than 3 calls a minute."
        assert (await client.get("/jobs", headers=one)).status_code == 429, "the old path is a way around"
        assert (await client.get(f"{V1}/jobs", headers=other)).status_code == 200


async def test_what_asks_nobody_is_limited_by_address(settings: Settings) -> None:
    """Told by its own limit; a forged X-Forwarded-For does not help, and health is always told."""
    app = create_app(settings.model_copy(update={"rate_limit_per_min": 4, "rate_limit_public_per_min": 2}))
    async with client_of(app) as client:
        forged = {"X-Forwarded-For": "203.0.113.9"}
        statuses = [(await client.post("/anything", headers=forged)).status_code for _ in range(3)]
        assert statuses == [404, 404, 429]
        assert (await client.get("/openapi.json")).status_code == 200
        assert [(await client.get("/health/live")).status_code for _ in range(6)] == [200] * 6
    async with client_of(app, "192.0.2.2") as elsewhere:
        assert (await elsewhere.post("/anything")).status_code == 404


async def test_a_trusted_proxy_tells_the_address_and_the_scheme(settings: Settings) -> None:
    """Only the proxy that was named: from it, two clients are two; from elsewhere its words are nothing."""
    told = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}
    app = create_app(settings.model_copy(update={"rate_limit_public_per_min": 1, "trusted_proxies": ["10.0.0.0/8"]}))
    async with client_of(app, "10.1.2.3") as proxy:
        assert (await proxy.post("/x", headers=told)).status_code == 404
        assert (await proxy.post("/x", headers=told)).status_code == 429
        assert (await proxy.post("/x", headers=told | {"X-Forwarded-For": "203.0.113.10"})).status_code == 404
        assert "Strict-Transport-Security" in (await proxy.get("/health/live", headers=told)).headers
    async with client_of(app, "192.0.2.1") as stranger:
        assert "Strict-Transport-Security" not in (await stranger.get("/health/live", headers=told)).headers


def test_an_address_of_ipv6_counts_by_its_network() -> None:
    """One subscriber has 2**64 of them."""
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff:1") != neighbourhood("2001:db8:0:1::1")
    assert neighbourhood("192.0.2.1") == "192.0.2.1"


async def test_old_paths_answer_the_same_and_say_that_they_are_old(
    client: httpx.AsyncClient, migrated: FastAPI
) -> None:
    """The same guard, the same answer; the name of the successor with it."""
    headers = login(migrated, {Role.PHYSICIST})
    for path in ("/plans", "/jobs?limit=3", "/plans/0nothing0", "/jobs/0nothing0/events", "/artifacts/0nothing0"):
        old, new = await client.get(path, headers=headers), await client.get(V1 + path, headers=headers)
        assert (old.status_code, old.content) == (new.status_code, new.content)
        assert old.headers["Deprecation"] == "@1764028800"
        assert old.headers["Link"] == f'<{V1}{path.split("?")[0]}>; rel="successor-version"'
        assert old.headers["Cache-Control"] == new.headers["Cache-Control"]
        assert "Deprecation" not in new.headers
        assert (await client.get(path)).status_code == 401
    assert (await client.post("/plans", json={}, headers=login(migrated, {Role.RADIOLOGIST}))).status_code == 403


async def test_the_log_names_the_request_and_no_query(client: httpx.AsyncClient, migrated: FastAPI) -> None:
    """A signed link's signature, and whatever of a patient stands in an address, stay out of it."""
    headers = login(migrated, {Role.PHYSICIST})
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as told:
        given = "0123456789abcdef-0123"
        answer = await client.get(f"{V1}/jobs/PLANTED?signature=PLANTED", headers=headers | {"X-Request-ID": given})
        assert answer.headers["X-Request-ID"] == given
        made = await client.get(f"{V1}/PLANTED", headers=headers | {"X-Request-ID": "PLANTED^NAME"})
        assert re.fullmatch(r"[0-9a-f-]{36}", made.headers["X-Request-ID"])
    assert [(line["event"], line["route"], line["status"]) for line in told] == [
        ("request", f"{V1}/jobs/{{job_id}}", 422),
        ("request", None, 404),
    ]
    assert told[0]["request_id"] == given
    assert told[0]["caller"].startswith("user:")
    assert "PLANTED" not in json.dumps(told)


async def test_the_bus_is_described_to_anybody(client: httpx.AsyncClient) -> None:
    """Without a login: it is the contract, and tells nothing of a deployment."""
    document = (await client.get("/asyncapi.json")).json()
    assert document["asyncapi"] == "3.0.0"
    assert document["channels"]["jobs.plan"]["address"] == "jobs.plan.{job_id}"
