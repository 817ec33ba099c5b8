"""The stream of all jobs: whose it shows, when it ends, and that no break of anything costs or repeats an event."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from radiarch_common.catalogue import Catalogue
from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from radiarch_gateway.app import create_app
from radiarch_gateway.auth import standing
from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.models import SessionRow
from radiarch_gateway.auth.scopes import Role
from radiarch_gateway.auth.standing import stands
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_standalone.ports import free_port
from radiarch_testkit.gateway import HANG_S, StageHand, served, until
from radiarch_testkit.people import login
from sqlmodel import select

STEPS = 30


class Viewer:
    """A page that follows all jobs, and comes back after each break with what it saw last."""

    def __init__(self, client: httpx.AsyncClient, headers: dict[str, str] | None = None) -> None:
        self._client = client
        self._headers = headers or {}
        self.seen: list[dict[str, Any]] = []
        self.last: str | None = None

    async def follow(self) -> None:
        """Until the stream ends."""
        headers = self._headers | ({} if self.last is None else {"Last-Event-ID": self.last})
        data = ""
        async with self._client.stream("GET", "/api/v1/events", headers=headers) as answer:
            assert answer.status_code == 200
            async for line in answer.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "data":
                    data = value
                elif name == "id":
                    self.last = value
                elif not line and data:
                    self.seen.append(json.loads(data))
                    data = ""

    async def follow_for_ever(self) -> None:
        """Again and again, as a page does."""
        while True:
            try:
                await self.follow()
            except httpx.TransportError:
                await asyncio.sleep(0.05)

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        """Follow while the block lasts, from a moment before it begins."""
        task = asyncio.create_task(self.follow_for_ever())
        await until(lambda: asyncio.sleep(0, self.last), lambda last: last is not None)
        try:
            yield
        finally:
            task.cancel()

    def said(self) -> list[str]:
        """What progress said."""
        return [event["message"] for event in self.seen if event["kind"] == "progress"]

    async def until_seen(self, number: int) -> None:
        """So many events."""
        await until(lambda: asyncio.sleep(0, len(self.seen)), lambda found: found >= number)


class Gateway:
    """The gateway as a process of its own, on one port."""

    def __init__(self, settings: Settings, port: int, log: Path) -> None:
        self._env = {name: value for name, value in os.environ.items() if not name.startswith("RADIARCH_")} | {
            "RADIARCH_NATS_URL": settings.nats_url,
            "RADIARCH_DATABASE_URL": settings.database_url,
            "RADIARCH_OBJECTS_FOLDER": str(settings.objects_folder),
            "RADIARCH_PACS": json.dumps({name: pacs.model_dump(mode="json") for name, pacs in settings.pacs.items()}),
            "RADIARCH_HTTP_PORT": str(port),
            "RADIARCH_ACK_WAIT_S": str(settings.ack_wait_s),
            "RADIARCH_AUTHENTICATION": "none",
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start; returns when it listens."""
        self._log.write_bytes(b"")
        with self._log.open("ab") as log:
            program = [sys.executable, "-m", "radiarch_gateway"]
            self._process = subprocess.Popen(program, env=self._env, stderr=log)  # noqa: ASYNC220 - milliseconds
        while b'"listening"' not in self._log.read_bytes():
            assert self._process.poll() is None, self._log.read_text()
            await asyncio.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


async def test_nothing_is_missed_and_nothing_seen_twice_across_killed_processes(
    tmp_path: Path,
    nats_server: EmbeddedNats,
    stage_hand: StageHand,
    settings: Settings,
    catalogue: Catalogue,
    body: dict[str, Any],
) -> None:
    """The gateway and then the bus are killed with SIGKILL while a job goes on; the page comes back by itself."""
    await stage_hand.offer(catalogue)
    port = free_port()
    gateway = Gateway(settings, port, tmp_path / "gateway.log")
    await gateway.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=HANG_S) as client:
            job_id = await _taken(client, body)
            viewer = Viewer(client)
            async with viewer.watching():
                for step in range(STEPS):
                    if step == STEPS // 3:
                        gateway.kill()
                    if step == STEPS // 2:
                        await gateway.start()
                    if step == 2 * STEPS // 3:
                        nats_server.stop(signal.SIGKILL)
                        nats_server.start()
                    await stage_hand.say(job_id, "planner", "progress", progress=step / STEPS, message=f"step {step}")
                await until(lambda: asyncio.sleep(0, viewer.said()), lambda said: len(said) >= STEPS)
        assert viewer.said() == [f"step {step}" for step in range(STEPS)]
    finally:
        gateway.kill()


async def test_each_clinic_sees_its_own_jobs(
    settings: Settings, stage_hand: StageHand, catalogue: Catalogue, body: dict[str, Any]
) -> None:
    """Fails if an event of another clinic's job is sent, or one's own is not."""
    await stage_hand.offer(catalogue)
    app = create_app(settings.model_copy(update={"authentication": "accounts"}))
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            people = {clinic: login(app, {Role.CLINICIAN}, clinic) for clinic in ("north", "south")}
            viewers = {clinic: Viewer(client, headers) for clinic, headers in people.items()}
            async with viewers["north"].watching(), viewers["south"].watching():
                jobs = {clinic: await _taken(client, body, headers) for clinic, headers in people.items()}
                for clinic in (*people, *people):
                    await stage_hand.say(jobs[clinic], "planner", "started")
                for viewer in viewers.values():
                    await viewer.until_seen(3)
    for clinic, viewer in viewers.items():
        # The played planner does not wait for its message: it may be quicker than the gateway's own word.
        assert sorted(event["kind"] for event in viewer.seen) == ["requested", "started", "started"]
        assert {event["job_id"] for event in viewer.seen} == {jobs[clinic]}


async def test_a_stream_ends_with_its_login(
    settings: Settings, stage_hand: StageHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who was logged out does not go on looking. Fails if only the next request asks who it is."""
    monkeypatch.setattr(standing, "LOOK_EVERY_S", 0.1)
    app = create_app(settings.model_copy(update={"authentication": "accounts"}))
    with served(app) as url:
        async with httpx.AsyncClient(base_url=url, timeout=HANG_S) as client:
            viewer = Viewer(client, login(app, {Role.CLINICIAN}))
            following = asyncio.create_task(viewer.follow())
            await until(lambda: asyncio.sleep(0, viewer.last), lambda last: last is not None)
            assert not following.done()
            _log_everybody_out(app)
            async with asyncio.timeout(HANG_S):
                await following


def test_what_was_not_given_here_has_nothing_to_end(app: FastAPI) -> None:
    """Callers of an issuer end with their token; an account or a key that is not there is no right."""
    database = app.state.gateway.database
    database.migrate()
    common: dict[str, Any] = {"name": "", "clinic_id": "main", "scopes": frozenset()}
    right = {who: stands(database, Caller(id=who, **common)) for who in ("local", "oidc:1", "user:1", "key:1")}
    database.close()
    assert right == {"local": True, "oidc:1": True, "user:1": False, "key:1": False}


def _log_everybody_out(app: FastAPI) -> None:
    with app.state.gateway.database.writing() as session:
        for row in session.exec(select(SessionRow)).all():
            row.revoked_at = utc_now()
            session.add(row)


async def _taken(client: httpx.AsyncClient, body: dict[str, Any], headers: dict[str, str] | None = None) -> str:
    async def ask() -> httpx.Response:
        try:
            return await client.post("/api/v1/plans", json=body, headers=headers)
        except httpx.ConnectError:
            return httpx.Response(503)

    return (await until(ask, lambda answer: answer.status_code == 202)).json()["id"]
