"""The forms through which people come in; each may be the answer to a page that needs it first."""

import re
from typing import Final

from fastapi import Request, Response

from radiarch_gateway.auth.passwords import MINIMUM
from radiarch_gateway.bootstrap import Gateway
from radiarch_gateway.page.html import answer

_OURS: Final = re.compile(r"/|/plan/[A-Za-z0-9_-]{1,64}")
"""Where a form may lead to: pages of this server."""


def ours(goes_to: str) -> str:
    """A place to go on to, when it is a page of this server; else the first page."""
    return goes_to if _OURS.fullmatch(goes_to) else "/"


def login_form(
    request: Request,
    gateway: Gateway,
    *,
    why: str | None,
    goes_to: str,
    status: int = 401,
    username: str = "",
) -> Response:
    """Username and password."""
    content = {"why": why, "goes_to": ours(goes_to), "open": gateway.door is not None, "username": username}
    return answer(request, gateway, "login.html", content, status, _challenge(status))


def code_form(request: Request, gateway: Gateway, *, why: str | None, goes_to: str, half: str) -> Response:
    """The code that a login lacks, whose password was right."""
    content = {"why": why, "goes_to": goes_to, "half": half}
    return answer(request, gateway, "code.html", content, 401, _challenge(401))


def password_form(request: Request, gateway: Gateway, *, why: str | None, goes_to: str, status: int = 200) -> Response:
    """A password of one's own, twice."""
    content = {"why": why, "goes_to": ours(goes_to), "minimum": MINIMUM}
    return answer(request, gateway, "password.html", content, status)


def _challenge(status: int) -> dict[str, str]:
    return {"WWW-Authenticate": "Bearer"} if status == 401 else {}
