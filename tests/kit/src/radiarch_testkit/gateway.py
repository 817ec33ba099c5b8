"""A gateway served for a test, and a hand that plays the planner and the stages around it."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import uvicorn
from fastapi import FastAPI
from radiarch_common.bus import BUS_ERRORS, Bus
from radiarch_common.catalogue import Catalogue
from radiarch_common.messages import EVENT, utc_now
from radiarch_common.topology import CATALOGUE, CATALOGUE_KEY

T = TypeVar("T")

HANG_S = 30.0
"""What takes longer than this hangs."""


class StageHand:
    """Plays planner and stages on the bus."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._count = 0

    async def offer(self, catalogue: Catalogue) -> None:
        """Publish a catalogue, as a planner does at its start."""
        await (await self.bus.bucket(CATALOGUE)).put(CATALOGUE_KEY, catalogue.model_dump_json().encode())

    async def say(self, job_id: str, stage: str, kind: str, *, message_id: str | None = None, **own: object) -> None:
        """Publish an event, of the first attempt of the first run unless ``own`` says otherwise."""
        self._count += 1
        common = {"job_id": job_id, "stage": stage, "kind": kind, "attempt": 1, "run": 1, "at": utc_now()}
        event = EVENT.validate_python({**common, **own})
        while True:  # the server may just be restarting; it stores one event under one id
            try:
                await self.bus.send_event(event, message_id or f"{job_id}-said-{self._count}")
            except BUS_ERRORS:
                await asyncio.sleep(0.1)
            else:
                return


@contextmanager
def served(app: FastAPI, port: int = 0) -> Generator[str]:
    """The application on a port, else one of its own, in a thread of its own; its address."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_config=None, lifespan="on", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="gateway")
    thread.start()
    try:
        end = time.monotonic() + HANG_S
        while not server.started:
            assert thread.is_alive(), "the gateway did not start"
            assert time.monotonic() < end, "the gateway hangs at its start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


async def until(ask: Callable[[], Awaitable[T]], holds: Callable[[T], object]) -> T:
    """Ask again until something holds of the answer."""
    end = time.monotonic() + HANG_S
    while not holds(answer := await ask()):
        assert time.monotonic() < end, f"waited in vain; last seen: {getattr(answer, 'text', answer)}"
        await asyncio.sleep(0.02)
    return answer
