"""``radiarch admin erase``: everything of a plan, a study or a patient, gone from this server."""

from typing import Annotated

import typer
from pydantic import ValidationError
from radiarch_common.errors import RadiarchError
from radiarch_common.settings import Settings
from radiarch_gateway.auth.caller import MAIN_CLINIC
from radiarch_gateway.erasures.console import erase
from radiarch_gateway.erasures.models import ErasureRequest, ErasureState, ErasureView
from rich.console import Console

console = Console()


def erase_command(
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

    The database is that of RADIARCH_DATABASE_URL, and a running gateway does the work. Exit status 1 says that it is
    not done yet.
    """
    patient_id = typer.prompt("Patient ID") if patient else None
    try:
        request = ErasureRequest(plan_id=plan, study_instance_uid=study, patient_id=patient_id, pacs=pacs)
        done = erase(Settings(), clinic, request, wait_s=wait, told=_tell)
    except ValidationError as error:
        for wrong in error.errors(include_input=False):
            console.print(f"[red]{wrong['msg']}[/]")
        raise typer.Exit(2) from None
    except RadiarchError as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(2) from None
    if done.state is not ErasureState.DONE:
        console.print("Not done yet: a running gateway goes on with it.")
        raise typer.Exit(1)


def _tell(view: ErasureView) -> None:
    plans = "looking for plans" if view.plan_ids is None else f"{len(view.plan_ids)} plans"
    waits = f", waits for {view.waiting_for}" if view.waiting_for else ""
    console.print(f"Erasure {view.id}: {view.state}, {plans}{waits}")
