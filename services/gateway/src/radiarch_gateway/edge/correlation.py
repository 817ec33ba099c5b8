"""One id for each request, in and out and in every line of the log; and one line for each request."""

import re
import time
import uuid
from typing import Any, Final

import structlog
from radiarch_common.telemetry import get_logger
from starlette.datastructures import Headers

from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.edge.asgi import ASGIApp, Message, Receive, Scope, Send, client_address, state_of

HEADER: Final = "X-Request-ID"
_GIVEN: Final = re.compile(r"[0-9a-fA-F-]{16,36}")
"""Hexadecimal digits and dashes, such as a UUID or a trace id: no name fits into the log by this way."""
_QUIET: Final = ("/health/",)

log = get_logger(__name__)


class Correlation:
    """Names each request, and logs it: which route, never its path or its query, which may tell of a patient."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if _GIVEN.fullmatch(given) else str(uuid.uuid4())
        state_of(scope)["request_id"] = request_id
        status = 0
        began = time.monotonic()

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message.setdefault("headers", []).append((HEADER.lower().encode(), request_id.encode()))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, told)
            finally:
                if not scope["path"].startswith(_QUIET):
                    self._tell(scope, status, time.monotonic() - began)

    def _tell(self, scope: Scope, status: int, took_s: float) -> None:
        caller = state_of(scope).get("caller")
        log.info(
            "request",
            method=scope["method"],
            route=self._route(scope),
            status=status,
            seconds=round(took_s, 4),
            address=client_address(scope),
            caller=caller.id if isinstance(caller, Caller) else None,
        )

    def _route(self, scope: Scope) -> str | None:
        """The path as it was declared, such as ``/api/v1/jobs/{job_id}``; ``None`` when there is no such route."""
        route: Any = scope.get("route")
        declared: str | None = getattr(route, "path_format", None) or getattr(route, "path", None)
        if declared is None or declared.startswith(self._prefix):
            return declared
        # A route that was included knows its path without the prefix.
        return (self._prefix if scope["path"].startswith(f"{self._prefix}/") else "") + declared
