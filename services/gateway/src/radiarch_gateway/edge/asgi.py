"""Words of ASGI, and what the edge's layers share."""

from collections.abc import Callable
from typing import Any, cast

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ASGIApp", "Message", "Receive", "Scope", "Send", "client_address", "state_of", "with_headers"]


def with_headers(send: Send, change: Callable[[MutableHeaders], None]) -> Send:
    """Send, with an answer's headers changed on their way."""

    async def changed(message: Message) -> None:
        if message["type"] == "http.response.start":
            change(MutableHeaders(scope=message))
        await send(message)

    return changed


def state_of(scope: Scope) -> dict[str, Any]:
    """What routes see as ``request.state``."""
    return cast("dict[str, Any]", scope.setdefault("state", {}))


def client_address(scope: Scope) -> str:
    """The address of who calls; behind a trusted proxy, as that says it."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"
