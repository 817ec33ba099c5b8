"""A route of the page: who is not logged in is shown where to."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.scopes import Scope
from radiarch_gateway.bootstrap import Gateway
from radiarch_gateway.errors import ForbiddenError, UnauthorizedError
from radiarch_gateway.page.cookies import REFRESH_COOKIE, forget, keep
from radiarch_gateway.page.forms import login_form, password_form

SEE_OTHER = 303


class PageRoute(APIRoute):
    """Answers with a form where one is needed first; other problems are put in words by ``Sorry``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except UnauthorizedError as error:
                return await _let_in(request, str(error))
            except ForbiddenError:
                if not _needs_own_password(request):
                    raise
                return password_form(request, _gateway(request), why=None, goes_to=request.url.path, status=403)
            except RequestValidationError as error:
                raise HTTPException(404 if request.method == "GET" else 422) from error

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


def _needs_own_password(request: Request) -> bool:
    caller = getattr(request.state, "caller", None)
    return isinstance(caller, Caller) and caller.scopes == frozenset({Scope.SELF})


def _gateway(request: Request) -> Gateway:
    return cast("Gateway", request.app.state.gateway)
