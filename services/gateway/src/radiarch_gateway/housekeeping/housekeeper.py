"""The background task: erases at once, sweeps every hour."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from radiarch_common.errors import UnavailableError
from radiarch_common.telemetry import get_logger
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from radiarch_gateway.db import Database
from radiarch_gateway.erasures.eraser import Eraser
from radiarch_gateway.erasures.store import next_erasures
from radiarch_gateway.housekeeping.lease import Lease
from radiarch_gateway.housekeeping.sweeper import Sweeper

POLL_S = 2.0
AGAIN_S = 5.0
FIRST_SWEEP_S = 60.0
SWEEP_EVERY_S = 3600.0

log = get_logger(__name__)


@dataclass
class Housekeeper:
    """Erases what was asked for, and sweeps; one gateway at a time."""

    database: Database
    eraser: Eraser
    sweeper: Sweeper
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._erasing = Lease(self.database, "erasing", timedelta(seconds=30))
        self._sweeping = Lease(self.database, "sweeping", timedelta(seconds=1.5 * SWEEP_EVERY_S))
        self._loop: asyncio.AbstractEventLoop | None = None

    def wake(self) -> None:
        """There is something to erase; from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._more.set)

    async def run(self) -> None:
        """Work until cancelled."""
        self._loop = asyncio.get_running_loop()
        sweep_at = time.monotonic() + FIRST_SWEEP_S
        while True:
            self._more.clear()
            try:
                await self._erase()
                if time.monotonic() >= sweep_at:
                    sweep_at = time.monotonic() + SWEEP_EVERY_S
                    await asyncio.to_thread(self._sweep)
            except UnavailableError as error:
                log.warning("housekeeping waits", neighbour=error.neighbour)
            except SQLAlchemyError as error:
                log.warning("housekeeping waits for the database", error=type(error).__name__)
            await self._wait()

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_S):
                await self._more.wait()

    async def _erase(self) -> None:
        if not await asyncio.to_thread(self._something_to_erase) or not await asyncio.to_thread(self._erasing.take):
            return
        try:
            await self.eraser.erase_all()
        finally:
            await asyncio.to_thread(self._erasing.give_back)

    def _something_to_erase(self) -> bool:
        with self.database.reading() as session:
            return _any_erasure(session)

    def _sweep(self) -> None:
        if self._sweeping.take():
            self.sweeper.sweep()
            self.sweeper.expire()
            self.sweeper.count()


def _any_erasure(session: Session) -> bool:
    return bool(next_erasures(session))
