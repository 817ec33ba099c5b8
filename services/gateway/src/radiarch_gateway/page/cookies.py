"""The page's cookies: out of reach of scripts and of other sites."""

import hashlib
import hmac
import secrets
from typing import Final, cast

from fastapi import Request, Response

from radiarch_gateway.auth.guard import ACCESS_COOKIE
from radiarch_gateway.bootstrap import Gateway
from radiarch_gateway.page.door import Entry

REFRESH_COOKIE: Final = "radiarch_refresh"
FORM_COOKIE: Final = "radiarch_form"
FORM_FIELD: Final = "form_token"
_NONCE_BYTES: Final = 24


def keep(request: Request, response: Response, entry: Entry) -> None:
    """Have the browser keep a login."""
    _set(request, response, ACCESS_COOKIE, entry.access_token, entry.expires_in_s)
    _set(request, response, REFRESH_COOKIE, entry.refresh_token, entry.refresh_expires_in_s)


def forget(response: Response) -> None:
    """Have the browser forget its login."""
    for name in (ACCESS_COOKIE, REFRESH_COOKIE):
        response.delete_cookie(name, path="/", httponly=True, samesite="strict")


def form_nonce(request: Request) -> str:
    """What the forms of this browser are bound to; new when it has none."""
    return request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(_NONCE_BYTES)


def keep_nonce(request: Request, response: Response, nonce: str) -> None:
    """Have the browser keep what its forms are bound to, until it is closed."""
    _set(request, response, FORM_COOKIE, nonce, None)


def form_token(gateway: Gateway, nonce: str) -> str:
    """What a form of ours carries: only this server can make it, and only for this browser."""
    return hmac.digest(gateway.secret.key("page"), nonce.encode(), hashlib.sha256).hex()


def is_ours(gateway: Gateway, request: Request, token: str) -> bool:
    """Whether a form that was sent is one that this browser was given."""
    nonce = request.cookies.get(FORM_COOKIE)
    return nonce is not None and hmac.compare_digest(form_token(gateway, nonce).encode(), token.encode())


def _set(request: Request, response: Response, name: str, value: str, lives_s: int | None) -> None:
    gateway = cast("Gateway", request.app.state.gateway)
    secure = request.url.scheme == "https" or gateway.settings.tls_by_proxy
    response.set_cookie(name, value, max_age=lives_s, path="/", secure=secure, httponly=True, samesite="strict")
