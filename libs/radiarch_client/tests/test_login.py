"""Logging in, staying logged in, and when that ends."""

import asyncio
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from radiarch_client import AsyncRadiarch, LoginNeededError, Radiarch, Tokens, UnavailableError
from radiarch_testkit.played import QUICK, SERVER, Played, problem

JOBS = {"items": [], "next_cursor": None}
AT_ONCE = 8


class Door:
    """A gateway's door: each refresh token is good once, and only the latest access token counts."""

    def __init__(self, *, lives_s: float = 3600.0) -> None:
        self.lives_s = lives_s
        self.count = 0
        self.refreshed: list[str] = []
        self.lock = threading.Lock()

    def tokens(self) -> httpx.Response:
        self.count += 1
        return httpx.Response(
            200,
            json={
                "access_token": f"access-{self.count}",
                "token_type": "Bearer",
                "expires_in_s": self.lives_s,
                "refresh_token": f"refresh-{self.count}",
                "must_change_password": False,
            },
        )

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            path = request.url.path.removeprefix("/api/v1")
            if path == "/auth/login":
                return self.tokens()
            if path == "/auth/refresh":
                self.refreshed.append(request.content.decode())
                if f"refresh-{self.count}" not in request.content.decode():
                    return problem(401, "This refresh token was used before.")
                self.lives_s = 3600.0
                return self.tokens()
            if request.headers.get("Authorization") != f"Bearer access-{self.count}":
                return problem(401, "The access token has expired.")
            return httpx.Response(204) if path == "/auth/logout" else httpx.Response(200, json=JOBS)


class Kept:
    """Tokens as another process would find them."""

    def __init__(self, tokens: Tokens | None = None) -> None:
        self.tokens = tokens

    def read(self) -> Tokens | None:
        return self.tokens

    def write(self, tokens: Tokens | None) -> None:
        self.tokens = tokens

    @contextmanager
    def alone(self) -> Generator[None]:
        yield


def kept(count: int, lives_s: float) -> Kept:
    return Kept(
        Tokens(access_token=f"access-{count}", refresh_token=f"refresh-{count}", expires_at=time.time() + lives_s)
    )


def test_a_login_is_kept_and_used(client: Played) -> None:
    """Fails when the next client with the same store is nobody."""
    store = client.options["store"] = Kept()
    client.handler = Door()
    client(lambda c: c.login("anna", "secret", "123456"))
    assert b'"username":"anna"' in client.seen[0].content
    assert b'"totp_code":"123456"' in client.seen[0].content
    assert "Authorization" not in client.seen[0].headers
    assert client(lambda c: c.jobs()) == []
    assert client.seen[-1].headers["Authorization"] == "Bearer access-1"
    client(lambda c: c.logout())
    assert store.tokens is None
    with pytest.raises(LoginNeededError):
        client(lambda c: c.jobs())


def test_an_access_token_is_renewed_before_and_after_its_end(client: Played) -> None:
    """Before: its time is nearly over on our clock. After: the server says 401, whatever our clock says."""
    door = client.handler = Door()
    door.count = 1
    client.options["store"] = kept(1, 5.0)
    client(lambda c: c.jobs())
    assert [request.url.path for request in client.seen] == ["/api/v1/auth/refresh", "/api/v1/jobs"]
    door.count = 3
    store = client.options["store"] = Kept(
        Tokens(access_token="old", refresh_token="refresh-3", expires_at=time.time() + 3600)
    )
    client(lambda c: c.jobs())
    assert store.tokens is not None
    assert store.tokens.access_token == "access-4"


def test_threads_renew_once() -> None:
    """Eight threads meet an ended access token at once: a second use of a refresh token would end the login."""
    door = Door()
    door.count = 1
    with (
        Radiarch(SERVER, transport=httpx.MockTransport(door), store=kept(1, 0.0), patience=QUICK) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        asked = [pool.submit(lambda: list(client.jobs())) for _ in range(AT_ONCE)]
        assert [found.result() for found in asked] == [[]] * AT_ONCE
    assert len(door.refreshed) == 1


async def test_tasks_renew_once() -> None:
    """The same for tasks of one event loop, whose requests are really under way together."""
    door = Door()
    door.count = 1

    async def handle(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        return door(request)

    store = kept(1, 3600.0)
    store.tokens = Tokens(access_token="ended", refresh_token="refresh-1", expires_at=time.time() + 3600)
    async with AsyncRadiarch(SERVER, transport=httpx.MockTransport(handle), store=store, patience=QUICK) as client:

        async def ask() -> list[object]:
            return [job async for job in client.jobs()]

        assert await asyncio.gather(*[ask() for _ in range(AT_ONCE)]) == [[]] * AT_ONCE
    assert len(door.refreshed) == 1


def test_what_another_process_renewed_is_taken(client: Played) -> None:
    """Fails when our old refresh token is used although the store has newer tokens."""
    door = client.handler = Door()
    door.count = 2

    class Newer(Kept):
        first = True

        def read(self) -> Tokens | None:
            found, self.first = (kept(1, 0.0) if self.first else kept(2, 3600.0)).tokens, False
            return found

    client.options["store"] = Newer()
    client(lambda c: c.jobs())
    assert door.refreshed == []


def test_a_login_that_was_ended_is_forgotten(client: Played) -> None:
    """Fails when a refused refresh token is tried again and again, or stays in the store."""
    client.handler = lambda _: problem(401, "This login was ended.")
    store = client.options["store"] = kept(1, 0.0)
    with pytest.raises(LoginNeededError, match="Log in again"):
        client(lambda c: c.jobs())
    assert len(client.seen) == 1
    assert store.tokens is None


def test_a_login_is_not_lost_while_the_server_is_down(client: Played) -> None:
    """A 503 to the refresh says nothing about the login."""
    client.handler = lambda _: problem(503, "The database is not reachable.", {"Retry-After": "600"})
    store = client.options["store"] = kept(1, 0.0)
    with pytest.raises(UnavailableError):
        client(lambda c: c.jobs())
    assert store.tokens is not None


def test_a_login_whose_answer_was_lost_is_not_sent_again(client: Played) -> None:
    """A one-time code is good once: sent again, it would count as a wrong one."""

    def cut(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut")

    client.handler = cut
    with pytest.raises(UnavailableError):
        client(lambda c: c.login("anna", "secret", "123456"))
    assert len(client.seen) == 1


def test_a_key_is_sent_and_never_renewed(client: Played) -> None:
    """Fails when a key that is refused makes the client look for a login."""
    client.options["key"] = "radk_one"
    client.handler = lambda _: problem(401, "This key has expired.")
    with pytest.raises(LoginNeededError, match="key has expired"):
        client(lambda c: c.info())
    assert [request.headers["Authorization"] for request in client.seen] == ["Bearer radk_one"]


def test_tokens_are_not_shown() -> None:
    """A traceback or a log line prints objects."""
    assert "access-1" not in repr(kept(1, 1.0).tokens)
