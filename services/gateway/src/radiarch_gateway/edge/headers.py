"""Headers that keep browsers from doing harm, on every answer, failures included."""

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Final

from secure import Secure
from secure.headers import (
    ContentSecurityPolicy,
    CrossOriginOpenerPolicy,
    CrossOriginResourcePolicy,
    PermissionsPolicy,
    ReferrerPolicy,
    StrictTransportSecurity,
    XContentTypeOptions,
    XFrameOptions,
)
from secure.middleware import SecureASGIMiddleware
from starlette.datastructures import MutableHeaders

from radiarch_gateway.edge.asgi import ASGIApp, Receive, Scope, Send, with_headers

YEAR_S: Final = 365 * 24 * 3600
DOCUMENTATION: Final = ("/docs", "/redoc")
_INLINE: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class SecurityHeaders:
    """What ``secure`` adds, by what the answer is: HSTS over TLS only, another policy for the documentation.

    Parameters
    ----------
    tls_in_front
        A proxy speaks HTTPS with every client, whatever reaches this server.
    """

    def __init__(self, app: ASGIApp, inline_scripts: Iterable[str], *, tls_in_front: bool) -> None:
        self._tls_in_front = tls_in_front
        documentation = _documentation(inline_scripts)
        self._wrapped = {
            (tls, documents): SecureASGIMiddleware(
                with_no_store(app), secure=_secure(documentation if documents else _strict(), tls=tls), multi_ok=()
            )
            for tls in (False, True)
            for documents in (False, True)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        documents = scope.get("path", "").startswith(DOCUMENTATION)
        tls = self._tls_in_front or scope.get("scheme") == "https"
        await self._wrapped[tls, documents](scope, receive, send)  # pyright: ignore[reportArgumentType]


def with_no_store(app: ASGIApp) -> ASGIApp:
    """The application, its answers of data kept in no cache unless a route says otherwise."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        def change(headers: MutableHeaders) -> None:
            data = scope["path"].startswith("/api/") or headers.get("content-type", "").startswith("text/html")
            if (
                data and headers.get("cache-control", "no-cache") == "no-cache"
            ):  # FastAPI says that of its event streams
                headers["Cache-Control"] = "no-store"

        await app(scope, receive, with_headers(send, change) if scope["type"] == "http" else send)

    return wrapped


def inline_scripts(page: str) -> list[str]:
    """What a page runs without loading it."""
    return _INLINE.findall(page)


def _secure(policy: ContentSecurityPolicy, *, tls: bool) -> Secure:
    return Secure(
        csp=policy,
        coop=CrossOriginOpenerPolicy().same_origin(),
        corp=CrossOriginResourcePolicy().same_origin(),
        permissions=PermissionsPolicy().camera().geolocation().microphone().payment().usb(),
        referrer=ReferrerPolicy().no_referrer(),
        xcto=XContentTypeOptions().nosniff(),
        xfo=XFrameOptions().deny(),
        hsts=StrictTransportSecurity().max_age(YEAR_S) if tls else None,
    )


def _strict() -> ContentSecurityPolicy:
    """Scripts, styles, pictures and requests of the gateway's own; nothing inline, no frames."""
    return (
        ContentSecurityPolicy()
        .default_src("'none'")
        .script_src("'self'")
        .style_src("'self'")
        .img_src("'self'", "data:")
        .font_src("'self'")
        .connect_src("'self'")
        .form_action("'self'")
        .base_uri("'none'")
        .frame_ancestors("'none'")
    )


def _documentation(scripts: Iterable[str]) -> ContentSecurityPolicy:
    """Swagger UI starts by an inline script, known by its digest; ReDoc writes styles and works in a blob."""
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    return (
        ContentSecurityPolicy()
        .default_src("'none'")
        .script_src("'self'", *(f"'sha256-{digest}'" for digest in digests))
        .worker_src("'self'", "blob:")
        .style_src("'self'", "'unsafe-inline'")
        .img_src("'self'", "data:")
        .font_src("'self'", "data:")
        .connect_src("'self'")
        .form_action("'self'")
        .base_uri("'none'")
        .frame_ancestors("'none'")
    )
