"""How often one address may try to log in. Counted by each gateway for itself; accounts are locked in the database."""

import math
import time
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from radiarch_gateway.edge.rates import neighbourhood
from radiarch_gateway.errors import LimitedError

_KIND: Final = "login"


class LoginLimits:
    """So many tries a minute from one address, good ones included."""

    def __init__(self, tries_per_min: int) -> None:
        self._limit = RateLimitItemPerMinute(tries_per_min)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def check(self, address: str) -> None:
        """Count one try. Raises LimitedError when it is one too many."""
        address = neighbourhood(address)
        if not self._limiter.hit(self._limit, _KIND, address):
            free_at = self._limiter.get_window_stats(self._limit, _KIND, address).reset_time
            wait_s = max(1, math.ceil(free_at - time.time()))
            raise LimitedError("Too many tries to log in from this address: wait a little.", wait_s)
