"""A stage whose work is told by a file, so that a test can change its mind while the worker runs."""

import os
import time
from pathlib import Path

from radiarch_common.errors import RefusedError, UnavailableError
from radiarch_common.messages import Artifact, ExportResult, ImportStudy, PlanCase
from radiarch_common.run import Run
from radiarch_common.stage import Stage

stage = Stage("importer", takes=ImportStudy, gives="planner")
last = Stage("exporter", takes=ExportResult, gives=None)

FOLDER = Path(os.environ["TOY_FOLDER"])


def _busy(seconds: float) -> None:
    """Python that never waits and never looks whether it should stop."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def _until(name: str) -> None:
    """Deaf until the test makes a file of this name."""
    while not (FOLDER / name).exists():
        time.sleep(0.05)


def _step(run: Run, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        run.progress(0.5, f"working, pid {os.getpid()}")
        time.sleep(0.02)


@stage
def work(job: ImportStudy, run: Run) -> PlanCase:
    with (FOLDER / "starts").open("a") as starts:
        starts.write(f"{os.getpid()} {run.attempt}\n")
    what, _, seconds = (FOLDER / "toy").read_text().partition(" ")
    match what:
        case "refuse":
            raise RefusedError("The target is empty.", "Draw it.")
        case "wait":
            raise UnavailableError("PACS 'main'", "connection refused")
        case "fail":
            raise ValueError("voxels are upside down")
        case "crash":
            os._exit(9)
        case "busy":
            _busy(float(seconds))
        case "refuse-after":
            _until(seconds)
            raise RefusedError("The target is empty.", "Draw it.")
        case "wait-after":
            _until(seconds)
            raise UnavailableError("PACS 'main'", "connection refused")
        case _:
            _step(run, float(seconds))
    return PlanCase.of(job, case_key=f"cases/{run.attempt}")


@last
def write(job: ExportResult, run: Run) -> list[Artifact]:
    with (FOLDER / "starts").open("a") as starts:
        starts.write(f"{os.getpid()} {run.attempt}\n")
    return []


if __name__ == "__main__":
    (last if "TOY_LAST" in os.environ else stage).main()
