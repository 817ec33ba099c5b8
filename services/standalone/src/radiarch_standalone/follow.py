"""Follow a job: a live line where there is a terminal, one line a change where there is none."""

import time
from collections.abc import Callable
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

POLL_S = 0.5
FINAL = ("succeeded", "failed", "cancelled")
SHARE_OF_STAGE = {"gateway": (0.0, 0.01), "importer": (0.01, 0.06), "planner": (0.06, 0.96), "exporter": (0.96, 1.0)}
"""Where each stage lies in the whole, for the bar: planning takes nearly all of the time."""


def follow(client: httpx.Client, job_id: str, console: Console, check: Callable[[], None]) -> dict[str, Any]:
    """Show a job until it has ended; its last state.

    ``check`` is called at every look, and may raise when waiting on makes no sense.
    """
    columns = (
        SpinnerColumn(),
        TextColumn("[bold]{task.fields[stage]:<9}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=1.0, stage="gateway")
        said = ""
        while True:
            job: dict[str, Any] = client.get(f"/api/v1/jobs/{job_id}").raise_for_status().json()
            said = _show(progress, task, job, said, console)
            if job["state"] in FINAL:
                return job
            check()
            time.sleep(POLL_S)


def _show(progress: Progress, task: TaskID, job: dict[str, Any], said: str, console: Console) -> str:
    """Show one state; the text that was shown."""
    low, high = SHARE_OF_STAGE.get(job["stage"], (0.0, 1.0))
    done = 1.0 if job["state"] == "succeeded" else low + (high - low) * float(job["progress"] or 0.0)
    eta = job.get("eta_seconds")
    text = str(job["message"] or job["state"])
    left = f" (about {eta:.0f} s left)" if eta else ""
    progress.update(task, completed=done, stage=job["stage"], description=text + left)
    line = f"{job['stage']}: {text.split(':', maxsplit=1)[0]}"
    if not console.is_terminal and line != said:
        console.print(f"  {done:4.0%}  {line}", highlight=False)
    return line
