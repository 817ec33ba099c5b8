"""How an event moves a job. Pure: a row in, the same row changed."""

import re
from functools import singledispatch
from typing import Any

from radiarch_common.messages import (
    STAGES,
    Cancelled,
    Event,
    EventMessage,
    Failed,
    Finished,
    Progressed,
    Retrying,
    Started,
    Waiting,
)

from radiarch_gateway.jobs.models import JobRow, JobState

LOG_LINES = 200
_NUMBER = re.compile(r"\d+(\.\d+)?")


def advance(job: JobRow, event: Event) -> None:
    """Move a job by an event; an event from before what is known leaves its state as it is.

    The seconds of a stage are kept from an event that came late too: a stage hands over before it says
    that it is done.
    """
    if isinstance(event, Finished) and event.run >= job.run:
        _keep_timings(job, event)
        _keep_names(job, event)
    if JobState(job.state).final or event.order < job.order:
        return
    job.run, job.stage, job.attempt, job.rank = event.run, event.stage, event.attempt, event.rank
    job.updated_at = event.at
    job.eta_seconds = None
    _apply(event, job)
    if job.message:
        note(job, event, job.message)


def finish(job: JobRow, state: JobState, event: EventMessage, message: str) -> None:
    """The job is over."""
    job.state = state.value
    job.finished_at = event.at
    job.updated_at = event.at
    job.eta_seconds = None
    job.message = message


def note(job: JobRow, event: EventMessage, message: str) -> None:
    """A line of the log; one that differs from the last in its numbers only takes its place."""
    line: dict[str, Any] = {"at": event.at.isoformat(), "stage": event.stage, "message": message}
    lines = list(job.log)
    if lines and lines[-1]["stage"] == event.stage and _words(lines[-1]["message"]) == _words(message):
        lines.pop()
    job.log = [*lines, line][-LOG_LINES:]


def _words(message: str) -> str:
    return _NUMBER.sub("#", message)


def _keep_timings(job: JobRow, event: Finished) -> None:
    timings = dict(event.timings)
    if job.stage == event.stage and job.attempt == event.attempt and job.stage_started_at is not None:
        timings.setdefault("total", round(max((event.at - job.stage_started_at).total_seconds(), 0.0), 3))
    job.timings = {**job.timings, event.stage: timings}


def _keep_names(job: JobRow, event: Finished) -> None:
    job.case_key = event.outputs.get("case_key", job.case_key)
    job.result_key = event.outputs.get("result_key", job.result_key)


@singledispatch
def _apply(event: EventMessage, job: JobRow) -> None:
    raise TypeError(f"no rule for {type(event).__name__}")


@_apply.register
def _(event: Started, job: JobRow) -> None:
    job.state = JobState.RUNNING.value
    job.progress = 0.0
    job.started_at = job.started_at or event.at
    job.stage_started_at = event.at
    again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
    job.message = f"The {event.stage} has started{again}."


@_apply.register
def _(event: Progressed, job: JobRow) -> None:
    job.state = JobState.RUNNING.value
    job.progress = event.progress
    job.eta_seconds = event.eta_seconds
    job.message = event.message


@_apply.register
def _(event: Waiting, job: JobRow) -> None:
    job.state = JobState.RUNNING.value
    job.message = f"Waiting for {event.waiting_for}, which does not answer; tried again in {event.retry_in_s:.0f} s."


@_apply.register
def _(event: Retrying, job: JobRow) -> None:
    job.state = JobState.RUNNING.value
    job.message = f"An attempt failed and is made again in {event.retry_in_s:.0f} s: {event.reason}"


@_apply.register
def _(event: Finished, job: JobRow) -> None:
    job.progress = 1.0
    if event.stage == STAGES[-1]:
        finish(job, JobState.SUCCEEDED, event, "The plan is ready.")
        return
    job.state = JobState.RUNNING.value
    job.message = f"The {event.stage} is done."


@_apply.register
def _(event: Failed, job: JobRow) -> None:
    finish(job, JobState.FAILED, event, event.reason)
    job.reason, job.hint, job.refused = event.reason, event.hint or None, event.refused


@_apply.register
def _(event: Cancelled, job: JobRow) -> None:
    finish(job, JobState.CANCELLED, event, "Cancelled.")
