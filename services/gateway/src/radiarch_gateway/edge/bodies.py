"""Bodies that are too long, or that come too slowly."""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from radiarch_gateway.edge.asgi import ASGIApp, Message, Receive, Scope, Send
from radiarch_gateway.problems import answer

MOST_DIGITS: Final = 18
"""Longer numbers are too long in any case, and slow to read."""


class Bodies:
    """Refuses a body over the limit (413), whether it is announced or comes in chunks, and one that stalls (408)."""

    def __init__(self, app: ASGIApp, most_bytes: int, within_s: float) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and (len(announced) > MOST_DIGITS or int(announced) > self._most_bytes):
            await answer(413, self._too_long(), headers={"Connection": "close"})(scope, receive, send)
            return
        await self._app(scope, self._counted(receive), send)

    def _counted(self, receive: Receive) -> Receive:
        taken = 0
        whole = False

        async def counted() -> Message:
            nonlocal taken, whole
            if whole:  # what comes now is the client's leaving, whenever that is
                return await receive()
            try:
                async with asyncio.timeout(self._within_s):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, "The body did not come in time.", {"Connection": "close"}) from error
            taken += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if taken > self._most_bytes:
                raise HTTPException(413, self._too_long(), {"Connection": "close"})
            return message

        return counted

    def _too_long(self) -> str:
        return f"The body of a request may have {self._most_bytes} bytes here."
