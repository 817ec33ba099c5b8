"""What the planners offer, as they last said it."""

import math
import time

from pydantic import ValidationError
from radiarch_common.catalogue import Catalogue
from radiarch_common.errors import UnavailableError
from radiarch_common.telemetry import get_logger

from radiarch_gateway.bus import Link
from radiarch_gateway.errors import NotReadyError

RETRY_AFTER_S = 10
FRESH_S = 0.5
"""Under load the bus is asked twice a second, and not twice a request."""

log = get_logger(__name__)


class Catalogues:
    """Read from the bus, at most once in a moment; what was read last serves while the bus is away."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._last: Catalogue | None = None
        self._last_data = b""
        self._read_at = -math.inf
        self._asking = False

    async def current(self) -> Catalogue:
        """The catalogue. Raises NotReadyError when no planner has published one that can be read."""
        if self._last is not None and (self._asking or time.monotonic() - self._read_at < FRESH_S):
            return self._last
        self._asking = True
        try:
            return await self._ask()
        finally:
            self._asking = False

    async def _ask(self) -> Catalogue:
        why = "No planner has published its catalogue yet: start a planner, or wait until it is up."
        try:
            found = await self._link.catalogue()
        except UnavailableError as error:
            why = f"No planner's catalogue is known: {error}."
        else:
            if found is not None:
                why = self._read(found)
        if self._last is None:
            raise NotReadyError(why, RETRY_AFTER_S)
        return self._last

    async def known(self) -> Catalogue | None:
        """The catalogue, or ``None``."""
        try:
            return await self.current()
        except NotReadyError:
            return None

    def _read(self, data: bytes) -> str:
        self._read_at = time.monotonic()
        if self._last is not None and data == self._last_data:
            return ""
        try:
            self._last = Catalogue.model_validate_json(data)
            self._last_data = data
        except ValidationError as error:
            log.error("catalogue cannot be read", error=str(error))
            self._last = None
            return "The planner's catalogue cannot be read by this gateway: their versions differ."
        return ""
