"""``/users``."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from radiarch_gateway.accounts.users import (
    change_user,
    create_user,
    end_all_logins,
    reset_password,
    reset_totp,
    unlock,
    user,
    user_view,
    users_page,
)
from radiarch_gateway.accounts.views import EndedLogins, NewUser, OneTimePassword, UserChange, UserPage, UserView
from radiarch_gateway.auth.guard import AccountsAdmin
from radiarch_gateway.auth.passwords import hash_password, one_time_password
from radiarch_gateway.auth.views import USERNAME_PATTERN
from radiarch_gateway.bootstrap import GatewayDep
from radiarch_gateway.ids import ID_PATTERN
from radiarch_gateway.problems import problems

router = APIRouter(prefix="/users", tags=["accounts"])

UserId = Annotated[str, Path(pattern=ID_PATTERN)]


@router.get("", summary="List users", responses=problems(422))
def list_users(
    gateway: GatewayDep,
    _: AccountsAdmin,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[
        str | None, Query(pattern=USERNAME_PATTERN, description="`next_cursor` of the page before.")
    ] = None,
) -> UserPage:
    """Users of every clinic, by username."""
    with gateway.database.reading() as session:
        return users_page(session, limit, cursor)


@router.post("", summary="Make a user", status_code=201, responses=problems(409, 422))
def post_user(gateway: GatewayDep, caller: AccountsAdmin, asked: NewUser, response: Response) -> OneTimePassword:
    """An account and its one-time password, which is shown here and never again."""
    password = one_time_password()
    hashed = hash_password(password)
    response.headers["Cache-Control"] = "no-store"
    with gateway.database.writing() as session:
        return OneTimePassword(
            user=user_view(create_user(session, asked, hashed, caller.id)), one_time_password=password
        )


@router.get("/{user_id}", summary="See a user", responses=problems(404, 422))
def get_user(gateway: GatewayDep, _: AccountsAdmin, user_id: UserId) -> UserView:
    """One account."""
    with gateway.database.reading() as session:
        return user_view(user(session, user_id))


@router.patch("/{user_id}", summary="Change a user", responses=problems(404, 409, 422))
def patch_user(gateway: GatewayDep, caller: AccountsAdmin, user_id: UserId, asked: UserChange) -> UserView:
    """Name, roles, clinic, active or not; it counts from the user's next request on."""
    with gateway.database.writing() as session:
        return user_view(change_user(session, user_id, asked, caller.id))


@router.post("/{user_id}/reset-password", summary="Give a one-time password", responses=problems(404, 422))
def post_reset_password(
    gateway: GatewayDep, caller: AccountsAdmin, user_id: UserId, response: Response
) -> OneTimePassword:
    """A password to be changed at the next login; every login of the user ends, and a lock too."""
    password = one_time_password()
    hashed = hash_password(password)
    response.headers["Cache-Control"] = "no-store"
    with gateway.database.writing() as session:
        row = reset_password(session, user_id, hashed, caller.id)
        return OneTimePassword(user=user_view(row), one_time_password=password)


@router.post("/{user_id}/reset-totp", summary="Ask a user for no codes", responses=problems(404, 422))
def post_reset_totp(gateway: GatewayDep, caller: AccountsAdmin, user_id: UserId) -> UserView:
    """For who has lost the authenticator app."""
    with gateway.database.writing() as session:
        return user_view(reset_totp(session, user_id, caller.id))


@router.post("/{user_id}/unlock", summary="Unlock a user", responses=problems(404, 422))
def post_unlock(gateway: GatewayDep, caller: AccountsAdmin, user_id: UserId) -> UserView:
    """Forget the failed logins."""
    with gateway.database.writing() as session:
        return user_view(unlock(session, user_id, caller.id))


@router.post("/{user_id}/end-sessions", summary="End a user's logins", responses=problems(404, 422))
def post_end_sessions(gateway: GatewayDep, caller: AccountsAdmin, user_id: UserId) -> EndedLogins:
    """Every token of the user stops at once."""
    with gateway.database.writing() as session:
        return EndedLogins(ended=end_all_logins(session, user_id, caller.id))
