"""``radiarch rebuild-state``: job state told again from the event stream."""

from typing import Annotated

import typer
from radiarch_common.errors import RadiarchError
from radiarch_common.settings import Settings
from radiarch_gateway.db import Database
from radiarch_gateway.jobs.rebuild import rebuild
from rich.console import Console

console = Console()


def rebuild_state(
    replace: Annotated[
        bool, typer.Option("--replace", help="Also when the database holds plans: those of the stream anew.")
    ] = False,
) -> None:
    """Tell plans, jobs and artifacts again from the event stream (90 days) into RADIARCH_DATABASE_URL.

    Plans that the stream no longer holds stay as they are; what was erased stays away. Gateways that run meanwhile
    wait.
    """
    settings = Settings()
    database = Database(settings.database_url)
    try:
        jobs = rebuild(database, settings, replace=replace)
    except RadiarchError as error:
        console.print(f"[red]Not rebuilt:[/] {error}", highlight=False)
        raise typer.Exit(1) from error
    finally:
        database.close()
    console.print(f"{jobs} jobs were told again from the event stream.")
