"""How every stage consumes: one job at a time, kept alive, retried later, cancelled, fenced, counted.

A service is one decorated function::

    stage = Stage("importer", takes=ImportStudy, gives="planner")

    @stage
    def import_study(job: ImportStudy, run: Run) -> PlanCase: ...

    if __name__ == "__main__":
        stage.main()

The function runs in a thread. What it returns is the commit: the next stage's job is published (or, for the
last stage, its closing event with the artifacts), and only then is the message acked. It may raise
``RefusedError`` (the job ends, the user reads why), ``UnavailableError`` (the job waits, retried with a
growing delay until its deadline), ``StoppedError`` (it was asked to stop) or anything else (tried again,
given up on after five crashes or failures).
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic
from typing import Generic, TypeVar, cast

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.annotations import NatsMessage
from faststream.security import BaseSecurity, SASLPlaintext
from nats.js.errors import NotFoundError

from radiarch_common.attempts import Attempts
from radiarch_common.bus import BUS_ERRORS, Bus, bus_tls, connect, die
from radiarch_common.delivery import Delivery
from radiarch_common.messages import JobMessage, StageName
from radiarch_common.objects import open_objects
from radiarch_common.pacs import open_pacs
from radiarch_common.pulse import Pulse
from radiarch_common.run import Run
from radiarch_common.settings import Settings, settings_or_exit
from radiarch_common.stage_plan import Neighbours, Outcome, StagePlan
from radiarch_common.telemetry import configure_logging, get_logger
from radiarch_common.topology import JOBS, VERBS, stage_consumer

J = TypeVar("J", bound=JobMessage)
AtStart = Callable[[Bus, Settings], Awaitable[None]]

QUEUE_LOOK_S = 10.0
QUEUE_GONE = 70

log = get_logger(__name__)


class Stage(Generic[J]):
    """A stage of the line: what it takes, who takes over, and the function that does the work.

    Parameters
    ----------
    name
        Also its durable consumer.
    takes
        The message it reads.
    gives
        The stage that takes over; ``None`` for the last one, whose function returns its artifacts.
    """

    def __init__(self, name: StageName, *, takes: type[J], gives: StageName | None) -> None:
        self.name: StageName = name
        self._takes = takes
        self._gives: StageName | None = gives
        self._work: Callable[[J, Run], Outcome] | None = None
        self._at_start: list[AtStart] = []

    def __call__(self, work: Callable[[J, Run], Outcome]) -> Callable[[J, Run], Outcome]:
        """Register the function that does the work; it is returned unchanged, so that tests can call it."""
        self._work = work
        return work

    def at_start(self, hook: AtStart) -> AtStart:
        """Register what a worker does once, before it takes jobs."""
        self._at_start.append(hook)
        return hook

    @property
    def plan(self) -> StagePlan:
        """The stage as the runtime sees it."""
        if self._work is None:
            raise TypeError(f"stage {self.name} has no function")
        return StagePlan(self.name, self._takes, self._gives, cast("Callable[[JobMessage, Run], Outcome]", self._work))

    def main(self) -> None:
        """Run a worker until SIGTERM or SIGINT; the running job is given back at once."""
        settings = settings_or_exit()
        configure_logging(self.name, settings.log_level)
        status = asyncio.run(Worker(self.plan, settings, self._at_start).run())
        # A thread that did not notice the stop must not keep the process: its job has been given back.
        os._exit(status)


class Worker:
    """One process of a stage."""

    def __init__(self, plan: StagePlan, settings: Settings, at_start: list[AtStart]) -> None:
        self._plan = plan
        self._settings = settings
        self._at_start = at_start
        self._loop_seen = monotonic()
        self._ending = asyncio.Event()

    async def run(self) -> int:
        """Take jobs until a signal, or until there is no queue to take them from; the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        ticking = asyncio.create_task(self._tick())
        client = await connect(self._settings, self._plan.name, closed=self._closed)
        bus = Bus(client)
        if not await self._topology_is_there(bus):
            return 0
        for hook in self._at_start:
            await hook(bus, self._settings)
        pulse = Pulse(self._plan.name, self._settings, lambda: self._loop_seen)
        near = Neighbours(bus, open_objects(self._settings), open_pacs(self._settings), self._settings, pulse)
        attempts = Attempts(self._plan, near)
        broker = self._broker(attempts)
        pulse.start()
        await broker.start()
        log.info("ready", worker=pulse.worker)
        status = 0 if await self._queue_stays(bus) else QUEUE_GONE
        log.info("draining")
        await attempts.drain()
        await broker.stop()
        pulse.end()
        ticking.cancel()
        await client.close()
        return status

    async def _queue_stays(self, bus: Bus) -> bool:
        """Whether the consumer is there until this worker is asked to end.

        Without it the broker library asks for jobs without a pause or a word; a new start waits for the bootstrap.
        """
        while not self._ending.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(QUEUE_LOOK_S):
                    await self._ending.wait()
                    break
            try:
                await bus.js.consumer_info(JOBS, self._plan.name)
            except NotFoundError:
                log.critical("the queue has gone; ending the process", stream=JOBS, consumer=self._plan.name)
                self._ending.set()
                return False
            except BUS_ERRORS as error:
                log.warning("bus is not reachable", error=str(error) or type(error).__name__)
        return True

    def _broker(self, attempts: Attempts) -> NatsBroker:
        settings = self._settings
        broker = NatsBroker(
            settings.nats_url,
            name=f"radiarch-{self._plan.name}-jobs",
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            closed_cb=self._closed,
            graceful_timeout=1,
            logger=None,
            security=_security(settings),
        )

        @broker.subscriber(
            f"jobs.{VERBS[self._plan.name]}.*",
            durable=self._plan.name,
            stream=JStream(JOBS, declare=False),
            pull_sub=PullSub(batch_size=1, timeout=2),
            config=stage_consumer(self._plan.name, settings),
            ack_policy=AckPolicy.MANUAL,
        )
        async def take(message: NatsMessage) -> None:  # pyright: ignore[reportUnusedFunction]
            await attempts.handle(cast("Delivery", message.raw_message))

        return broker

    async def _topology_is_there(self, bus: Bus) -> bool:
        """Wait for the bootstrap to have run."""
        told = False
        while not self._ending.is_set():
            try:
                await bus.js.consumer_info(JOBS, self._plan.name)
            except (NotFoundError, *BUS_ERRORS) as error:
                if not told:
                    log.warning("waiting for `python -m radiarch_common.topology`", error=str(error))
                told = True
                await asyncio.sleep(0.5)
            else:
                return True
        return False

    async def _closed(self) -> None:
        if not self._ending.is_set():
            await die()

    async def _tick(self) -> None:
        while True:
            self._loop_seen = monotonic()
            await asyncio.sleep(1.0)


def _security(settings: Settings) -> BaseSecurity | None:
    user, password, tls = settings.nats_user, settings.nats_password, bus_tls(settings)
    if user and password:
        return SASLPlaintext(user, password.get_secret_value(), ssl_context=tls)
    return BaseSecurity(ssl_context=tls) if tls else None
