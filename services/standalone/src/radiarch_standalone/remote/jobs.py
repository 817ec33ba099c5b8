"""``radiarch jobs`` and ``radiarch cancel``."""

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from radiarch_client import JobSummary, Radiarch
from rich.live import Live
from rich.table import Table

from radiarch_standalone.follow import share_done
from radiarch_standalone.remote.server import (
    HERE,
    JsonOption,
    KeyOption,
    ServerOption,
    out,
    print_json,
    print_json_list,
    server,
    told,
)

LOOK_EVERY_S = 2.0
WIDE = 110
"""Columns of a terminal in which messages can be read beside the rest."""


class State(StrEnum):
    """What a job may be."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "yellow"}


def jobs(
    state: Annotated[State | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest.")] = 20,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl-C.")] = False,
    as_json: JsonOption = False,
    address: ServerOption = HERE,
    key: KeyOption = None,
) -> None:
    """List a server's jobs, newest first.

    Exit status: 0 shown, 3 not logged in or not allowed, 4 server not reachable.
    """
    if watch and as_json:
        raise typer.BadParameter("A script asks again by itself: leave out --json.", param_hint="--watch")
    with server(address, key) as radiarch:
        found = _newest(radiarch, state, limit)
        if as_json:
            print_json_list(found)
        elif watch:
            _watch(radiarch, state, limit)
        else:
            out.print(jobs_table(found, out.width))


def cancel(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="A job has the id of its plan.")],
    as_json: JsonOption = False,
    address: ServerOption = HERE,
    key: KeyOption = None,
) -> None:
    """Have a job stop; what was planned already is kept.

    Exit status: 0 it stops, 1 it had ended, or there is none, 3 not logged in or not allowed, 4 server not reachable.
    """
    with server(address, key) as radiarch:
        job = radiarch.cancel(job_id)
        if as_json:
            print_json(job)
        else:
            told.print(f"{job.state}: {job.message}", highlight=False, markup=False)


def jobs_table(found: Sequence[JobSummary], width: int) -> Table:
    """A row for each job; progress is of the whole job. A terminal that is too narrow is spared the messages."""
    table = Table()
    names = ["job", "asked for", "state", "stage", "%", *(["message"] if width >= WIDE else [])]
    for name in names:
        # Only messages and times may be broken: an id is copied.
        whole = name not in ("message", "asked for")
        table.add_column(name, justify="right" if name == "%" else "left", overflow="fold", no_wrap=whole)
    for job in found:
        colour = COLOURS.get(job.state, "default")
        row = [
            job.id,
            f"{job.created_at.astimezone():%Y-%m-%d %H:%M}",
            f"[{colour}]{job.state}[/]",
            job.stage,
            f"{100 * share_done(job):.0f}",
            job.message.replace("[", r"\["),
        ]
        table.add_row(*row[: len(names)])
    return table


def _newest(radiarch: Radiarch, state: State | None, limit: int) -> list[JobSummary]:
    return list(radiarch.jobs(state=None if state is None else state.value, limit=limit))


def _watch(radiarch: Radiarch, state: State | None, limit: int) -> None:
    try:
        with Live(jobs_table(_newest(radiarch, state, limit), out.width), console=out, auto_refresh=False) as live:
            while True:
                time.sleep(LOOK_EVERY_S)
                live.update(jobs_table(_newest(radiarch, state, limit), out.width), refresh=True)
    except KeyboardInterrupt:
        return
