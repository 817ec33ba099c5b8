"""The gateway's parts, put together once."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from radiarch_common.objects import ObjectStore, open_objects
from radiarch_common.pacs import open_pacs
from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger
from sqlalchemy.exc import OperationalError

from radiarch_gateway.aggregate import Aggregator
from radiarch_gateway.audit.ledger import Audit
from radiarch_gateway.auth.doorkeeper import Doorkeeper
from radiarch_gateway.auth.secret import ServerSecret
from radiarch_gateway.bus import Link
from radiarch_gateway.db import Database
from radiarch_gateway.info.probes import Probes
from radiarch_gateway.outbox import Relay
from radiarch_gateway.page.door import Door
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
    audit: Audit
    objects: ObjectStore
    link: Link
    catalogues: Catalogues
    relay: Relay
    aggregator: Aggregator
    probes: Probes
    door: Door | None = None
    """Where people log in on the page."""
    dead: list[str] = field(default_factory=list[str])
    """Background work that has ended although it must not."""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Migrate the database, and work in the background while the block lasts."""
        await self._migrate()
        tasks = [
            self._start("link", self.link.keep()),
            self._start("relay", self.relay.run()),
            self._start("aggregator", self.aggregator.run()),
        ]
        try:
            yield
        finally:
            for task in reversed(tasks):
                await end(task)
            self.probes.close()
            self.database.close()

    async def _migrate(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.database.migrate)
                await asyncio.to_thread(self.audit.prepare)
            except OperationalError as error:
                log.warning("waiting for the database", error=type(error.orig).__name__)
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
    return Gateway(
        settings=settings,
        database=database,
        secret=secret,
        doorkeeper=Doorkeeper(settings, database, secret),
        audit=Audit(database, secret),
        objects=objects,
        link=link,
        catalogues=Catalogues(link),
        relay=Relay(database, link),
        aggregator=Aggregator(database, link),
        probes=Probes(database, objects, open_pacs(settings)),
    )


def _of(request: Request) -> Gateway:
    return cast("Gateway", request.app.state.gateway)


GatewayDep = Annotated[Gateway, Depends(_of)]
