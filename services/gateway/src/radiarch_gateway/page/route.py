"""A route whose refusals are pages too: who is not logged in is shown where to."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from radiarch_gateway.bootstrap import Gateway
from radiarch_gateway.errors import ForbiddenError, MissingError, UnauthorizedError
from radiarch_gateway.page.cookies import REFRESH_COOKIE, forget, keep
from radiarch_gateway.page.html import answer

SEE_OTHER = 303


class PageRoute(APIRoute):
    """Answers errors of callers as HTML; everything else is a problem as everywhere."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except UnauthorizedError as error:
                return await _let_in(request, str(error))
            except ForbiddenError as error:
                return _sorry(request, 403, "Not yours to see", str(error))
            except (MissingError, RequestValidationError):
                return _sorry(request, 404, "Nothing here", "There is no such plan, or it is another clinic's.")

        return handler


async def _let_in(request: Request, why: str) -> Response:
    """Go on with the refresh token, when there is a good one; else the form."""
    gateway = _gateway(request)
    token = request.cookies.get(REFRESH_COOKIE)
    if token is not None and gateway.door is not None:
        try:
            entry = await run_in_threadpool(gateway.door.stay, token)
        except UnauthorizedError as error:
            why = str(error)
        else:
            again = RedirectResponse(request.url.path, SEE_OTHER, {"Cache-Control": "no-store"})
            keep(request, gateway, again, entry)
            return again
    response = login_form(request, gateway, why=None if token is None else why, goes_to=request.url.path)
    forget(response)
    return response


def login_form(request: Request, gateway: Gateway, *, why: str | None, goes_to: str, status: int = 401) -> Response:
    """The form, as the answer to a page that needs a login."""
    content = {"why": why, "goes_to": goes_to, "open": gateway.door is not None}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return answer(request, gateway, "login.html", content, status, headers)


def _sorry(request: Request, status: int, title: str, why: str) -> Response:
    return answer(request, _gateway(request), "sorry.html", {"title": title, "why": why}, status)


def _gateway(request: Request) -> Gateway:
    return cast("Gateway", request.app.state.gateway)
