"""``create-clinic``, ``list-clinics``."""

from typing import Annotated

import typer
from pydantic import ValidationError

from radiarch_gateway.accounts.clinics import all_clinics, create_clinic
from radiarch_gateway.accounts.views import NewClinic
from radiarch_gateway.admin.place import opened
from radiarch_gateway.auth.deeds import COMMAND_LINE


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command("create-clinic")(create)
    app.command("list-clinics")(show)


def create(
    clinic_id: Annotated[str, typer.Argument(help="Small letters, digits, hyphens.")],
    name: Annotated[str, typer.Argument(help="As people read it.")],
) -> None:
    """Make a clinic."""
    try:
        new = NewClinic(id=clinic_id, name=name)
    except ValidationError as error:
        raise typer.BadParameter(str(error)) from error
    with opened() as database, database.writing() as session:
        create_clinic(session, new, COMMAND_LINE)


def show() -> None:
    """List every clinic."""
    with opened() as database, database.reading() as session:
        for clinic in all_clinics(session):
            typer.echo(f"{clinic.id}\t{'active' if clinic.active else 'inactive'}\t{clinic.name}")
