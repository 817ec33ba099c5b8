"""What a call raises: an answer of the server that is not what was asked for, or no answer at all."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import httpx
from pydantic import ValidationError

from radiarch_client.models import FieldError, Problem

MEDIA_TYPE: Final = "application/problem+json"


class RadiarchError(Exception):
    """Base of everything this client raises on purpose.

    Attributes
    ----------
    problem
        What the server said (RFC 9457); ``None`` when it said nothing, or nothing of this form.
    """

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem


class LoginNeededError(RadiarchError):
    """Nobody is logged in, or no longer (401)."""


class NotAllowedError(RadiarchError):
    """Whoever is logged in may not do this (403)."""


class MissingError(RadiarchError):
    """There is no such thing, or it is another clinic's (404)."""


class ConflictError(RadiarchError):
    """It contradicts what is already so (409)."""


class RefusedError(RadiarchError):
    """The request is wrong (422 and what is like it); ``errors`` names each field, and what would be accepted."""

    @property
    def errors(self) -> tuple[FieldError, ...]:
        """Each field that is wrong."""
        return tuple(self.problem.errors or ()) if self.problem else ()


class UnavailableError(RadiarchError):
    """The server, or something that it needs, does not answer now.

    Attributes
    ----------
    retry_after_s
        When the server asks to be asked again; ``None``: it did not say.
    """

    def __init__(self, message: str, problem: Problem | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, problem)
        self.retry_after_s = retry_after_s


class ServerError(RadiarchError):
    """The server failed (500): a defect of it, in its log under ``problem.instance``."""


class UnreadableError(RadiarchError):
    """The answer is not one of a Radiarch server, or of one too different from this client."""


class NotReadyError(RadiarchError):
    """A plan has no files, because its job has not succeeded."""


class DamagedError(RadiarchError):
    """The bytes that came are not those that were promised."""


PASSING: Final = frozenset({429, 502, 503, 504})
"""Statuses of what may have passed a moment later."""

KINDS: Final[Mapping[int, type[RadiarchError]]] = {
    401: LoginNeededError,
    403: NotAllowedError,
    404: MissingError,
    409: ConflictError,
}


def error_of(response: httpx.Response) -> RadiarchError:
    """The error that an answer is."""
    problem = _problem(response)
    message = _message(response, problem)
    status = response.status_code
    if status in PASSING:
        return UnavailableError(message, problem, retry_after_s(response.headers.get("Retry-After")))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ServerError(message, problem)
    return KINDS.get(status, RefusedError if response.is_client_error else UnreadableError)(message, problem)


def retry_after_s(text: str | None) -> float | None:
    """Seconds until the time that ``Retry-After`` names, in either of its forms (RFC 9110, 10.2.3)."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (at.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _problem(response: httpx.Response) -> Problem | None:
    if response.headers.get("Content-Type", "").split(";")[0] != MEDIA_TYPE:
        return None
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return None


def _message(response: httpx.Response, problem: Problem | None) -> str:
    if problem is None:
        return f"The server answered {response.status_code} {response.reason_phrase}."
    said = problem.detail or problem.title
    fields = (
        f"{e.field}: {e.message}" + (f" Allowed: {e.allowed}." if e.allowed else "") for e in problem.errors or ()
    )
    return " ".join([said, *fields])
