"""A layer around a gateway under test that knows its description, and remembers what was answered otherwise."""

import json
from pathlib import Path
from typing import Any, Final

from radiarch_gateway.artifacts.store import API
from radiarch_gateway.edge.legacy import NOUNS
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DOCUMENT: Final = Path(__file__).parents[4] / "services/gateway/openapi.json"
DEFECT: Final = 500
"""Described where a route means it; tests provoke it everywhere."""


class Described:
    """Looks at every answer of the applications it is put around."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._paths = [(compile_path(path)[0], path, found) for path, found in document["paths"].items()]
        self.otherwise: list[str] = []
        """``METHOD path: status`` of each answer that the document does not know."""

    @classmethod
    def committed(cls) -> "Described":
        """By the document as it is committed, which a test of its own holds against the routes."""
        return cls(json.loads(DOCUMENT.read_text(encoding="utf-8")))

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application, watched."""

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            async def seen(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._look(scope["method"], scope["path"], message["status"])
                await send(message)

            await app(scope, receive, seen if scope["type"] == "http" else send)

        return watched

    def _look(self, method: str, path: str, status: int) -> None:
        today = API + path if path[1:].partition("/")[0] in NOUNS else path
        for pattern, declared, operations in self._paths:
            if pattern.match(today):
                operation = operations.get({"HEAD": "get"}.get(method, method.lower()))
                if operation is not None:
                    if status != DEFECT and str(status) not in operation["responses"]:
                        self.otherwise.append(f"{method} {declared}: {status}")
                    return
