"""Access tokens: who logged in, for an hour. What they may do is looked up, not written in them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import jwt
from radiarch_common.messages import utc_now

from radiarch_gateway.errors import UnauthorizedError

ISSUER: Final = "radiarch"
AUDIENCE: Final = "radiarch"
ALGORITHM: Final = "HS256"
REQUIRED: Final = ["sub", "sid", "iss", "aud", "iat", "exp"]


@dataclass(frozen=True)
class AccessClaims:
    """What a good access token says."""

    user_id: str
    session_id: str


def make_access_token(key: bytes, claims: AccessClaims, lives: timedelta, now: datetime | None = None) -> str:
    """A signed token that expires ``lives`` after ``now``."""
    at = now or utc_now()
    payload: dict[str, Any] = {
        "sub": claims.user_id,
        "sid": claims.session_id,
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": at,
        "exp": at + lives,
    }
    return jwt.encode(payload, key, algorithm=ALGORITHM)


def read_access_token(key: bytes, token: str) -> AccessClaims:
    """What a token says. Raises UnauthorizedError unless it is ours, unchanged and in time."""
    try:
        payload = jwt.decode(
            token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options={"require": REQUIRED}
        )
    except jwt.ExpiredSignatureError as error:
        raise UnauthorizedError("The access token has expired: refresh it, or log in again.") from error
    except jwt.PyJWTError as error:
        raise UnauthorizedError("The access token is not valid.") from error
    return AccessClaims(user_id=str(payload["sub"]), session_id=str(payload["sid"]))
