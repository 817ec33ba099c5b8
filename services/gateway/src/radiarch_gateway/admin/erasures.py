"""``erase``: everything of a plan, a study or a patient, gone from this server."""

import time
from typing import Annotated

import typer
from pydantic import ValidationError
from radiarch_common.pacs import open_pacs
from radiarch_common.settings import settings_or_exit

from radiarch_gateway.admin.place import opened
from radiarch_gateway.auth.caller import MAIN_CLINIC
from radiarch_gateway.auth.deeds import COMMAND_LINE
from radiarch_gateway.db import Database
from radiarch_gateway.erasures.models import ErasureRequest, ErasureRow, ErasureState, ErasureView, erasure_view
from radiarch_gateway.erasures.store import ask, refuse_what_cannot_be_removed

LOOK_EVERY_S = 0.5


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command("erase")(erase)


def erase(
    plan: Annotated[str | None, typer.Option(help="Id of a plan.")] = None,
    study: Annotated[str | None, typer.Option(help="Study Instance UID.")] = None,
    patient: Annotated[
        bool, typer.Option("--patient", help="Ask for a Patient ID; a shell would keep it in its history.")
    ] = False,
    clinic: Annotated[str, typer.Option(help="Whose plans.")] = MAIN_CLINIC,
    pacs: Annotated[
        bool, typer.Option("--pacs", help="Also remove what was exported to the PACS; never the study.")
    ] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for a running gateway to do it.")] = 600.0,
) -> None:
    """Erase everything of a plan, a study or a patient: files, rows, messages.

    A running gateway does the work. Exit status 1 says that it is not done yet.
    """
    patient_id = typer.prompt("Patient ID") if patient else None
    try:
        request = ErasureRequest(plan_id=plan, study_instance_uid=study, patient_id=patient_id, pacs=pacs)
    except ValidationError as error:
        raise typer.BadParameter("; ".join(e["msg"] for e in error.errors(include_input=False))) from None
    with opened() as database:
        if request.pacs:
            archives = open_pacs(settings_or_exit())
            refuse_what_cannot_be_removed({name: archive.can_remove for name, archive in archives.items()})
        with database.writing() as session:
            view = erasure_view(ask(session, clinic, COMMAND_LINE, request))
        view = _followed(database, view, time.monotonic() + wait)
    if view.state is not ErasureState.DONE:
        typer.echo("Not done yet: a running gateway goes on with it.")
        raise typer.Exit(1)


def _followed(database: Database, view: ErasureView, end: float) -> ErasureView:
    _tell(view)
    while view.state is not ErasureState.DONE and time.monotonic() < end:
        time.sleep(LOOK_EVERY_S)
        with database.reading() as session:
            seen = erasure_view(session.get_one(ErasureRow, view.id))
        if seen != view:
            _tell(seen)
        view = seen
    return view


def _tell(view: ErasureView) -> None:
    plans = "looking for plans" if view.plan_ids is None else f"{len(view.plan_ids)} plans"
    waits = f", waits for {view.waiting_for}" if view.waiting_for else ""
    typer.echo(f"Erasure {view.id}: {view.state}, {plans}{waits}")
