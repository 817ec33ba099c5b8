"""Which names a gateway without login answers to."""

from typing import Final

from radiarch_common.loopback import is_loopback
from starlette.datastructures import Headers

from radiarch_gateway.edge.asgi import ASGIApp, Receive, Scope, Send
from radiarch_gateway.problems import answer

WHY: Final = "A gateway without login answers to localhost alone, not to the name that this request came by."


class LocalHosts:
    """Refuses what was sent to any name but this machine's own.

    Any page in a browser of this machine can have its own name lead here (DNS rebinding); the browser then takes the
    gateway for that page's server, and lets the page read everything.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and not is_loopback(_name(Headers(scope=scope).get("host", ""))):
            await answer(421, WHY)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _name(host: str) -> str:
    """A host without its port; of IPv6 without its brackets too."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0].lower()
