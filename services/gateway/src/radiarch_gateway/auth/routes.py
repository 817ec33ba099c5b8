"""``/auth``: log in, stay logged in, log out; one's own password and authenticator app."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.guard import Self
from radiarch_gateway.auth.models import UserRow
from radiarch_gateway.auth.seal import Seal
from radiarch_gateway.auth.second_factor import confirm, disable, set_up
from radiarch_gateway.auth.sessions import Tokens
from radiarch_gateway.auth.views import (
    LoginRequest,
    Me,
    PasswordChange,
    PasswordCheck,
    RefreshRequest,
    TokensView,
    TotpCode,
    TotpSetup,
)
from radiarch_gateway.bootstrap import GatewayDep
from radiarch_gateway.errors import ForbiddenError
from radiarch_gateway.problems import problems

router = APIRouter(prefix="/auth", tags=["auth"])
USER: Final = "user:"


def _limited(request: Request, gateway: GatewayDep) -> None:
    """Count a try to log in against the address that it comes from."""
    gateway.login_limits.check(request.client.host if request.client else "unknown")


def _never_kept(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"


@router.post(
    "/login",
    summary="Log in",
    responses=problems(401, 422, 429),
    dependencies=[Depends(_limited), Depends(_never_kept)],
)
def log_in(gateway: GatewayDep, asked: LoginRequest) -> TokensView:
    """An access token and a refresh token for username, password and, where the account asks for it, a code.

    What is wrong is not told: name, password, code, or a lock after too many tries.
    """
    return _view(gateway.logins.log_in(asked.username, asked.password.get_secret_value(), asked.totp_code))


@router.post("/refresh", summary="Stay logged in", responses=problems(401, 422), dependencies=[Depends(_never_kept)])
def refresh(gateway: GatewayDep, asked: RefreshRequest) -> TokensView:
    """The next tokens for a refresh token. One that was used before ends its login, but for a short grace."""
    return _view(gateway.sessions.refresh(asked.refresh_token))


@router.post("/logout", summary="Log out", status_code=204)
def log_out(gateway: GatewayDep, caller: Self) -> None:
    """End this login: its access and refresh tokens stop at once. A token of an OIDC issuer is ended there."""
    gateway.sessions.end(caller)


@router.get("/me", summary="Who I am")
def me(gateway: GatewayDep, caller: Self) -> Me:
    """The caller as the server sees them now."""
    user_id = caller.id.removeprefix(USER)
    with gateway.database.reading() as session:
        user = session.get(UserRow, user_id) if caller.session_id else None
    return Me(
        id=caller.id,
        name=caller.name,
        clinic_id=caller.clinic_id,
        roles=sorted(caller.roles),
        scopes=sorted(caller.scopes),
        username=user.username if user else None,
        must_change_password=user.must_change_password if user else False,
        totp=user.totp_confirmed if user else False,
    )


def _own(caller: Self) -> Caller:
    """Whose password is kept here."""
    if caller.session_id is None:
        raise ForbiddenError("This account is not kept here: its password and codes are its issuer's.")
    return caller


Own = Annotated[Caller, Depends(_own)]


@router.post("/password", summary="Change my password", status_code=204, responses=problems(422))
def change_password(gateway: GatewayDep, caller: Own, asked: PasswordChange) -> None:
    """Set another password; every other login of the account ends."""
    gateway.logins.change_password(
        caller.id.removeprefix(USER),
        asked.current_password.get_secret_value(),
        asked.new_password.get_secret_value(),
        caller.session_id,
    )


@router.post("/totp/setup", summary="Begin with an app", responses=problems(409), dependencies=[Depends(_never_kept)])
def set_up_totp(gateway: GatewayDep, caller: Own) -> TotpSetup:
    """A secret for an authenticator app. Codes are asked for once one was confirmed."""
    seal = Seal(gateway.secret)
    with gateway.database.writing() as session:
        secret, uri = set_up(session, caller.id.removeprefix(USER), seal)
    return TotpSetup(secret=secret, uri=uri)


@router.post("/totp/confirm", summary="Ask for codes from now on", status_code=204, responses=problems(409, 422))
def confirm_totp(gateway: GatewayDep, caller: Own, asked: TotpCode) -> None:
    """Show that the app has the secret; each login needs a code from then on, and each code is good once."""
    seal = Seal(gateway.secret)
    with gateway.database.writing() as session:
        confirm(session, caller.id.removeprefix(USER), asked.code, seal)


@router.post("/totp/disable", summary="Ask for no codes", status_code=204, responses=problems(422))
def disable_totp(gateway: GatewayDep, caller: Own, asked: PasswordCheck) -> None:
    """Take the authenticator app away from the account."""
    user_id = caller.id.removeprefix(USER)
    gateway.logins.check_password(user_id, asked.password.get_secret_value())
    with gateway.database.writing() as session:
        disable(session, user_id)


def _view(tokens: Tokens) -> TokensView:
    return TokensView(
        access_token=tokens.access,
        expires_in_s=tokens.expires_in_s,
        refresh_token=tokens.refresh,
        refresh_expires_at=tokens.refresh_expires_at,
        must_change_password=tokens.user.must_change_password,
    )
