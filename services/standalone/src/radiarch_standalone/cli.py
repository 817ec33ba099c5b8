"""The ``radiarch`` command: every stage on one machine, and plans by any server."""

import os
import signal
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from radiarch_client import RadiarchError as ClientError
from radiarch_common.errors import RadiarchError
from radiarch_gateway.admin.commands import app as admin
from rich.console import Console
from rich.table import Table

from radiarch_standalone.demo import DemoOptions, run_demo
from radiarch_standalone.doctor import examine
from radiarch_standalone.local import LocalRadiarch
from radiarch_standalone.phantom import write_phantom
from radiarch_standalone.remote.jobs import cancel, jobs
from radiarch_standalone.remote.login import login, logout
from radiarch_standalone.remote.plan import get, plan

LOOK_EVERY_S = 1.0

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Radiotherapy planning as a service, on one machine. Research only, not for treatment.\n\n"
    "Begin with [bold]radiarch demo[/]: it makes a phantom, plans it with protons, and leaves an RT Ion Plan, an "
    "RT Dose, DVH tables and a picture in ./radiarch-demo. Then [bold]radiarch up[/] serves the same over HTTP for "
    "your own studies: [bold]radiarch plan[/], [bold]jobs[/], [bold]get[/] and [bold]cancel[/] use it, or any other "
    "server that --server or RADIARCH_SERVER names.",
)
app.add_typer(admin, name="admin")
console = Console()
for command in (login, logout, plan, jobs, get, cancel):
    app.command(rich_help_panel="With a server")(command)


@app.command()
def demo(
    quick: Annotated[bool, typer.Option("--quick", help="Low statistics: two minutes instead of many.")] = False,
    out: Annotated[Path, typer.Option(help="Where the files go.")] = Path("radiarch-demo"),
    processes: Annotated[int, typer.Option(min=0, help="Dose engine processes at once; 0: one per core.")] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Keep broker, objects and logs under <out>/data.")] = False,
) -> None:
    """Plan a phantom from DICOM to DICOM and show the dose it gets.

    Exit status 0 says that the plan is in the folder; goals that were missed are told, not hidden.
    """
    _told(lambda: run_demo(DemoOptions(out, quick, processes, keep), console))


@app.command()
def up(
    data: Annotated[Path, typer.Option(help="Broker, database, objects, PACS folder and logs.")] = Path(
        "radiarch-data"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the gateway, on loopback; 0: a free one.")] = 9042,
    processes: Annotated[int, typer.Option(min=0, help="Dose engine processes at once; 0: one per core.")] = 0,
    no_login: Annotated[bool, typer.Option("--no-login", help="Whoever is at this machine may do everything.")] = False,
) -> None:
    """Run gateway, importer, planner, exporter and broker until Ctrl-C.

    The first start makes one administrator and prints the one-time password; `radiarch admin` makes more accounts.
    DICOM files put into <data>/pacs are found as studies. Any RADIARCH_* variable you set reaches every service:
    RADIARCH_PACS names a real archive, RADIARCH_S3__* a real object store.
    """
    settings = {name: value for name, value in os.environ.items() if name.startswith("RADIARCH_")}
    if no_login:
        settings["RADIARCH_AUTHENTICATION"] = "none"
    _told(lambda: _serve(LocalRadiarch(data, port=port, engine_processes=processes, login=True, settings=settings)))


@app.command()
def phantom(folder: Annotated[Path, typer.Argument(help="Made when it is missing.")]) -> None:
    """Write a TG-119 C-shape in water as DICOM: CT slices and a structure set."""
    study = write_phantom(folder)
    console.print(f"{len(study.files)} files in {folder}")
    console.print(f"StudyInstanceUID         {study.study_instance_uid}")
    console.print(f"RTSTRUCT SOPInstanceUID  {study.structure_set_uid}")
    console.print(f"Structures               {study.target} (target), {study.core}, {study.body}")


@app.command()
def doctor() -> None:
    """Tell what this machine has, and what is missing for real use.

    Exit status 1 says that planning would not work here.
    """
    findings = examine()
    table = Table("", "what", "seen", "advice")
    marks = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[red]missing[/]"}
    for finding in findings:
        table.add_row(marks[finding.verdict], finding.what, finding.seen, finding.advice)
    console.print(table)
    if any(finding.verdict == "missing" for finding in findings):
        raise typer.Exit(1)


@app.callback(invoke_without_command=True)
def main(
    show_version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True)] = False,
) -> None:
    """Options before the command."""
    if show_version:
        console.print(f"radiarch {version('radiarch-standalone')}")
        raise typer.Exit


def _serve(radiarch: LocalRadiarch) -> None:
    ending = threading.Event()

    def end(_number: int, _frame: object) -> None:
        ending.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        radiarch.start()
        with console.status("Starting ..."):
            radiarch.wait_until_ready()
        console.print(f"Radiarch is up: {radiarch.url}/  API documentation: {radiarch.url}/docs")
        console.print(f"DICOM folder: {radiarch.pacs_folder}  logs: {radiarch.folder / 'logs'}")
        _tell_login(radiarch)
        console.print("Loopback only. Generic beam data: research only. Ctrl-C ends it.")
        while not ending.wait(LOOK_EVERY_S):
            for name in radiarch.revive():
                console.print(f"[yellow]The {name} had ended and was started again.[/]")
    finally:
        radiarch.stop()


def _tell_login(radiarch: LocalRadiarch) -> None:
    """How to log in; the first administrator's one-time password is shown once."""
    if not radiarch.asks_to_log_in:
        console.print("[yellow]No login:[/] whoever is at this machine may do everything.")
        return
    first = radiarch.first_admin()
    if first is None:
        console.print(f"Open {radiarch.url}/ and log in; accounts: radiarch admin --help")
        return
    console.print(f"Open {radiarch.url}/ and log in:", highlight=False)
    console.print(f"  username: {first.username}  one-time password: {first.password}", highlight=False)
    console.print("It is not shown again: the page has you set a password of your own at once.")
    console.print("After that, `radiarch login` and `radiarch plan` serve on the command line too.")


def _told(work: Callable[[], None]) -> None:
    """Run; an error that was raised on purpose becomes a message and exit status 1."""
    try:
        work()
    except (RadiarchError, ClientError) as error:
        console.print(f"[red]{type(error).__name__.removesuffix('Error')}:[/] {error}", highlight=False)
        raise typer.Exit(1) from error
