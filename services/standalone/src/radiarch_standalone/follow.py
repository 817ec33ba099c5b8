"""Follow a job: a live line where there is a terminal, one line a change where there is none."""

from collections.abc import Callable

from radiarch_client import JobSummary, JobView, Radiarch, has_ended
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

SHARE_OF_STAGE = {"gateway": (0.0, 0.01), "importer": (0.01, 0.06), "planner": (0.06, 0.96), "exporter": (0.96, 1.0)}
"""Where each stage lies in the whole, for the bar: planning takes nearly all of the time."""


def follow(radiarch: Radiarch, job_id: str, console: Console, check: Callable[[], None] | None = None) -> JobView:
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
        line = _Line(progress, progress.add_task("", total=1.0, stage="gateway"), console)

        def look(job: JobView) -> None:
            line.show(job)
            if check is not None and not has_ended(job):
                check()

        return radiarch.wait(job_id, look)


def share_done(job: JobView | JobSummary) -> float:
    """How much of the whole job is done, 0..1."""
    low, high = SHARE_OF_STAGE.get(job.stage, (0.0, 1.0))
    return 1.0 if job.state == "succeeded" else low + (high - low) * job.progress


class _Line:
    def __init__(self, progress: Progress, task: TaskID, console: Console) -> None:
        self._progress = progress
        self._task = task
        self._console = console
        self._said = ""

    def show(self, job: JobView) -> None:
        """Show one state."""
        done = share_done(job)
        text = job.message or job.state
        left = f" (about {job.eta_seconds:.0f} s left)" if job.eta_seconds else ""
        self._progress.update(self._task, completed=done, stage=job.stage, description=escape(text + left))
        line = f"{job.stage}: {text.split(':', maxsplit=1)[0]}"
        if not self._console.is_terminal and line != self._said:
            self._console.print(f"  {done:4.0%}  {line}", highlight=False, markup=False)
        self._said = line
