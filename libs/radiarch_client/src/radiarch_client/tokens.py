"""Tokens of a login, and where they are kept."""

import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

RENEW_BEFORE_S = 30.0
"""An access token is renewed so long before its end: a request may be on its way for a while."""


class LoginAnswer(BaseModel):
    """What ``POST /auth/login`` and ``POST /auth/refresh`` answer."""

    access_token: str
    refresh_token: str
    expires_in_s: float
    must_change_password: bool = False


class Tokens(BaseModel):
    """What a login gave. ``expires_at`` is of the access token, seconds since the epoch on this machine's clock."""

    model_config = ConfigDict(frozen=True)

    access_token: str = Field(repr=False)
    refresh_token: str = Field(repr=False)
    expires_at: float
    must_change_password: bool = False

    @classmethod
    def of(cls, answer: LoginAnswer) -> "Tokens":
        """Tokens that were given just now."""
        return cls(
            access_token=answer.access_token,
            refresh_token=answer.refresh_token,
            expires_at=time.time() + answer.expires_in_s,
            must_change_password=answer.must_change_password,
        )

    @property
    def ending(self) -> bool:
        """Whether the access token is to be renewed before it is used."""
        return time.time() > self.expires_at - RENEW_BEFORE_S


class TokenStore(Protocol):
    """Where tokens outlive a process. Its methods may block, shortly."""

    def read(self) -> Tokens | None:
        """What is kept now, perhaps by another process."""
        ...

    def write(self, tokens: Tokens | None) -> None:
        """Keep these; ``None``: forget."""
        ...

    def alone(self) -> AbstractContextManager[object]:
        """Nobody else renews meanwhile: a refresh token that is used twice ends the login."""
        ...


class InMemory:
    """Tokens of one client, gone with it."""

    def __init__(self) -> None:
        self._tokens: Tokens | None = None

    def read(self) -> Tokens | None:
        """What was kept."""
        return self._tokens

    def write(self, tokens: Tokens | None) -> None:
        """Keep these; ``None``: forget."""
        self._tokens = tokens

    @contextmanager
    def alone(self) -> Generator[None]:
        """No other process has them."""
        yield
