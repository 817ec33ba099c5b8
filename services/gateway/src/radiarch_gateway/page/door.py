"""How the page lets people in: by whatever keeps the accounts, behind these calls."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Entry:
    """A login, as the page keeps it in cookies."""

    access_token: str
    expires_in_s: int
    refresh_token: str
    refresh_expires_in_s: int
    own_password_first: bool
    """The password was given by somebody else: nothing can be seen before another is set."""


class Door(Protocol):
    """Blocking, and slow where a password is hashed: call it in a thread."""

    def log_in(self, username: str, password: str, client_ip: str) -> Entry:
        """A new login. Raises UnauthorizedError, in words for people; CodeNeededError when a code makes it one."""
        ...

    def go_on(self, half: str, totp_code: str, client_ip: str) -> Entry:
        """The login of which CodeNeededError bore half. Raises UnauthorizedError, in words for people."""
        ...

    def set_own_password(self, access_token: str, new: str) -> None:
        """Replace a password that somebody else gave.

        Raises UnauthorizedError, ForbiddenError, ConflictError, InvalidRequestError.
        """
        ...

    def stay(self, refresh_token: str) -> Entry:
        """The next tokens of a login. Raises UnauthorizedError."""
        ...

    def log_out(self, access_token: str) -> None:
        """End a login; nothing happens when it has ended already."""
        ...
