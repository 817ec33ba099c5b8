"""The pulse of a worker: a thread of its own, with a connection of its own, that a busy job cannot stall.

While a job runs it tells the broker that it is worked on, looks whether the claim still stands and whether
somebody cancelled, and publishes the latest progress. All the time it says that this worker is alive.
"""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.kv import KeyValue

from radiarch_common.bus import BUS_ERRORS, Bus, connect, die
from radiarch_common.claims import Claim, Claims
from radiarch_common.messages import StageName
from radiarch_common.run import Run
from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger
from radiarch_common.topology import CLAIMS, WORKER_TTL_S, WORKERS, cancel_subject

TICK_S = 1.0
IN_PROGRESS = b"+WPI"
LOOP_SILENCE_S = 120.0
PULSE_ENDED = 70

log = get_logger(__name__)


@dataclass
class _Beat:
    """A running job and how to reach its message."""

    run: Run
    claim: Claim
    reply: str
    count: int = 0
    last: float = field(default_factory=monotonic)


class Pulse:
    """Starts with the worker and ends with it. ``hold`` and ``release`` bracket one job."""

    def __init__(self, stage: StageName, settings: Settings, main_loop_seen: Callable[[], float]) -> None:
        self._stage: StageName = stage
        self._settings = settings
        self._main_loop_seen = main_loop_seen
        self._beat: _Beat | None = None
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._live, name="pulse", daemon=True)
        self._every_s = settings.ack_wait_s / 3
        self.worker = f"{stage}.{socket.gethostname()}-{os.getpid()}".replace(" ", "-")

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def end(self) -> None:
        """Stop beating; returns when the thread has ended."""
        self._ending.set()
        self._thread.join(timeout=5)

    def hold(self, run: Run, claim: Claim, reply: str) -> None:
        """Keep this job alive from now on."""
        with self._lock:
            self._beat = _Beat(run, claim, reply)

    def release(self) -> None:
        """Let the job go."""
        with self._lock:
            self._beat = None

    def _live(self) -> None:
        """A worker whose pulse has ended would lose every job to another worker without knowing: it ends too."""
        try:
            asyncio.run(self._beat_for_ever())
        finally:
            if not self._ending.is_set():
                log.critical("the pulse has ended; ending the process", cause=repr(sys.exception()))
                os._exit(PULSE_ENDED)

    async def _closed(self) -> None:
        if not self._ending.is_set():
            await die()

    async def _beat_for_ever(self) -> None:
        client = await connect(self._settings, f"{self._stage}-pulse", closed=self._closed)
        bus = Bus(client)
        alive = 0.0
        subscribed: _Beat | None = None
        subscription: Subscription | None = None
        try:
            while not self._ending.is_set():
                with self._lock:
                    beat = self._beat
                if beat is not subscribed:  # not by job id: the same job comes again as another run of the work
                    if subscription is not None:
                        with suppress(*BUS_ERRORS):
                            await subscription.unsubscribe()
                    subscription = await _on_cancel(client, beat.run) if beat else None
                    subscribed = beat
                if monotonic() - alive > WORKER_TTL_S / 3:
                    alive = monotonic()
                    await self._say_alive(bus)
                if beat is not None:
                    await self._look_after(bus, beat)
                await asyncio.sleep(min(TICK_S, self._every_s / 2) if beat else 0.05)
        finally:
            with suppress(*BUS_ERRORS):
                await client.close()

    async def _say_alive(self, bus: Bus) -> None:
        """Presence, unless the main loop has been silent for so long that it must be stuck."""
        if monotonic() - self._main_loop_seen() > LOOP_SILENCE_S:
            return
        with suppress(*BUS_ERRORS):
            await (await bus.bucket(WORKERS)).put(self.worker, b"")

    async def _look_after(self, bus: Bus, beat: _Beat) -> None:
        if monotonic() - beat.last >= self._every_s or beat.count == 0:
            beat.count += 1
            beat.last = monotonic()
            with suppress(*BUS_ERRORS):
                await self._keep(bus, beat)
        with suppress(*BUS_ERRORS):
            await self._publish_progress(bus, beat)

    async def _keep(self, bus: Bus, beat: _Beat) -> None:
        if beat.run.stop_reason == "fenced":
            return  # the message is another worker's: kept busy by us, it would outlive that one's death
        await bus.client.publish(beat.reply, IN_PROGRESS)
        await self._look_at_claim(await bus.bucket(CLAIMS), beat)
        if await bus.is_cancelled(beat.run.job.job_id):
            beat.run.stop("cancelled")

    async def _publish_progress(self, bus: Bus, beat: _Beat) -> None:
        event = beat.run.take_progress()
        if event is not None:
            stamp = int(event.at.timestamp() * 1000)
            await bus.send_event(event, f"{event.job_id}:{event.run}:{event.stage}:{event.attempt}:p{stamp}")

    @staticmethod
    async def _look_at_claim(bucket: KeyValue, beat: _Beat) -> None:
        if await Claims(bucket).token(beat.claim.key) != beat.claim.token:
            beat.run.stop("fenced")


async def _on_cancel(client: Client, run: Run) -> Subscription:
    async def heard(_: Msg) -> None:
        run.stop("cancelled")

    return await client.subscribe(cancel_subject(run.job.job_id), cb=heard)
