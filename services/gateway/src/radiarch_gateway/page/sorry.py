"""Problems as pages: whoever looks with a browser reads in words what programs get as ``application/problem+json``."""

import json
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from radiarch_gateway.page.html import rendered
from radiarch_gateway.problems import MEDIA_TYPE
from radiarch_gateway.version import VERSION

_API: Final = ("/api/", "/health/")
_START: Final = "http.response.start"
_WORDS: Final[dict[int, tuple[str, str]]] = {
    403: ("Not yours to see", "Ask your administrator for it, or log in as somebody else."),
    404: ("Nothing here", "The address may be mistyped, or what it named was erased."),
    405: ("Nothing here", "This address takes a form only. Start again at the first page."),
    413: ("Too much", "What was sent is larger than this server takes."),
    429: ("Too often", "This server limits how often it is asked, and so how often a password can be guessed."),
    503: (
        "Not now",
        "A part that this server needs does not answer. Nothing is lost: load the page again soon.",
    ),
}
_ELSE: Final = ("This did not work", "If it happens again, tell whoever runs this server.")


class Sorry:
    """Around the application and its limits: turns their problems into pages for browsers, but those of the API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and _reads_pages(scope):
            send = _Page(send).send
        await self._app(scope, receive, send)


def _reads_pages(scope: Scope) -> bool:
    return (
        not scope["path"].startswith(_API)
        and scope["method"] != "HEAD"
        and "text/html" in Headers(scope=scope).get("accept", "")
    )


class _Page:
    """One answer; when it is a problem, it is kept until it is whole."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == _START and Headers(raw=message["headers"]).get("content-type") == MEDIA_TYPE:
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message["body"]
        if message.get("more_body", False):
            return
        page = _page(self._start["status"], self._body).encode()
        headers = MutableHeaders(scope=self._start)
        headers["Content-Type"] = "text/html; charset=utf-8"
        headers["Content-Length"] = str(len(page))
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": page})


def _page(status: int, body: bytes) -> str:
    problem = json.loads(body)
    title, advice = _WORDS.get(status, _ELSE)
    said = {"title": title, "advice": advice, "detail": problem.get("detail"), "instance": problem.get("instance")}
    nobody = {"version": VERSION, "caller": None, "asks_who": False}
    return rendered("sorry.html", {**said, **nobody, "status": f"{status} {HTTPStatus(status).phrase}"})
