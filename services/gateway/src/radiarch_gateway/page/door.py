"""How the page lets people in: by whatever keeps the accounts, behind these three calls."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Entry:
    """A login, as the page keeps it in cookies."""

    access_token: str
    expires_in_s: int
    refresh_token: str
    refresh_expires_in_s: int


class Door(Protocol):
    """Blocking, and slow where a password is hashed: call it in a thread."""

    def log_in(self, username: str, password: str, totp_code: str | None, client_ip: str) -> Entry:
        """A new login. Raises UnauthorizedError, in words for people."""
        ...

    def stay(self, refresh_token: str) -> Entry:
        """The next tokens of a login. Raises UnauthorizedError."""
        ...

    def log_out(self, access_token: str) -> None:
        """End a login; nothing happens when it has ended already."""
        ...
