"""``rebuild-state``: job state told again from the event stream."""

from typing import Annotated

import typer
from radiarch_common.bus import BUS_ERRORS
from radiarch_common.errors import UnavailableError
from radiarch_common.settings import settings_or_exit

from radiarch_gateway.admin.place import opened
from radiarch_gateway.jobs.rebuild import rebuild


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("rebuild-state")(rebuild_state)


def rebuild_state(
    replace: Annotated[
        bool, typer.Option("--replace", help="Also when the database holds plans: those of the stream anew.")
    ] = False,
) -> None:
    """Tell plans, jobs and artifacts again from the event stream of RADIARCH_NATS_URL, which keeps 90 days.

    Plans that the stream no longer holds stay as they are; what was erased stays away. Gateways that run meanwhile
    wait.
    """
    with opened(new=True) as database:
        try:
            jobs = rebuild(database, settings_or_exit(), replace=replace)
        except BUS_ERRORS as error:
            raise UnavailableError("message bus", str(error)) from error
    typer.echo(f"{jobs} jobs were told again from the event stream.")
