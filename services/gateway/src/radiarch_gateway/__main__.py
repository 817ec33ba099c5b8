"""Serve the gateway: ``python -m radiarch_gateway``."""

import gc
import logging
import os
import signal
import socket
import sys

import uvicorn
from fastapi import FastAPI
from radiarch_common.errors import RefusedError
from radiarch_common.loopback import is_loopback
from radiarch_common.settings import Settings, settings_or_exit
from radiarch_common.telemetry import configure_logging, get_logger

from radiarch_gateway.app import create_app
from radiarch_gateway.bootstrap import Gateway
from radiarch_gateway.edge.slow import http_protocol
from radiarch_gateway.edge.tls import OPEN_LINE, open_line, tls_options

STREAMS_END_WITHIN_S = 3
BACKGROUND_WORK_ENDED = 70

log = get_logger(__name__)


class Server(uvicorn.Server):
    """Says where it listens, and ends when its background work has ended."""

    def __init__(self, config: uvicorn.Config, gateway: Gateway) -> None:
        super().__init__(config)
        self._gateway = gateway

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell the address: with port 0 the system has chosen."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what was imported stays: looked through again and again, it costs a twentieth of the time
        for server in self.servers if self.started else ():
            for place in server.sockets:
                host, port = place.getsockname()[:2]
                scheme = "https" if self.config.is_ssl else "http"
                log.info("listening", host=host, port=port, url=f"{scheme}://{host}:{port}")

    async def on_tick(self, counter: int) -> bool:
        """Whether to end."""
        return await super().on_tick(counter) or bool(self._gateway.dead)


def check_host(settings: Settings) -> None:
    """Without a login, only this machine may call.

    Raises
    ------
    RefusedError
        If nobody is asked who they are, and the host is not loopback.
    """
    if settings.authentication == "none" and not is_loopback(settings.http_host):
        raise RefusedError(
            f"A gateway without login will not listen on '{settings.http_host}'.",
            "Set RADIARCH_AUTHENTICATION=accounts, or listen on 127.0.0.1.",
        )


def serve(app: FastAPI, settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    config = uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        log_level=settings.log_level.lower(),
        access_log=False,  # the edge's own names the route, not the path and the query
        server_header=False,
        proxy_headers=False,  # the edge's own believes the proxies of the settings, and no other
        http=http_protocol(settings.slow_client_s),
        ws="none",
        timeout_graceful_shutdown=STREAMS_END_WITHIN_S,
        **tls_options(settings),
    )
    server = Server(config, app.state.gateway)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _already_ending)
    server.run()
    if not server.started:
        return 1
    return BACKGROUND_WORK_ENDED if app.state.gateway.dead else 0


def _already_ending(_: int, __: object) -> None:
    """Uvicorn raises the signal that ended it once more: asked to end, it has ended well."""


def main() -> None:
    """Run with settings from the environment."""
    settings = settings_or_exit()
    configure_logging("gateway", settings.log_level)
    try:
        check_host(settings)
        tls_options(settings)
    except RefusedError as error:
        log.error("refused to start", reason=error.reason, hint=error.hint)
        sys.exit(2)
    if open_line(settings):
        log.warning(OPEN_LINE)
    status = serve(create_app(settings), settings)
    logging.shutdown()
    os._exit(status)  # a probe that hangs in its thread must not keep the process


if __name__ == "__main__":
    main()
