"""Half a login: the password was right, and the account's code is still to come. Nothing can be done with it alone."""

import hashlib
from datetime import datetime, timedelta
from typing import Any, Final

import jwt

from radiarch_gateway.auth.models import UserRow
from radiarch_gateway.auth.tokens import ALGORITHM, ISSUER
from radiarch_gateway.errors import UnauthorizedError

LIVES: Final = timedelta(minutes=5)
OVER: Final = "This took too long: log in again."
_AUDIENCE: Final = "radiarch half"
_REQUIRED: Final = ["sub", "pwd", "iss", "aud", "exp"]


def make_half(key: bytes, user: UserRow, now: datetime) -> str:
    """Signed word that somebody has said the password which an account has now."""
    payload: dict[str, Any] = {
        "sub": user.id,
        "pwd": _fingerprint(user.password_hash),
        "iss": ISSUER,
        "aud": _AUDIENCE,
        "exp": now + LIVES,
    }
    return jwt.encode(payload, key, algorithm=ALGORITHM)


def user_of_half(key: bytes, half: str) -> tuple[str, str]:
    """Whose it is, and what ``is_of`` compares. Raises UnauthorizedError unless it is ours, unchanged and in time."""
    try:
        payload = jwt.decode(
            half, key, algorithms=[ALGORITHM], audience=_AUDIENCE, issuer=ISSUER, options={"require": _REQUIRED}
        )
    except jwt.PyJWTError as error:
        raise UnauthorizedError(OVER) from error
    return str(payload["sub"]), str(payload["pwd"])


def is_of(fingerprint: str, user: UserRow) -> bool:
    """Whether the account has the same password still."""
    return fingerprint == _fingerprint(user.password_hash)


def _fingerprint(password_hash: str) -> str:
    return hashlib.sha256(password_hash.encode()).hexdigest()
