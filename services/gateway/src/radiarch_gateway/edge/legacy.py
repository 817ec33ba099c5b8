"""Paths without ``/api/v1``, as before there were versions: the same routes by another name, said to be outdated."""

from typing import Final

from starlette.datastructures import MutableHeaders

from radiarch_gateway.edge.asgi import ASGIApp, Receive, Scope, Send, with_headers

NOUNS: Final = frozenset({"plans", "jobs", "artifacts", "workflows", "info"})
DEPRECATED: Final = "@1764028800"
"""2025-11-25, in the form of RFC 9745."""


class LegacyPaths:
    """Answers ``/plans`` as ``/api/v1/plans``: the request is the same, guards and all."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or _noun(scope["path"]) not in NOUNS:
            await self._app(scope, receive, send)
            return
        successor = (self._prefix.encode() + scope["raw_path"]).decode("latin-1")
        moved: Scope = {**scope, "path": self._prefix + scope["path"], "raw_path": successor.encode("latin-1")}

        def change(headers: MutableHeaders) -> None:
            headers["Deprecation"] = DEPRECATED
            headers.append("Link", f'<{successor}>; rel="successor-version"')

        await self._app(moved, receive, with_headers(send, change))
        if "route" in moved:  # for the log
            scope["route"] = moved["route"]


def _noun(path: str) -> str:
    """The first step of a path; what is no path, such as ``*``, has none."""
    return path[1:].partition("/")[0] if path.startswith("/") else ""
