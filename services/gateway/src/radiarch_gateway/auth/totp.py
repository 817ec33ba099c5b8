"""TOTP (RFC 6238): six digits, steps of 30 s, one step early or late accepted, each step once."""

import hmac
from datetime import datetime
from typing import Final

from pyotp import random_base32
from pyotp.totp import TOTP

STEP_S: Final = 30
EITHER_WAY: Final = 1
CODE_PATTERN: Final = r"^[0-9]{6}$"
_ISSUER: Final = "Radiarch"


def new_secret() -> str:
    """160 bits, in base32."""
    return random_base32()


def otpauth_uri(secret: str, username: str) -> str:
    """What an authenticator app reads, mostly as a QR code."""
    return TOTP(secret).provisioning_uri(name=username, issuer_name=_ISSUER)


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The step that a code belongs to; ``None``: to none around now."""
    codes = TOTP(secret)
    current = int(now.timestamp()) // STEP_S
    for step in range(current - EITHER_WAY, current + EITHER_WAY + 1):
        if hmac.compare_digest(codes.generate_otp(step).encode(), code.encode()):
            return step
    return None
