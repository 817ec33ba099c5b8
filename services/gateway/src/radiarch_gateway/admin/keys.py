"""``create-key``, ``list-keys``, ``revoke-key``."""

from datetime import timedelta
from typing import Annotated

import typer
from pydantic import ValidationError
from radiarch_common.messages import utc_now

from radiarch_gateway.accounts.keys import all_keys, create_key, revoke_key
from radiarch_gateway.accounts.views import NewKey
from radiarch_gateway.admin.place import opened
from radiarch_gateway.auth.caller import MAIN_CLINIC
from radiarch_gateway.auth.deeds import COMMAND_LINE
from radiarch_gateway.auth.keys import LONGEST
from radiarch_gateway.auth.models import ApiKeyRow
from radiarch_gateway.auth.scopes import Scope


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("create-key")(create)
    app.command("list-keys")(show)
    app.command("revoke-key")(revoke)


def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[list[Scope], typer.Option("--scope", help="May be given several times.")],
    days: Annotated[int, typer.Option(min=1, max=LONGEST.days, help="How long it lives.")],
    clinic: Annotated[str, typer.Option(help="Its id.")] = MAIN_CLINIC,
) -> None:
    """Make an API key, and print it."""
    expires_at = utc_now() + timedelta(days=days)
    try:
        new = NewKey(name=name, clinic_id=clinic, scopes=scope, expires_at=expires_at)
    except ValidationError as error:
        raise typer.BadParameter(str(error)) from error
    with opened() as database, database.writing() as session:
        row, key = create_key(session, new, COMMAND_LINE)
    typer.echo(key)
    typer.echo(f"Key {row.id}, until {row.expires_at:%Y-%m-%d}. It is not shown again.", err=True)


def show() -> None:
    """List every key, without the keys themselves."""
    with opened() as database, database.reading() as session:
        for row in all_keys(session):
            typer.echo(f"{row.id}\t{row.clinic_id}\t{','.join(row.scopes)}\t{_state(row)}\t{row.name}")


def revoke(key_id: Annotated[str, typer.Argument(help="As `list-keys` shows it.")]) -> None:
    """End a key at once."""
    with opened() as database, database.writing() as session:
        revoke_key(session, key_id, COMMAND_LINE)


def _state(row: ApiKeyRow) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at <= utc_now() else f"until {row.expires_at:%Y-%m-%d}"
