"""``radiarch plan`` and ``radiarch get``."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from radiarch_client import JobView, Overrides, PlanRequest, PlanView, PrescriptionRequest, Radiarch

from radiarch_standalone.follow import follow
from radiarch_standalone.remote.server import (
    FAILED,
    HERE,
    JsonOption,
    KeyOption,
    ServerOption,
    out,
    print_json,
    server,
    told,
)
from radiarch_standalone.tables import tell

INTERRUPTED = 130
OutOption = Annotated[Path | None, typer.Option("--out", help="Fetch the plan's files into this folder.")]


def plan(
    study: Annotated[str, typer.Option(help="StudyInstanceUID, as the PACS has it.")],
    workflow: Annotated[str, typer.Option(help="Such as proton-impt.")],
    target: Annotated[str, typer.Option(help="Structure to treat, as the structure set spells it.")],
    dose: Annotated[float, typer.Option(help="Gy(RBE), all fractions together.")],
    fractions: Annotated[int, typer.Option()],
    structures: Annotated[str | None, typer.Option(help="SOPInstanceUID of the RTSTRUCT, if several.")] = None,
    machine: Annotated[str | None, typer.Option(help="Left out: the server's choice, if it has one.")] = None,
    calibration: Annotated[str | None, typer.Option(help="CT calibration; left out: the server's choice.")] = None,
    normalisation: Annotated[str | None, typer.Option(help='Such as "D50% = 100 %".')] = None,
    grid: Annotated[float | None, typer.Option(help="Dose grid, mm; left out: the workflow's.")] = None,
    pacs: Annotated[str | None, typer.Option(help="PACS connector; left out: the server's choice.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Override a number of the workflow, as often as needed: --set seed=7 "
            "--set 'beams=\\[{\"gantry_angle_deg\": 90}]'. Values are JSON, or else text.",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the job to its end.")] = True,
    folder: OutOption = None,
    as_json: JsonOption = False,
    address: ServerOption = HERE,
    key: KeyOption = None,
) -> None:
    """Ask a server for a plan, follow it, and show what it is worth.

    Exit status: 0 planned (or taken, with --no-wait), 1 refused, failed or cancelled, 2 wrong options, 3 not logged
    in or not allowed, 4 server not reachable.
    """
    if folder is not None and not wait:
        raise typer.BadParameter("The files are there once the job has ended: leave out --no-wait.", param_hint="--out")
    asked = PlanRequest.model_validate(
        _given(
            {
                "study_instance_uid": study,
                "segmentation_uid": structures,
                "workflow": workflow,
                "prescription": PrescriptionRequest.model_validate(
                    _given(
                        {"target": target, "dose_gy_rbe": dose, "fractions": fractions, "normalisation": normalisation}
                    )
                ),
                "machine": machine,
                "ct_calibration": calibration,
                "dose_grid_mm": grid,
                "pacs": pacs,
                "overrides": _overrides(changes) if changes else None,
            }
        )
    )
    with server(address, key) as radiarch:
        taken = radiarch.plan(asked)
        if not wait:
            if as_json:
                print_json(taken)
            else:
                out.print(f"Taken: {taken.id}", highlight=False)
            return
        told.print(f"Plan {taken.id}", highlight=False)
        job = _followed(radiarch, taken.id)
        _finish(radiarch, radiarch.get_plan(taken), job, folder, as_json=as_json)


def get(
    plan_id: Annotated[str, typer.Argument(metavar="PLAN", help="As radiarch plan and radiarch jobs print it.")],
    folder: OutOption = None,
    as_json: JsonOption = False,
    address: ServerOption = HERE,
    key: KeyOption = None,
) -> None:
    """Show a plan, and fetch its files.

    Exit status as of radiarch plan; 1 also while the plan is not ready.
    """
    with server(address, key) as radiarch:
        found = radiarch.get_plan(plan_id)
        _finish(radiarch, found, found.job, folder, as_json=as_json)


def _followed(radiarch: Radiarch, job_id: str) -> JobView:
    try:
        return follow(radiarch, job_id, told)
    except KeyboardInterrupt:
        told.print(f"The job goes on. radiarch get {job_id} shows it, radiarch cancel {job_id} stops it.")
        raise typer.Exit(INTERRUPTED) from None


def _finish(radiarch: Radiarch, found: PlanView, job: JobView, folder: Path | None, *, as_json: bool) -> None:
    """Show and fetch a plan; exit when there is none."""
    files = radiarch.download(found, folder) if folder is not None and job.state == "succeeded" else []
    if as_json:
        print_json(found)
    elif job.state == "succeeded":
        tell(found, out)
        if files:
            out.print(f"Files in {folder}: {' '.join(sorted(file.name for file in files))}", highlight=False)
        else:
            out.print(f"Its files: radiarch get {found.id} --out DIR", highlight=False)
    if job.state != "succeeded":
        words = f"The job is {job.state}: {job.reason or job.message} {job.hint or ''}".strip()
        told.print(words, style="yellow", highlight=False, markup=False)
        raise typer.Exit(FAILED)


def _overrides(changes: list[str]) -> Overrides:
    found: dict[str, Any] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{change!r} is not NAME=VALUE.", param_hint="--set")
        found[name.strip()] = _value(value)
    try:
        return Overrides.model_validate(found)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--set") from error


def _value(text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
