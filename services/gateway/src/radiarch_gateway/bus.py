"""The gateway's way to the bus. It may come late, and go: plans are taken all the same."""

import asyncio
from contextlib import suppress

from nats.aio.client import Client
from nats.js.errors import NotFoundError
from radiarch_common.alive import living_workers
from radiarch_common.bus import BUS_ERRORS, Bus, connect
from radiarch_common.errors import UnavailableError
from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger
from radiarch_common.topology import (
    CATALOGUE,
    CATALOGUE_KEY,
)

AGAIN_S = 0.5
QUICK_S = 2.0

log = get_logger(__name__)


class Link:
    """One connection, made in the background and kept for ever."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bus: Bus | None = None
        self._made = asyncio.Event()

    async def keep(self) -> None:
        """Connect, and hold the connection until cancelled; returns when it was closed for good."""
        closed = asyncio.Event()

        async def heard() -> None:
            closed.set()

        client = await connect(self._settings, "gateway", closed=heard)
        self._bus = Bus(client)
        self._made.set()
        log.info("bus connected")
        try:
            await closed.wait()  # the client gives up when the server refuses it, as after a change of accounts
            log.critical("the bus has closed the connection for good")
        finally:
            self._bus = None
            await _close(client)

    @property
    def up(self) -> bool:
        """Whether the bus is connected now."""
        return self._bus is not None and self._bus.client.is_connected

    def now(self) -> Bus:
        """The bus, if it is connected at this moment. Raises UnavailableError."""
        if self._bus is None or not self._bus.client.is_connected:
            raise UnavailableError("message bus", "not connected")
        return self._bus

    async def bus(self) -> Bus:
        """The bus, waited for."""
        await self._made.wait()
        while not self.up:  # noqa: ASYNC110 - the client tells nobody when it is connected again
            await asyncio.sleep(AGAIN_S / 5)
        return self.now()

    async def catalogue(self) -> bytes | None:
        """What the planners offer; ``None`` when none has said so. Raises UnavailableError."""
        bus = self.now()
        try:
            async with asyncio.timeout(QUICK_S):
                return (await (await bus.bucket(CATALOGUE)).get(CATALOGUE_KEY)).value
        except NotFoundError:  # no entry, or no bucket yet
            return None
        except BUS_ERRORS as error:
            raise UnavailableError("message bus", str(error)) from error

    async def workers(self) -> dict[str, int]:
        """Living workers by stage. Raises UnavailableError."""
        bus = self.now()
        try:
            async with asyncio.timeout(QUICK_S):
                names = await living_workers(bus)
        except NotFoundError:  # no bucket yet
            names = []
        except BUS_ERRORS as error:
            raise UnavailableError("message bus", str(error)) from error
        stages = [name.split(".", 1)[0] for name in names]
        return {stage: stages.count(stage) for stage in sorted(set(stages))}

    async def ping(self) -> None:
        """A round trip. Raises UnavailableError."""
        try:
            await self.now().client.flush(timeout=int(QUICK_S))
        except BUS_ERRORS as error:
            raise UnavailableError("message bus", str(error)) from error


async def _close(client: Client) -> None:
    with suppress(*BUS_ERRORS, RuntimeError):  # which uvloop raises where the line is gone already
        await client.close()
