"""``/login``, ``/password`` and ``/logout``: forms, and a login kept in cookies."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.guard import ACCESS_COOKIE, needs
from radiarch_gateway.auth.scopes import Scope
from radiarch_gateway.bootstrap import Gateway, GatewayDep
from radiarch_gateway.errors import (
    CodeNeededError,
    ConflictError,
    ForbiddenError,
    InvalidRequestError,
    UnauthorizedError,
)
from radiarch_gateway.page.cookies import forget, is_ours, keep
from radiarch_gateway.page.door import Door, Entry
from radiarch_gateway.page.forms import code_form, login_form, ours, password_form
from radiarch_gateway.page.route import SEE_OTHER, PageRoute

router = APIRouter(route_class=PageRoute, include_in_schema=False)

Field = Annotated[str, Form(max_length=1024)]
Somebody = Annotated[Caller, needs(Scope.SELF)]

DIFFERENT = "The two passwords differ: type the same one twice."
EXPIRED = "This form is from elsewhere, or too old: go back and load the page again."


@router.get("/login")
def show_login(request: Request, gateway: GatewayDep) -> Response:
    """The form."""
    if gateway.settings.authentication == "none":
        return RedirectResponse("/", SEE_OTHER)
    return login_form(request, gateway, why=None, goes_to="/", status=200)


@router.post("/login")
def log_in(
    request: Request,
    gateway: GatewayDep,
    username: Field = "",
    password: Field = "",
    half: Field = "",
    totp_code: Field = "",
    goes_to: Field = "/",
    form_token: Field = "",
) -> Response:
    """Keep a login in cookies, and go where it was asked for; by way of a code or a new password where it takes one."""
    goes_to = ours(goes_to)
    _check_form(gateway, request, form_token)
    if gateway.door is None:
        return login_form(request, gateway, why="Nobody can log in here.", goes_to=goes_to)
    client_ip = request.client.host if request.client else "unknown"
    try:
        entry = _entry(gateway.door, (username, password), (half, totp_code), client_ip)
    except CodeNeededError as error:
        return code_form(request, gateway, why=str(error) if half else None, goes_to=goes_to, half=error.half)
    except UnauthorizedError as error:
        return login_form(request, gateway, why=str(error), goes_to=goes_to, username=username)
    place = f"/password?goes_to={goes_to}" if entry.own_password_first else goes_to
    response = RedirectResponse(place, SEE_OTHER, {"Cache-Control": "no-store"})
    keep(request, gateway, response, entry)
    return response


def _entry(door: Door, said: tuple[str, str], code: tuple[str, str], client_ip: str) -> Entry:
    half, totp_code = code
    return door.go_on(half, totp_code.strip(), client_ip) if half else door.log_in(*said, client_ip)


@router.get("/password")
def show_password(request: Request, gateway: GatewayDep, caller: Somebody, goes_to: str = "/") -> Response:
    """The form, for who has no password of their own yet."""
    if caller.scopes != frozenset({Scope.SELF}):
        return RedirectResponse("/", SEE_OTHER)
    return password_form(request, gateway, why=None, goes_to=goes_to)


@router.post("/password")
def set_password(
    request: Request,
    gateway: GatewayDep,
    new_password: Field = "",
    again: Field = "",
    goes_to: Field = "/",
    form_token: Field = "",
) -> Response:
    """Put a password of one's own in place of one that somebody else gave; the login goes on."""
    _check_form(gateway, request, form_token)
    token = request.cookies.get(ACCESS_COOKIE)
    if token is None or gateway.door is None:
        raise UnauthorizedError("Log in first.")
    try:
        why = DIFFERENT if new_password != again else None
        if why is None:
            gateway.door.set_own_password(token, new_password)
    except InvalidRequestError as error:
        why = " ".join(f"{one.message} Allowed: {one.allowed}." for one in error.errors)
    except ConflictError:
        return RedirectResponse("/", SEE_OTHER)
    if why is not None:
        return password_form(request, gateway, why=why, goes_to=goes_to, status=422)
    return RedirectResponse(ours(goes_to), SEE_OTHER, {"Cache-Control": "no-store"})


@router.post("/logout")
def log_out(request: Request, gateway: GatewayDep, form_token: Field = "") -> Response:
    """End the login that the cookies hold."""
    _check_form(gateway, request, form_token)
    token = request.cookies.get(ACCESS_COOKIE)
    if token is not None and gateway.door is not None:
        gateway.door.log_out(token)
    response = RedirectResponse("/login", SEE_OTHER)
    forget(response)
    return response


def _check_form(gateway: Gateway, request: Request, form_token: str) -> None:
    if not is_ours(gateway, request, form_token):
        raise ForbiddenError(EXPIRED)
