"""API keys: ``radk_<id>_<secret>``, kept by their SHA-256."""

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Final

from radiarch_common.messages import utc_now
from sqlmodel import col, or_, select, update

from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.models import ApiKeyRow, ClinicRow
from radiarch_gateway.auth.scopes import KEY_SCOPES
from radiarch_gateway.db import Database
from radiarch_gateway.errors import UnauthorizedError

PREFIX: Final = "radk_"
LONGEST: Final = timedelta(days=366)
USED_EVERY: Final = timedelta(minutes=1)
"""``last_used_at`` is right to this: a write for each request would be the busiest of the database."""


def new_key() -> tuple[str, str]:
    """The id of a new key, and the key."""
    key_id = secrets.token_hex(8)
    return key_id, f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"


def sha256_of(key: str) -> str:
    """What is kept of a key. It is random: a slow hash would protect nothing more."""
    return hashlib.sha256(key.encode()).hexdigest()


def caller_of_key(database: Database, key: str) -> Caller:
    """Who bears a key. Raises UnauthorizedError."""
    key_id = key.removeprefix(PREFIX).partition("_")[0]
    now = utc_now()
    row, clinic = _found(database, key_id) if key_id.isalnum() and key_id.isascii() else (None, None)
    if row is None or not hmac.compare_digest(row.sha256, sha256_of(key)):
        raise UnauthorizedError("This API key is not known here.")
    if row.revoked_at is not None or row.expires_at <= now:
        raise UnauthorizedError("This API key has expired or was revoked.", f"key:{row.id}")
    if clinic is None or not clinic.active:
        raise UnauthorizedError("The clinic of this API key is not active any more.", f"key:{row.id}")
    if row.last_used_at is None or row.last_used_at <= now - USED_EVERY:
        _used(database, row.id)
    return Caller(
        id=f"key:{row.id}",
        name=row.name,
        clinic_id=row.clinic_id,
        scopes=frozenset(scope for scope in KEY_SCOPES if scope in row.scopes),
    )


def _found(database: Database, key_id: str) -> tuple[ApiKeyRow | None, ClinicRow | None]:
    statement = select(ApiKeyRow, ClinicRow).join(ClinicRow).where(ApiKeyRow.id == key_id)
    with database.reading() as session:
        return session.exec(statement).one_or_none() or (None, None)


def _used(database: Database, key_id: str) -> None:
    now, last = utc_now(), col(ApiKeyRow.last_used_at)
    with database.writing() as session:
        session.exec(
            update(ApiKeyRow)
            .where(col(ApiKeyRow.id) == key_id, or_(last.is_(None), last <= now - USED_EVERY))
            .values(last_used_at=now)
        )
