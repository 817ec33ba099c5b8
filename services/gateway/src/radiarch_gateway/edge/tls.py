"""TLS of the gateway's own, and what is said where there is none."""

import ssl
from pathlib import Path
from typing import Any

from radiarch_common.errors import RefusedError
from radiarch_common.loopback import is_loopback
from radiarch_common.settings import Settings

OPEN_LINE = "Requests cross the network without TLS: set RADIARCH_TLS_CERTIFICATE, or RADIARCH_TLS_BY_PROXY."


def has_tls(settings: Settings) -> bool:
    """Whether this process speaks TLS itself."""
    return settings.tls_certificate is not None


def open_line(settings: Settings) -> bool:
    """Whether others than this machine can call, and nothing encrypts what they say."""
    return not (is_loopback(settings.http_host) or has_tls(settings) or settings.tls_by_proxy)


def tls_options(settings: Settings) -> dict[str, Any]:
    """What uvicorn is told of TLS: nothing, without a certificate.

    Raises
    ------
    RefusedError
        If certificate, key and CA do not fit together, or are not there.
    """
    if settings.tls_certificate is None:
        if settings.tls_key is not None or settings.tls_client_ca is not None:
            raise RefusedError("A TLS key or client CA without a certificate.", "Set RADIARCH_TLS_CERTIFICATE.")
        return {}
    files = {
        "ssl_certfile": settings.tls_certificate,
        "ssl_keyfile": settings.tls_key,
        "ssl_ca_certs": settings.tls_client_ca,
    }
    for path in files.values():
        _check(path)
    asked = ssl.CERT_REQUIRED if settings.tls_client_ca else ssl.CERT_NONE
    return {name: str(path) for name, path in files.items() if path} | {"ssl_cert_reqs": asked}


def _check(path: Path | None) -> None:
    if path is not None and not path.is_file():
        raise RefusedError(f"There is no file {path}.", "See RADIARCH_TLS_CERTIFICATE, _KEY and _CLIENT_CA.")
