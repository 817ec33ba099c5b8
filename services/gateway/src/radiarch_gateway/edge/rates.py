"""How often somebody may call: a caller by who they are, anybody by their address where nobody is asked."""

import ipaddress
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from radiarch_common.settings import Settings
from starlette.datastructures import MutableHeaders
from starlette.routing import compile_path

from radiarch_gateway.edge.asgi import ASGIApp, Receive, Scope, Send, client_address, state_of, with_headers
from radiarch_gateway.errors import TooManyError
from radiarch_gateway.problems import too_many

STATE: Final = "rate"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
PROBES: Final = "/health/"
API_ROOT: Final = "/api/"
PAGES: Final = "pages"
REFUSED: Final = "refused"


@dataclass(frozen=True)
class Rate:
    """What is left of a limit."""

    policy: str
    limit: int
    left: int
    resets_in_s: int

    def write(self, headers: MutableHeaders) -> None:
        """As ``RateLimit`` and ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers-10)."""
        headers["RateLimit-Policy"] = f'"{self.policy}";q={self.limit};w=60'
        headers["RateLimit"] = f'"{self.policy}";r={self.left};t={self.resets_in_s}'


class Rates:
    """Counts of this process, by the minute. With several gateways, each counts its own."""

    def __init__(self, settings: Settings) -> None:
        self._limits = {
            "caller": RateLimitItemPerMinute(settings.rate_limit_per_min),
            "address": RateLimitItemPerMinute(settings.rate_limit_per_min),
            "public": RateLimitItemPerMinute(settings.rate_limit_public_per_min),
        }
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def count(self, scope: Scope, policy: str, *who: str) -> None:
        """Count one call. Raises TooManyError when it is one too many."""
        limit = self._limits[policy]
        allowed = await self._limiter.hit(limit, policy, *who)
        stats = await self._limiter.get_window_stats(limit, policy, *who)
        resets_in_s = max(1, math.ceil(stats.reset_time - time.time()))
        state_of(scope)[STATE] = Rate(policy, limit.amount, stats.remaining, resets_in_s)
        if not allowed:
            raise TooManyError(f"More than {limit.amount} calls a minute.", resets_in_s)


class PublicRates:
    """Limits, by address, what asks nobody who they are; and tells everybody what is left to them."""

    def __init__(self, app: ASGIApp, rates: Rates, public: Iterable[tuple[str, str]]) -> None:
        self._app = app
        self._rates = rates
        self._public = [(method, path, compile_path(path)[0]) for method, path in sorted(public)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = with_headers(send, lambda headers: _tell(scope, headers))
        place = self._place(scope["method"], scope["path"])
        if place is not None:
            policy = "address" if scope["method"] in SAFE else "public"
            try:
                await self._rates.count(scope, policy, place, neighbourhood(client_address(scope)))
            except TooManyError as error:
                await too_many(error)(scope, receive, told)
                return
        await self._app(scope, receive, told)

    def _place(self, method: str, path: str) -> str | None:
        """What is counted together; ``None`` for what a guard counts, and for probes of health."""
        if path.startswith(PROBES):
            return None
        if method in SAFE and not path.startswith(API_ROOT):
            return PAGES
        for known, declared, pattern in self._public:
            if known == method and pattern.match(path):
                return declared
        return None if path.startswith(API_ROOT) else PAGES


def neighbourhood(address: str) -> str:
    """An IPv4 address itself; of IPv6 the /64, which is one subscriber's."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(known) if known.version == 4 else str(ipaddress.ip_network((known, 64), strict=False))


def _tell(scope: Scope, headers: MutableHeaders) -> None:
    rate = state_of(scope).get(STATE)
    if isinstance(rate, Rate):
        rate.write(headers)
