"""The gateway's parts, put together once."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from anyio.to_thread import current_default_thread_limiter
from fastapi import Depends, Request
from radiarch_common.objects import ObjectStore, open_objects
from radiarch_common.pacs import open_pacs
from radiarch_common.settings import Settings, WebPacsSettings
from radiarch_common.telemetry import get_logger

from radiarch_gateway.accounts.first_admin import first_admin
from radiarch_gateway.aggregate import Aggregator
from radiarch_gateway.artifacts.verified import Verified
from radiarch_gateway.audit.ledger import Audit
from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.doorkeeper import Doorkeeper
from radiarch_gateway.auth.limits import LoginLimits
from radiarch_gateway.auth.login import Logins
from radiarch_gateway.auth.seal import seal_all
from radiarch_gateway.auth.secret import ServerSecret
from radiarch_gateway.auth.sessions import Sessions
from radiarch_gateway.auth.standing import Standing
from radiarch_gateway.bus import Link
from radiarch_gateway.db import AWAY, BACKGROUND_THREADS, REQUEST_THREADS, Database
from radiarch_gateway.edge.rates import Rates
from radiarch_gateway.erasures.eraser import Eraser
from radiarch_gateway.hooks.orthanc import Orthanc
from radiarch_gateway.hooks.store import WatchStore
from radiarch_gateway.hooks.watcher import Watcher
from radiarch_gateway.housekeeping.housekeeper import Housekeeper
from radiarch_gateway.housekeeping.sweeper import Sweeper
from radiarch_gateway.hub import Hub
from radiarch_gateway.info.probes import Probes
from radiarch_gateway.jobs.reconcile import Reconciler
from radiarch_gateway.outbox import Relay
from radiarch_gateway.page.accounts_door import AccountsDoor
from radiarch_gateway.page.door import Door
from radiarch_gateway.plans.intake import Intake
from radiarch_gateway.rules.judge import RuleJudge
from radiarch_gateway.workflows.catalogue import Catalogues

CANCEL_AGAIN_S = 1.0
DATABASE_AGAIN_S = 1.0

log = get_logger(__name__)


@dataclass
class Gateway:
    """What a request may use."""

    settings: Settings
    database: Database
    secret: ServerSecret
    doorkeeper: Doorkeeper
    sessions: Sessions
    logins: Logins
    login_limits: LoginLimits
    audit: Audit
    objects: ObjectStore
    link: Link
    hub: Hub
    catalogues: Catalogues
    relay: Relay
    intake: Intake
    aggregator: Aggregator
    reconciler: Reconciler
    probes: Probes
    housekeeper: Housekeeper
    rates: Rates
    watchers: dict[str, Watcher]
    """By the name of the PACS that is watched."""
    door: Door | None = None
    """Where people log in on the page."""
    verified: Verified = field(default_factory=Verified)
    dead: list[str] = field(default_factory=list[str])
    """Background work that has ended although it must not."""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Migrate the database, and work in the background while the block lasts."""
        current_default_thread_limiter().total_tokens = REQUEST_THREADS
        background = ThreadPoolExecutor(BACKGROUND_THREADS, "background")
        asyncio.get_running_loop().set_default_executor(background)
        await self._migrate()
        tasks = [
            self._start("link", self.link.keep()),
            self._start("relay", self.relay.run()),
            self._start("hub", self.hub.run()),
            self._start("aggregator", self.aggregator.run()),
            self._start("reconciler", self.reconciler.run()),
            *(self._start(f"watch over {name}", watcher.run()) for name, watcher in self.watchers.items()),
            self._start("housekeeper", self.housekeeper.run()),
        ]
        try:
            yield
        finally:
            for task in reversed(tasks):
                await end(task)
            self.probes.close()
            self.database.close()

    def standing(self, caller: Caller) -> Standing:
        """The right of a caller to go on with a stream, as long as an access token lives at the most."""
        return Standing(self.database, caller, self.settings.access_token_min * 60)

    async def _migrate(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.database.migrate)
                await asyncio.to_thread(self.audit.prepare)
                await asyncio.to_thread(seal_all, self.database, self.secret)
                await asyncio.to_thread(first_admin, self.settings, self.database)
            except AWAY as error:
                log.warning("waiting for the database", error=type(error).__name__)
                await asyncio.sleep(DATABASE_AGAIN_S)
            else:
                return

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        def ended(task: "asyncio.Task[None]") -> None:
            if not task.cancelled():
                self.dead.append(name)
                log.critical("background work ended", work=name, exc_info=task.exception())

        task = asyncio.create_task(work, name=name)
        task.add_done_callback(ended)
        return task


async def end(task: "asyncio.Task[None]") -> None:
    """Cancel a task, as often as it takes: a wait with a time-out of Python 3.11 may lose the word as it ends."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_AGAIN_S)


def build(settings: Settings) -> Gateway:
    """Put the parts together; nothing is contacted yet."""
    database = Database(settings.database_url)
    objects = open_objects(settings)
    link = Link(settings)
    secret = ServerSecret(settings, database)
    doorkeeper = Doorkeeper(settings, database, secret)
    sessions = Sessions(settings, database, secret)
    logins = Logins(settings, database, sessions, secret)
    login_limits = LoginLimits(settings.login_tries_per_min)
    door = AccountsDoor(doorkeeper, logins, sessions, login_limits)
    catalogues = Catalogues(link)
    pacs = open_pacs(settings)
    relay = Relay(database, link)
    judge = RuleJudge(database, catalogues, settings, relay.wake)
    return Gateway(
        settings=settings,
        database=database,
        secret=secret,
        doorkeeper=doorkeeper,
        sessions=sessions,
        logins=logins,
        login_limits=login_limits,
        audit=Audit(database, secret),
        objects=objects,
        link=link,
        hub=Hub(link),
        catalogues=catalogues,
        relay=relay,
        intake=Intake(database, settings, relay.wake),
        aggregator=Aggregator(database, link),
        probes=Probes(database, objects, pacs),
        reconciler=Reconciler(database, link, relay, settings),
        rates=Rates(settings),
        watchers=_watchers(settings, database, judge),
        door=door if settings.authentication == "accounts" else None,
        housekeeper=Housekeeper(
            database,
            Eraser(settings, database, objects, pacs, link, relay),
            Sweeper(settings, database, objects),
        ),
    )


def _watchers(settings: Settings, database: Database, judge: RuleJudge) -> dict[str, Watcher]:
    return {
        name: Watcher(Orthanc(name, pacs.orthanc_url, pacs), pacs, WatchStore(database, name), judge)
        for name, pacs in settings.pacs.items()
        if isinstance(pacs, WebPacsSettings) and pacs.orthanc_url is not None
    }


async def _of(request: Request) -> Gateway:  # sync, it would be called in a thread, for every request
    return cast("Gateway", request.app.state.gateway)


GatewayDep = Annotated[Gateway, Depends(_of)]
