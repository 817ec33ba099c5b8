"""Secrets of authenticator apps as the database keeps them: encrypted, with a key made of the server's secret."""

import base64
import re
from typing import Final

from cryptography.fernet import Fernet, InvalidToken
from radiarch_common.errors import RadiarchError
from radiarch_common.telemetry import get_logger
from sqlmodel import col, select

from radiarch_gateway.auth.models import UserRow
from radiarch_gateway.auth.secret import ServerSecret
from radiarch_gateway.db import Database

_OPEN: Final = re.compile(r"[A-Z2-7]+")
"""Base32, as such a secret is kept by versions before it was sealed; what is sealed has small letters."""

log = get_logger(__name__)


class OtherKeyError(RadiarchError):
    """It was sealed with another key, or changed since."""


class Seal:
    """Seals and unseals. Made before a transaction is begun: it may read the server's secret from the database."""

    def __init__(self, secret: ServerSecret) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(secret.key("totp secret")))

    def sealed(self, totp_secret: str) -> str:
        """What is kept of a secret: 140 characters for one of 32."""
        return self._fernet.encrypt(totp_secret.encode()).decode()

    def unsealed(self, kept: str) -> str:
        """The secret. Raises OtherKeyError."""
        try:
            return self._fernet.decrypt(kept).decode()
        except InvalidToken as error:
            raise OtherKeyError("RADIARCH_SECRET_KEY is not the one that this was sealed with.") from error


def seal_all(database: Database, secret: ServerSecret) -> None:
    """Seal what a version before this one has kept open, and tell of what cannot be unsealed."""
    seal = Seal(secret)
    lost = 0
    with database.writing() as session:
        for user in session.exec(select(UserRow).where(col(UserRow.totp_secret).is_not(None)).with_for_update()):
            kept = user.totp_secret or ""
            if _OPEN.fullmatch(kept):
                user.totp_secret = seal.sealed(kept)
                session.add(user)
            else:
                lost += not _opens(seal, kept)
    if lost:
        log.error(
            "authenticator apps of accounts are lost",
            accounts=lost,
            why="RADIARCH_SECRET_KEY is another one",
            remedy="set the former one, or have each begin again: `radiarch admin reset-totp NAME`",
        )


def _opens(seal: Seal, kept: str) -> bool:
    try:
        seal.unsealed(kept)
    except OtherKeyError:
        return False
    return True
