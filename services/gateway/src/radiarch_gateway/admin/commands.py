"""Every command of ``radiarch admin``; a module for each noun registers its own."""

from pathlib import Path
from typing import Annotated

import typer

from radiarch_gateway.admin.audit import register as register_audit
from radiarch_gateway.admin.clinics import register as register_clinics
from radiarch_gateway.admin.erasures import register as register_erasures
from radiarch_gateway.admin.keys import register as register_keys
from radiarch_gateway.admin.place import choose
from radiarch_gateway.admin.rebuild import register as register_rebuild
from radiarch_gateway.admin.users import register as register_users

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Accounts and upkeep, on the database that RADIARCH_DATABASE_URL names, or on that of `radiarch up` in a "
    "folder. What is changed counts at once, also while the gateway runs.",
)


@app.callback()
def main(
    data: Annotated[
        Path | None, typer.Option(help="Folder of `radiarch up`; else RADIARCH_DATABASE_URL, else ./radiarch-data.")
    ] = None,
) -> None:
    """Options before the command."""
    choose(data)


for register in (register_users, register_clinics, register_keys, register_audit, register_erasures, register_rebuild):
    register(app)
