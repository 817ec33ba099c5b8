"""A line of one toy stage on a real bus: workers that can be killed, and what the bus holds."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from radiarch_common.bus import Bus
from radiarch_common.messages import EVENT, Event, JobMessage
from radiarch_common.settings import Settings
from radiarch_common.topology import EVENTS

HANG_S = 60.0


class Line:
    """Workers of the toy stage, and what the bus holds."""

    def __init__(self, bus: Bus, settings: Settings, folder: Path, program: Path) -> None:
        self.bus = bus
        self.settings = settings
        self.folder = folder
        self.program = program
        self.workers: list[subprocess.Popen[bytes]] = []

    def toy(self, what: str) -> None:
        """Say what the next attempts do."""
        (self.folder / "toy").write_text(what)

    def worker(self, **settings: str) -> "subprocess.Popen[bytes]":
        """Start one more worker; ``settings`` are variables of its environment."""
        env = os.environ | {
            "RADIARCH_NATS_URL": self.settings.nats_url,
            "RADIARCH_ACK_WAIT_S": str(self.settings.ack_wait_s),
            "RADIARCH_RETRY_FIRST_S": "0.1",
            "RADIARCH_RETRY_LONGEST_S": "0.3",
            "RADIARCH_OBJECTS_FOLDER": str(self.folder / "objects"),
            "TOY_FOLDER": str(self.folder),
            **settings,
        }
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, str(self.program)], env=env, stderr=log)
        self.workers.append(process)
        return process

    async def send(self, job: JobMessage) -> None:
        """Publish a job for the toy stage."""
        await self.bus.send_job("importer", job)

    async def events(self) -> list[Event]:
        """Every event so far, in order."""
        config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE)
        subscription = await self.bus.js.pull_subscribe("events.*.*.*", stream=EVENTS, config=config)
        info = await self.bus.js.stream_info(EVENTS)
        found: list[Event] = []
        while len(found) < info.state.messages:
            found += [EVENT.validate_json(m.data) for m in await subscription.fetch(100, timeout=5)]
        await subscription.unsubscribe()
        return found

    async def until(self, holds: Callable[[list[Event]], bool]) -> list[Event]:
        """Events once something holds of them; fails after a minute, which only a hang takes."""
        async with asyncio.timeout(HANG_S):
            while True:
                found = await self.events()
                if holds(found):
                    return found
                await asyncio.sleep(0.05)

    async def until_kind(self, kind: str, times: int = 1) -> list[Event]:
        """Events once ``times`` of one kind are there."""
        return await self.until(lambda events: sum(e.kind == kind for e in events) >= times)

    def starts(self) -> list[tuple[int, int]]:
        """(pid, attempt) of every start of the toy's function."""
        file = self.folder / "starts"
        lines = file.read_text().splitlines() if file.is_file() else []
        return [(int(pid), int(attempt)) for pid, attempt in (line.split() for line in lines)]

    async def pending_jobs(self, stream: str = "JOBS") -> dict[str, int]:
        """How many messages each subject of a stream holds."""
        info = await self.bus.js.stream_info(stream, subjects_filter=">")
        return info.state.subjects or {}

    async def until_gone(self, subject: str) -> None:
        """Returns when the work queue holds nothing under ``subject``; fails when it never does."""
        async with asyncio.timeout(HANG_S):
            while subject in await self.pending_jobs():  # noqa: ASYNC110 - another process empties it
                await asyncio.sleep(0.05)
