"""Whether a hint comes from whom it says: HMAC-SHA256 of time and body, or a token where the sender cannot sign."""

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final

from radiarch_common.settings import WebPacsSettings

from radiarch_gateway.errors import UnauthorizedError

WINDOW: Final = timedelta(minutes=5)
"""A hint whose time differs by more from this server's is refused, so that only these minutes need be remembered."""


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """Hexadecimal HMAC-SHA256 of ``<timestamp>.<body>``."""
    return hmac.digest(secret, timestamp.encode() + b"." + body, hashlib.sha256).hex()


def check_signature(secret: bytes, timestamp: str, signature: str, body: bytes, now: datetime) -> None:
    """Raise UnauthorizedError when a hint was signed by another secret, or too long ago.

    Parameters
    ----------
    timestamp
        Seconds since 1970 in decimal digits, as the sender wrote them.
    signature
        As ``sign`` makes it.
    """
    if not hmac.compare_digest(sign(secret, timestamp, body), signature):
        raise UnauthorizedError("The hint is not signed by the secret of this PACS.")
    if abs(now.timestamp() - int(timestamp)) > WINDOW.total_seconds():
        raise UnauthorizedError("The hint is too old, or the clocks of sender and server differ.")


def check_token(pacs: WebPacsSettings, token: str) -> None:
    """Raise UnauthorizedError unless this PACS takes tokens, and this is the one."""
    expected = pacs.hook_token.get_secret_value() if pacs.hook_token else None
    if expected is None or not hmac.compare_digest(expected.encode(), token.encode()):
        raise UnauthorizedError("The hint does not bear the token of this PACS.")
