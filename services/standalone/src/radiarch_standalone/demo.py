"""The main job on one machine: phantom, plan, dose, tables, files."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radiarch_client import Patience, PlanView, Radiarch, RefusedError
from radiarch_common.errors import RadiarchError
from rich.console import Console

from radiarch_standalone.follow import follow
from radiarch_standalone.local import LocalRadiarch
from radiarch_standalone.phantom import PhantomStudy, write_phantom
from radiarch_standalone.tables import tell

QUICK: dict[str, Any] = {
    "spot_spacing_mm": 8.0,
    "layer_spacing_mm": 8.0,
    "primaries_per_spot": 300,
    "primaries_final": 1_000_000,
    "iterations": 100,
}
"""Low statistics: to see the machinery at work, not to judge a plan by."""

ENGINE_SETTINGS = ("RADIARCH_ENGINE_FOLDER", "RADIARCH_MCSQUARE_BINARY")
"""What the demo takes from the environment; no archive or store of a hospital is touched by it."""


class DemoError(RadiarchError):
    """The demo did not end with a plan."""


@dataclass(frozen=True)
class DemoOptions:
    """What the command line asks.

    Attributes
    ----------
    out
        Where the files go.
    engine_processes
        0 for one per core.
    keep
        Leave the data of this run (broker, objects, PACS folder, logs) under ``out/data``.
    """

    out: Path
    quick: bool
    engine_processes: int
    keep: bool


def plan_request(phantom: PhantomStudy, *, quick: bool) -> dict[str, Any]:
    """The body of ``POST /api/v1/plans`` for the C-shape, with the goals of TG-119's planning exercise.

    The beams enter from the sides, through 113 mm of water: the generic machine's lowest energy reaches 77 mm.
    """
    target, core = phantom.target, phantom.core
    overrides: dict[str, Any] = {
        "beams": [
            {"name": "G90", "gantry_angle_deg": 90.0},
            {"name": "G270", "gantry_angle_deg": 270.0},
        ],
        "objectives": [
            {"structure": target, "kind": "DUniform", "dose_gy_rbe": 51.5, "weight": 100.0},
            {"structure": target, "kind": "DMin", "dose_gy_rbe": 50.0, "weight": 100.0},
            {"structure": core, "kind": "DMax", "dose_gy_rbe": 15.0, "weight": 20.0},
            {"structure": phantom.body, "kind": "DMax", "dose_gy_rbe": 52.0, "weight": 20.0},
        ],
        "goals": [
            {"structure": target, "metric": "D95%[Gy]", "op": ">=", "value": 50.0},
            {"structure": target, "metric": "D10%[Gy]", "op": "<=", "value": 55.0},
            {"structure": core, "metric": "D10%[Gy]", "op": "<=", "value": 25.0},
        ],
        # Half of the workflow's: 1.8 % noise, at which these goals are met with room (D10% 53.7, core 17.0).
        "primaries_final": 4_000_000,
    }
    return {
        "study_instance_uid": phantom.study_instance_uid,
        "segmentation_uid": phantom.structure_set_uid,
        "workflow": "proton-impt",
        "prescription": {"target": target, "dose_gy_rbe": 50.0, "fractions": 25, "normalisation": "D95% = 100 %"},
        "overrides": overrides | (QUICK if quick else {}),
    }


def run_demo(options: DemoOptions, console: Console) -> None:
    """Plan the phantom and leave its files in ``options.out``. Raises RadiarchError when that did not work."""
    start = time.monotonic()
    data = options.out / "data"
    shutil.rmtree(data, ignore_errors=True)
    options.out.mkdir(parents=True, exist_ok=True)
    engine = {name: os.environ[name] for name in ENGINE_SETTINGS if name in os.environ}
    radiarch = LocalRadiarch(data, engine_processes=options.engine_processes, settings=engine)
    console.print("[bold]Radiarch[/] plans a TG-119 C-shape in water. Research only, not for treatment.")
    phantom = write_phantom(radiarch.pacs_folder)
    console.print(f"Phantom: {len(phantom.files) - 1} CT slices and a structure set in {radiarch.pacs_folder}")
    succeeded = False
    try:
        radiarch.start()
        with console.status("Starting broker, gateway, importer, planner, exporter ..."):
            radiarch.wait_until_ready()
        console.print(f"Gateway: {radiarch.url} (API documentation at /docs while this runs)")
        # When the gateway does not answer, its log tells more than waiting for it does.
        with Radiarch(radiarch.url, patience=Patience(on_wait=lambda _trouble, _wait_s: radiarch.check())) as client:
            plan = _plan(client, plan_request(phantom, quick=options.quick), console, radiarch)
            files = client.download(plan, options.out)
        succeeded = True
    finally:
        radiarch.stop()
        if succeeded and not options.keep:
            shutil.rmtree(data, ignore_errors=True)
        elif not succeeded:
            console.print(f"Logs: {data / 'logs'}")
    tell(plan, console)
    console.print(f"Files in {options.out}: {' '.join(sorted(file.name for file in files))}")
    console.print(f"Done in {time.monotonic() - start:.0f} s.")


def _plan(client: Radiarch, body: dict[str, Any], console: Console, radiarch: LocalRadiarch) -> PlanView:
    try:
        taken = client.plan(body)
    except RefusedError as error:
        raise DemoError(f"the gateway refused the plan: {error}") from error
    job = follow(client, taken.id, console, radiarch.check)
    if job.state != "succeeded":
        raise DemoError(f"the job {job.state}: {job.reason or job.message} {job.hint or ''}".strip())
    return client.get_plan(taken)
