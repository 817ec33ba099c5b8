"""Every workflow on the TG-119 C-shape and on a real prostate, end to end, each number with its uncertainty.

    uv run python bench/workflows.py [--data FOLDER] [--workflows proton-impt ...] [--grid 4] [--quick] [--out FOLDER]

Broker, gateway, importer, planner and exporter run as processes of their own, as with ``radiarch up``; each plan is
asked for over HTTP. FOLDER holds ``real_prostate_ct_rs`` (a CT and an RTSTRUCT with PTV, Prostate, Rectum, Bladder);
without it the phantom alone is planned. Every plan's files stay in the out folder, and its DICOM is judged by
``dciodvfy`` where that is installed. Prints a table and, last, one JSON object.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from radiarch_client import Patience, Radiarch, RefusedError
from radiarch_standalone.demo import QUICK, plan_request
from radiarch_standalone.follow import follow
from radiarch_standalone.local import LocalRadiarch
from radiarch_standalone.phantom import write_phantom
from radiarch_testkit.dciodvfy import remarks
from rich.console import Console

WORKFLOWS = ("proton-impt", "proton-sfo", "proton-impt-robust")
ENGINE_SETTINGS = ("RADIARCH_ENGINE_FOLDER", "RADIARCH_MCSQUARE_BINARY")
PROSTATE_GY_RBE, PROSTATE_FRACTIONS = 60.0, 20


@dataclass(frozen=True)
class Task:
    """One plan to make: ``body`` is that of ``POST /plans``."""

    case: str
    workflow: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{self.case}-{self.workflow}"


def phantom_tasks(pacs: Path, workflows: list[str]) -> list[Task]:
    """The C-shape with TG-119's goals; the beams are the workflow's, IMPT's the demo's two from the sides."""
    study = write_phantom(pacs)
    tasks: list[Task] = []
    for workflow in workflows:
        body = plan_request(study, quick=False)
        overrides: dict[str, Any] = body["overrides"]
        del overrides["primaries_final"]
        if workflow != "proton-impt":
            del overrides["beams"]
        if workflow.endswith("robust"):
            for objective in overrides["objectives"]:
                objective["robust"] = objective["structure"] == study.target
        tasks.append(Task("c-shape", workflow, body | {"workflow": workflow}))
    return tasks


def prostate_tasks(data: Path, pacs: Path, workflows: list[str]) -> list[Task]:
    """The prostate with the workflow's own objectives; a robust plan treats the CTV, the others the PTV."""
    files = sorted((data / "real_prostate_ct_rs").rglob("*.dcm"))
    for file in files:
        shutil.copyfile(file, pacs / f"prostate-{file.name}")
    study = next(
        str(dcmread(f).StudyInstanceUID) for f in files if dcmread(f, specific_tags=["Modality"]).Modality == "CT"
    )
    tasks: list[Task] = []
    for workflow in workflows:
        target = "Prostate" if workflow.endswith("robust") else "PTV"
        goals = [
            {"structure": target, "metric": "D95%[Gy]", "op": ">=", "value": 0.95 * PROSTATE_GY_RBE},
            {"structure": target, "metric": "D2%[Gy]", "op": "<=", "value": 1.07 * PROSTATE_GY_RBE, "priority": 2},
            {"structure": "Rectum", "metric": "V40Gy[%]", "op": "<=", "value": 35.0, "limit": 45.0, "priority": 2},
            {"structure": "Bladder", "metric": "V40Gy[%]", "op": "<=", "value": 35.0, "limit": 45.0, "priority": 2},
        ]
        body: dict[str, Any] = {
            "study_instance_uid": study,
            "workflow": workflow,
            "prescription": {"target": target, "dose_gy_rbe": PROSTATE_GY_RBE, "fractions": PROSTATE_FRACTIONS},
            "overrides": {"goals": goals},
        }
        tasks.append(Task("prostate", workflow, body))
    return tasks


def changes_asked(options: argparse.Namespace) -> dict[str, Any]:
    """Overrides of every plan that the command line asks for."""
    found: dict[str, Any] = QUICK | {"uncertainty_percent": 20.0} if options.quick else {}
    if options.spots:
        found |= {"spot_spacing_mm": options.spots, "layer_spacing_mm": options.spots}
    return found


def with_scenarios(client: Radiarch, task: Task, primaries: int) -> Task:
    """A task whose scenarios, if it has any, are the workflow's with other statistics."""
    errors = next(w.parameters.robustness for w in client.workflows() if w.id == task.workflow)
    if errors is None:
        return task
    robustness = errors.model_dump(mode="json") | {"primaries_per_scenario": primaries}
    overrides = task.body["overrides"] | {"robustness": robustness}
    return Task(task.case, task.workflow, task.body | {"overrides": overrides})


