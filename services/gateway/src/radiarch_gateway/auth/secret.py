"""The server's secret, and the keys made of it: one for each purpose, so that none can stand in for another."""

import hashlib
import hmac
import secrets
from typing import Final, Literal

from radiarch_common.messages import utc_now
from radiarch_common.settings import Settings
from sqlalchemy.exc import IntegrityError

from radiarch_gateway.auth.models import SecretRow
from radiarch_gateway.db import Database

Purpose = Literal["access token", "signed url", "audit", "page", "half a login", "totp secret"]
_NAME: Final = "server"


class ServerSecret:
    """Keys to sign and seal: from ``RADIARCH_SECRET_KEY``, else from a secret made once and kept in the database."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._kept: bytes | None = None

    def key(self, purpose: Purpose) -> bytes:
        """32 bytes for one purpose. Reads the database at its first use."""
        if self._kept is None:
            given = self._settings.secret_key
            self._kept = (given.get_secret_value() if given else self._from_database()).encode()
        return hmac.digest(self._kept, b"radiarch " + purpose.encode(), hashlib.sha256)

    def _from_database(self) -> str:
        try:
            with self._database.writing() as session:
                row = session.get(SecretRow, _NAME)
                if row is None:
                    row = SecretRow(name=_NAME, value=secrets.token_urlsafe(48), created_at=utc_now())
                    session.add(row)
                return row.value
        except IntegrityError:  # another gateway was quicker
            with self._database.reading() as session:
                return session.get_one(SecretRow, _NAME).value
