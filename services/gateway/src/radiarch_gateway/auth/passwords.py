"""Passwords: what is a good one, and whether one is right. Hashing takes a third of a second: call it in a thread."""

import base64
import hashlib
import secrets
from typing import Final

import bcrypt

from radiarch_gateway.errors import FieldError, InvalidRequestError

COST: Final = 12
MINIMUM: Final = 12
MAXIMUM: Final = 1024
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"
"""32 of them, none that looks like another."""
_GROUPS: Final = 4
_GROUP: Final = 5


def hash_password(password: str, cost: int = COST) -> str:
    """The bcrypt hash of the base64 of the password's SHA-256: bcrypt itself reads 72 bytes, and none after a NUL."""
    return bcrypt.hashpw(_digest(password), bcrypt.gensalt(cost)).decode()


def is_password(password: str, hashed: str) -> bool:
    """Whether a hash is this password's."""
    return bcrypt.checkpw(_digest(password), hashed.encode())


def hash_in_vain(password: str) -> None:
    """Take as long as a check takes: nobody shall measure whether an account exists."""
    bcrypt.hashpw(_digest(password), bcrypt.gensalt(COST))


def _digest(password: str) -> bytes:
    return base64.b64encode(hashlib.sha256(password.encode()).digest())


def check_new_password(password: str, username: str, field: str) -> None:
    """Raise InvalidRequestError, naming the field, unless a password may be chosen."""
    if len(password) < MINIMUM:
        wrong = "The password is too short."
    elif len(password) > MAXIMUM:
        wrong = "The password is too long."
    elif password.casefold() == username.casefold():
        wrong = "The password is the username."
    else:
        return
    allowed = f"{MINIMUM} to {MAXIMUM} characters, not the username"
    raise InvalidRequestError([FieldError(field=field, message=wrong, allowed=allowed)])


def one_time_password() -> str:
    """100 bits in letters and digits that can be read out aloud."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
