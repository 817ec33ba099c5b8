"""``create-user``, ``list-users``, ``set-roles``, ``reset-password``, ``reset-totp``, ``unlock``, ``deactivate``."""

from typing import Annotated

import typer
from pydantic import ValidationError

from radiarch_gateway.accounts.users import (
    change_user,
    create_user,
    reset_password,
    reset_totp,
    unlock,
    user_named,
    users_page,
)
from radiarch_gateway.accounts.views import NewUser, UserChange
from radiarch_gateway.admin.place import opened
from radiarch_gateway.auth.caller import MAIN_CLINIC
from radiarch_gateway.auth.deeds import COMMAND_LINE
from radiarch_gateway.auth.passwords import hash_password, one_time_password
from radiarch_gateway.auth.scopes import Role

Username = Annotated[str, typer.Argument(help="Who.")]
RoleOptions = Annotated[list[Role], typer.Option("--role", help="May be given several times.")]
_PAGE = 200


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("create-user")(create)
    app.command("list-users")(show)
    app.command("set-roles")(set_roles)
    app.command("reset-password")(give_password)
    app.command("reset-totp")(take_totp)
    app.command("unlock")(take_lock)
    app.command("deactivate")(deactivate)


def create(
    username: Username,
    role: RoleOptions,
    name: Annotated[str | None, typer.Option(help="As people read it; else the username.")] = None,
    clinic: Annotated[str, typer.Option(help="Its id.")] = MAIN_CLINIC,
) -> None:
    """Make an account, and print its one-time password."""
    try:
        new = NewUser(username=username, display_name=name or username, roles=role, clinic_id=clinic)
    except ValidationError as error:
        raise typer.BadParameter(str(error)) from error
    password = one_time_password()
    with opened() as database:
        hashed = hash_password(password)
        with database.writing() as session:
            create_user(session, new, hashed, COMMAND_LINE)
    _tell(new.username.lower(), password)


def show() -> None:
    """List every account."""
    with opened() as database, database.reading() as session:
        cursor: str | None = None
        while True:
            page = users_page(session, _PAGE, cursor)
            for user in page.items:
                state = "active" if user.active else "inactive"
                roles = ",".join(user.roles)
                typer.echo(f"{user.username}\t{user.clinic_id}\t{roles}\t{state}\t{user.display_name}")
            cursor = page.next_cursor
            if cursor is None:
                return


def set_roles(username: Username, role: RoleOptions) -> None:
    """Give these roles, and no others."""
    with opened() as database, database.writing() as session:
        change_user(session, user_named(session, username).id, UserChange(roles=role), COMMAND_LINE)


def give_password(username: Username) -> None:
    """Print a one-time password; every login of the user ends, and a lock too."""
    password = one_time_password()
    with opened() as database:
        hashed = hash_password(password)
        with database.writing() as session:
            reset_password(session, user_named(session, username).id, hashed, COMMAND_LINE)
    _tell(username.lower(), password)


def take_totp(username: Username) -> None:
    """Ask for no codes any more: the authenticator app was lost."""
    with opened() as database, database.writing() as session:
        reset_totp(session, user_named(session, username).id, COMMAND_LINE)


def take_lock(username: Username) -> None:
    """Forget the failed logins."""
    with opened() as database, database.writing() as session:
        unlock(session, user_named(session, username).id, COMMAND_LINE)


def deactivate(username: Username) -> None:
    """Let somebody in no more; what they did stays written."""
    with opened() as database, database.writing() as session:
        change_user(session, user_named(session, username).id, UserChange(active=False), COMMAND_LINE)


def _tell(username: str, password: str) -> None:
    typer.echo(f"{username}\t{password}")
    typer.echo("This password serves once, to set another.", err=True)
