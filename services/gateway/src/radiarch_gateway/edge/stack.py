"""The layers around the application, outermost first: each sees what the next one answers, failures included."""

from collections.abc import Iterable
from typing import Any, Final, cast

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from radiarch_common.settings import Settings
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from radiarch_gateway.edge.bodies import Bodies
from radiarch_gateway.edge.correlation import HEADER, Correlation
from radiarch_gateway.edge.headers import SecurityHeaders, inline_scripts
from radiarch_gateway.edge.hosts import LocalHosts
from radiarch_gateway.edge.legacy import LegacyPaths
from radiarch_gateway.edge.rates import PublicRates, Rates
from radiarch_gateway.page.sorry import Sorry

CORS_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
CORS_TAKEN: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "Range",
    HEADER,
)
CORS_SHOWN: Final = (
    "Location", "ETag", "Retry-After", "Content-Range", "Accept-Ranges", "Content-Disposition",
    "Deprecation", "Link", "RateLimit", "RateLimit-Policy", HEADER,
)  # fmt: skip


def surround(app: FastAPI, settings: Settings, rates: Rates, public: Iterable[tuple[str, str]], prefix: str) -> None:
    """Put the edge around everything of an application, its answer to its own defects too."""
    inside = app.build_middleware_stack
    scripts = _scripts_of_documentation(app)

    def build() -> ASGIApp:
        layers: ASGIApp = Bodies(inside(), settings.max_body_bytes, settings.slow_client_s)
        layers = Sorry(PublicRates(layers, rates, public))
        if settings.cors_origins:
            layers = CORSMiddleware(
                layers,
                allow_origins=settings.cors_origins,
                allow_methods=CORS_METHODS,
                allow_headers=CORS_TAKEN,
                expose_headers=CORS_SHOWN,
            )
        if settings.authentication == "none":
            layers = LocalHosts(layers)
        layers = SecurityHeaders(layers, scripts, tls_in_front=settings.tls_by_proxy)
        layers = Correlation(LegacyPaths(layers, prefix), prefix)
        if settings.trusted_proxies:
            proxied: Any = layers
            layers = cast("ASGIApp", ProxyHeadersMiddleware(proxied, settings.trusted_proxies))
        return layers

    app.build_middleware_stack = build


def _scripts_of_documentation(app: FastAPI) -> list[str]:
    """The inline scripts of Swagger UI, which differ by what the application is called and where it lies."""
    redirect_url = app.swagger_ui_oauth2_redirect_url
    swagger = get_swagger_ui_html(
        openapi_url=str(app.openapi_url),
        title=f"{app.title} - Swagger UI",
        oauth2_redirect_url=redirect_url,
        swagger_ui_parameters=app.swagger_ui_parameters,
    )
    pages = [bytes(swagger.body), bytes(get_swagger_ui_oauth2_redirect_html().body)]
    return [script for page in pages for script in inline_scripts(page.decode())]
