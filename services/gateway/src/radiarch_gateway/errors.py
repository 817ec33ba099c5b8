"""What the gateway answers with instead of doing as asked; ``problems.py`` turns these into HTTP."""

from pydantic import BaseModel, Field
from radiarch_common.errors import RadiarchError


class FieldError(BaseModel):
    """One thing wrong with one field of a request."""

    field: str = Field(description="Dotted path, such as `overrides.spot_spacing_mm`.")
    message: str = Field(description="What is wrong.")
    allowed: str | None = Field(default=None, description="What would be accepted.")


class InvalidRequestError(RadiarchError):
    """The request cannot become a job; every field that is wrong is named."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


class MissingError(RadiarchError):
    """There is no such plan, job or artifact."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"There is no {what} '{name}'.")


class UnauthorizedError(RadiarchError):
    """Nobody known bears this credential.

    Attributes
    ----------
    who
        As ``Caller.id``, when the credential is somebody's and serves no more.
    """

    def __init__(self, detail: str, who: str | None = None) -> None:
        super().__init__(detail)
        self.who = who


class CodeNeededError(UnauthorizedError):
    """The password is right; the account asks for a TOTP code as well.

    Attributes
    ----------
    half
        With the code, it makes a login.
    """

    def __init__(self, detail: str, half: str) -> None:
        super().__init__(detail)
        self.half = half


class LimitedError(RadiarchError):
    """Too many tries; the same one may be made later."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ForbiddenError(RadiarchError):
    """The caller is known, and may not do this.

    Attributes
    ----------
    who
        As ``Caller.id``, when nothing at all is allowed to them.
    """

    def __init__(self, detail: str, who: str | None = None) -> None:
        super().__init__(detail)
        self.who = who


class ConflictError(RadiarchError):
    """The request contradicts what is already so."""


class NotReadyError(RadiarchError):
    """A part that the answer needs is not there yet; the same request may succeed later."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class TooManyError(RadiarchError):
    """The caller asks more often than they may."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class StorageFullError(RadiarchError):
    """The object store holds more than it may."""


class DamagedError(RadiarchError):
    """Stored bytes are not what was stored."""