def measure(client: Radiarch, task: Task, out: Path, console: Console, radiarch: LocalRadiarch) -> dict[str, Any]:
    """Plan, fetch, judge: one row of the table."""
    console.print(f"[bold]{task.name}[/]")
    start = time.monotonic()
    try:
        taken = client.plan(task.body)
    except RefusedError as error:
        return {"task": task.name, "state": "not taken", "reason": str(error)}
    job = follow(client, taken.id, console, radiarch.check)
    wall_s = time.monotonic() - start
    if job.state != "succeeded":
        return {"task": task.name, "state": job.state, "reason": f"{job.reason} {job.hint or ''}"}
    plan = client.get_plan(taken)
    folder = out / task.name
    client.download(plan, folder)
    target = task.body["prescription"]["target"]
    report = json.loads((folder / "plan.json").read_text())
    worst = [s["metrics"][target]["D95%[Gy]"] for s in report.get("scenarios", ())]
    return {
        "task": task.name,
        "state": "succeeded",
        "wall_s": wall_s,
        "planner_s": job.timings["planner"],
        "spots": sum(beam.spots for beam in plan.beams),
        "uncertainty_percent": report["uncertainty"]["percent"],
        "target_metrics": report["metrics"][target],
        "worst_d95_gy_rbe": min(worst) if worst else None,
        "goals": [
            {**goal["goal"], "achieved": goal["achieved"], "verdict": goal["verdict"]} for goal in report["goals"]
        ],
        "warnings": plan.warnings,
        "dciodvfy_errors": [line for name in ("RTPLAN.dcm", "RTDOSE.dcm") for line in judged(folder / name)],
    }


def judged(file: Path) -> list[str]:
    """Errors that dciodvfy finds in a DICOM file."""
    if shutil.which("dciodvfy") is None:
        return ["dciodvfy is not installed"]
    with tempfile.TemporaryDirectory() as folder:
        return [line for line in remarks(file.read_bytes(), Path(folder)) if line.startswith("Error")]


def show(rows: list[dict[str, Any]]) -> None:
    """The table, and below it what was missed."""
    heads = {
        "": -30,
        "wall s": 8,
        "spots": 7,
        "sigma %": 8,
        "D95": 7,
        "D50": 7,
        "worst D95": 10,
        "goals": 7,
        "dciodvfy": 9,
    }
    print("".join(head.ljust(-width) if width < 0 else head.rjust(width) for head, width in heads.items()))
    for row in rows:
        if row["state"] != "succeeded":
            print(f"{row['task']:30}  {row['state']}: {row['reason']}")
            continue
        met = sum(goal["verdict"] != "missed" for goal in row["goals"])
        worst = row["worst_d95_gy_rbe"]
        print(
            f"{row['task']:30}{row['wall_s']:8.0f}{row['spots']:7}{row['uncertainty_percent']:8.2f}"
            f"{row['target_metrics']['D95%[Gy]']:7.2f}{row['target_metrics']['D50%[Gy]']:7.2f}"
            f"{f'{worst:.2f}' if worst is not None else '-':>10}{met:4}/{len(row['goals'])}"
            f"{len(row['dciodvfy_errors']):9}"
        )
        for goal in row["goals"]:
            words = f"{goal['structure']} {goal['metric']} {goal['op']} {goal['value']:g}"
            print(f"    {words:40} {goal['achieved']:8.2f}  {goal['verdict']}")


def main() -> None:
    """Plan all of them, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds real_prostate_ct_rs")
    parser.add_argument("--workflows", nargs="+", default=list(WORKFLOWS), help="which of them")
    parser.add_argument("--cases", nargs="+", default=["c-shape", "prostate"], help="which of them")
    parser.add_argument("--grid", type=float, help="dose grid, mm; left out: the workflow's")
    parser.add_argument("--spots", type=float, help="spot and layer spacing, mm; left out: the workflow's")
    parser.add_argument("--scenario", type=int, help="protons per beam of each scenario; left out: the workflow's")
    parser.add_argument("--quick", action="store_true", help="few protons: to see it work, not to look at doses")
    parser.add_argument("--out", type=Path, default=Path("radiarch-workflows"), help="where the files go")
    options = parser.parse_args()
    console = Console(stderr=True)
    engine = {name: os.environ[name] for name in ENGINE_SETTINGS if name in os.environ}
    with tempfile.TemporaryDirectory() as folder:
        radiarch = LocalRadiarch(Path(folder) / "data", settings=engine)
        radiarch.pacs_folder.mkdir(parents=True)
        tasks = phantom_tasks(radiarch.pacs_folder, options.workflows) if "c-shape" in options.cases else []
        if options.data and "prostate" in options.cases:
            tasks += prostate_tasks(options.data, radiarch.pacs_folder, options.workflows)
        changes = changes_asked(options)
        tasks = [Task(t.case, t.workflow, t.body | {"overrides": t.body["overrides"] | changes}) for t in tasks]
        if options.grid:
            tasks = [Task(t.case, t.workflow, t.body | {"dose_grid_mm": options.grid}) for t in tasks]
        try:
            radiarch.start()
            radiarch.wait_until_ready()
            with Radiarch(
                radiarch.url, patience=Patience(on_wait=lambda _trouble, _wait_s: radiarch.check())
            ) as client:
                if options.scenario:
                    tasks = [with_scenarios(client, task, options.scenario) for task in tasks]
                rows = [measure(client, task, options.out, console, radiarch) for task in tasks]
        finally:
            radiarch.stop()
    show(rows)
    cores = len(os.sched_getaffinity(0))
    print(json.dumps({"cores": cores, "options": vars(options) | {"data": None, "out": None}, "plans": rows}))


if __name__ == "__main__":
    main()
