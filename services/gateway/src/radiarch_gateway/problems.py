"""Errors as ``application/problem+json`` (RFC 9457), here and nowhere else."""

import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field
from radiarch_common.errors import UnavailableError
from radiarch_common.telemetry import get_logger
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from radiarch_gateway.db import AWAY
from radiarch_gateway.errors import (
    CodeNeededError,
    ConflictError,
    DamagedError,
    FieldError,
    ForbiddenError,
    InvalidRequestError,
    LimitedError,
    MissingError,
    NotReadyError,
    StorageFullError,
    TooManyError,
    UnauthorizedError,
)
from radiarch_gateway.field_errors import field_errors

MEDIA_TYPE: Final = "application/problem+json"
REFERENCE: Final = "#/components/schemas/Problem"
RETRY_AFTER_S: Final = 10
CODE_NEEDED: Final = "urn:radiarch:problem:totp-code-needed"
"""The ``type`` of a login that lacks nothing but its code."""

log = get_logger(__name__)


class Problem(BaseModel):
    """What went wrong, and what can be done about it."""

    type: str = Field(default="about:blank", description="The kind of problem; `about:blank`: as the status says.")
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str | None = Field(default=None, examples=["1 field of the request is wrong."])
    instance: str | None = Field(default=None, description="Names this one occurrence, as in the gateway's log.")
    errors: list[FieldError] = Field(default_factory=list, description="Each field that is wrong.")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a route documents the problems it may answer with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCE}}},
        }
        for status in statuses
    }


def answer(
    status: int,
    detail: str | None = None,
    *,
    kind: str = "about:blank",
    errors: Sequence[FieldError] = (),
    instance: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """One problem as a response."""
    problem = Problem(
        type=kind,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=list(errors),
        instance=instance,
    )
    content = problem.model_dump(exclude_none=True, exclude=None if errors else {"errors"})
    return JSONResponse(content, status, headers, media_type=MEDIA_TYPE)


def database_down() -> JSONResponse:
    """The answer while the database is away."""
    return answer(503, "The database is not reachable.", headers={"Retry-After": str(RETRY_AFTER_S)})


def install(app: FastAPI) -> None:
    """Have every error of this application answered as a problem."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(InvalidRequestError, _refused)
    app.add_exception_handler(UnauthorizedError, _unauthorized)
    app.add_exception_handler(LimitedError, _limited)
    app.add_exception_handler(ForbiddenError, _plain(403))
    app.add_exception_handler(MissingError, _plain(404))
    app.add_exception_handler(ConflictError, _plain(409))
    app.add_exception_handler(DamagedError, _plain(500))
    app.add_exception_handler(StorageFullError, _plain(507))
    app.add_exception_handler(NotReadyError, _not_ready)
    app.add_exception_handler(TooManyError, _too_many)
    app.add_exception_handler(UnavailableError, _unavailable)
    for error in AWAY:
        app.add_exception_handler(error, _database_down)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _defect)


def _plain(status: int) -> Any:  # noqa: ANN401 - a handler, as Starlette types them
    def handler(_: Request, error: Exception) -> JSONResponse:
        return answer(status, str(error))

    return handler


def _unauthorized(_: Request, error: Exception) -> JSONResponse:
    kind = CODE_NEEDED if isinstance(error, CodeNeededError) else "about:blank"
    return answer(401, str(error), kind=kind, headers={"WWW-Authenticate": "Bearer"})


def _limited(_: Request, error: Exception) -> JSONResponse:
    retry_after_s = cast("LimitedError", error).retry_after_s
    return answer(429, str(error), headers={"Retry-After": str(retry_after_s)})


def _invalid(request: Request, error: Exception) -> JSONResponse:
    found = field_errors(request, cast("RequestValidationError", error).errors())
    return answer(422, _count(found), errors=found)


def _refused(_: Request, error: Exception) -> JSONResponse:
    found = cast("InvalidRequestError", error).errors
    return answer(422, _count(found), errors=found)


def _count(found: Sequence[FieldError]) -> str:
    return "1 field of the request is wrong." if len(found) == 1 else f"{len(found)} fields of the request are wrong."


def _not_ready(_: Request, error: Exception) -> JSONResponse:
    retry_after_s = cast("NotReadyError", error).retry_after_s
    return answer(503, str(error), headers={"Retry-After": str(retry_after_s)})


def _too_many(_: Request, error: Exception) -> JSONResponse:
    return too_many(cast("TooManyError", error))


def too_many(error: TooManyError) -> JSONResponse:
    """What somebody gets who asks too often."""
    return answer(429, str(error), headers={"Retry-After": str(error.retry_after_s)})


def _unavailable(_: Request, error: Exception) -> JSONResponse:
    down = cast("UnavailableError", error)
    log.warning("neighbour is down", neighbour=down.neighbour, detail=down.detail)
    return answer(503, f"{down.neighbour} is not reachable.", headers={"Retry-After": str(RETRY_AFTER_S)})


def _database_down(_: Request, error: Exception) -> JSONResponse:
    log.warning("database is down", error=type(error).__name__)
    return database_down()


def _http(request: Request, error: Exception) -> JSONResponse:
    known = cast("HTTPException", error)
    if known.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return answer(known.status_code, headers={"Allow": _allow(request)})
    return answer(
        known.status_code,
        None if known.detail == HTTPStatus(known.status_code).phrase else known.detail,
        headers=known.headers,
    )


def _allow(request: Request) -> str:
    """Every method of a path: the router names those of the first route alone.

    A path that is declared as it is, such as ``/rules/test``, is not one of ``/rules/{rule_id}``.
    """
    path: str = request.scope["path"]
    routes = [route for route in iter_route_contexts(cast("FastAPI", request.app).routes) if route.path]
    routes = [route for route in routes if route.path == path] or [
        route for route in routes if compile_path(route.path or "")[0].match(path)
    ]
    return ", ".join(sorted({method for route in routes for method in route.methods or ()}))


def _defect(request: Request, error: Exception) -> JSONResponse:
    """A defect of ours: its traceback goes to the log, its name to the user."""
    instance = f"urn:uuid:{uuid.uuid4()}"
    log.error("request failed", exc_info=error, instance=instance, method=request.method)
    return answer(500, "The gateway failed; its log tells more under this instance.", instance=instance)
