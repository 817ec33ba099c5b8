"""Every guarded route leaves its entry before its answer leaves; none can be forgotten, as none is named here."""

from http import HTTPStatus
from typing import Final

from radiarch_common.telemetry import get_logger
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radiarch_gateway import problems
from radiarch_gateway.audit.act import Act, begin
from radiarch_gateway.audit.ledger import Audit
from radiarch_gateway.db import AWAY

_START: Final = "http.response.start"

log = get_logger(__name__)


class AuditMiddleware:
    """Gathers what a request does, and has it written down: what was not committed with its act, and what failed."""

    def __init__(self, app: ASGIApp, audit: Audit) -> None:
        self._app = app
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(self._audit, begin(), scope, receive, send)
        try:
            await self._app(scope, receive, answer.send)
        finally:
            await answer.end()


class _Answer:
    """One answer on its way out; kept back, and 503 sent for it, when its entry cannot be written."""

    def __init__(self, audit: Audit, act: Act, scope: Scope, receive: Receive, send: Send) -> None:
        self._audit = audit
        self._act = act
        self._scope = scope
        self._receive = receive
        self._send = send
        self._started = False
        self._kept_back = False

    async def send(self, message: Message) -> None:
        if message["type"] == _START and not self._started:
            self._started = True
            try:
                await self._write(message["status"])
            except AWAY as error:
                log.warning("the audit log cannot be written", error=type(error).__name__)
                self._kept_back = True
                await problems.database_down()(self._scope, self._receive, self._send)
        if not self._kept_back:
            await self._send(message)

    async def end(self) -> None:
        """An act that ended without an answer failed."""
        if not self._started:
            await self._write(HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _write(self, status: int) -> None:
        if not self._act.operation:  # a public route, or nobody known
            return
        succeeded = status < HTTPStatus.BAD_REQUEST
        if succeeded and (self._act.silent or self._act.written):
            return
        await self._audit.record(self._act, status)
