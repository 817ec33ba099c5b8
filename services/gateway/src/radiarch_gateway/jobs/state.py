"""How an event moves a job. Pure: a fold of events in, the same fold changed."""

import re
from functools import singledispatch
from typing import Any

from radiarch_common.messages import (
    STAGES,
    Cancelled,
    Cancelling,
    Event,
    EventMessage,
    Failed,
    Finished,
    Progressed,
    Requested,
    Requeued,
    Retrying,
    StageName,
    Started,
    Waiting,
)

from radiarch_gateway.jobs.models import JobFold, JobState
from radiarch_gateway.jobs.timings import keep_timings, leave_queue

LOG_LINES = 200
_NUMBER = re.compile(r"\d+(\.\d+)?")


def advance(job: JobFold, event: Event) -> None:
    """Move a job by an event; an event from before what is known leaves its state as it is.

    The seconds and the outputs of a stage are kept from an event that came late too: a stage hands over before it
    says that it is done. Whoever asks for an end asks for that of every run.
    """
    if isinstance(event, Cancelling):
        _ask_to_stop(job, event)
        return
    if isinstance(event, Finished) and event.run >= job.run:
        keep_timings(job, event)
        _keep_names(job, event)
    if event.order < job.order or not _may_move(job, event):
        return
    job.run, job.stage, job.attempt, job.rank = event.run, event.stage, event.attempt, event.rank
    job.updated_at = event.at
    job.eta_seconds = None
    _apply(event, job)
    if job.message:
        note(job, event, job.message)


def finish(job: JobFold, state: JobState, event: EventMessage, message: str) -> None:
    """The job is over."""
    job.state = state.value
    job.finished_at = event.at
    job.updated_at = event.at
    job.eta_seconds = None
    job.message = message
    _queue(job, None, event)


def note(job: JobFold, event: EventMessage, message: str) -> None:
    """A line of the log; one that differs from the last in its numbers only takes its place."""
    line: dict[str, Any] = {"at": event.at.isoformat(), "stage": event.stage, "message": message}
    lines = list(job.log)
    if lines and lines[-1]["stage"] == event.stage and _words(lines[-1]["message"]) == _words(message):
        lines.pop()
    job.log = [*lines, line][-LOG_LINES:]


def _words(message: str) -> str:
    return _NUMBER.sub("#", message)


def _may_move(job: JobFold, event: Event) -> bool:
    """Nothing follows an end, but a new run that of a failed one."""
    if not JobState(job.state).final:
        return True
    return isinstance(event, Requeued) and event.run > job.run and job.state == JobState.FAILED.value


def _ask_to_stop(job: JobFold, event: Cancelling) -> None:
    if JobState(job.state).final or job.cancel_requested:
        return
    job.cancel_requested = True
    job.updated_at = event.at
    job.message = "Cancel requested; the job stops as soon as its stage hears of it."
    note(job, event, job.message)


def _queue(job: JobFold, stage: StageName | None, event: EventMessage) -> None:
    job.queued_for = stage
    job.queued_at = event.at if stage is not None else None


def _keep_names(job: JobFold, event: Finished) -> None:
    job.case_key = event.outputs.get("case_key", job.case_key)
    job.result_key = event.outputs.get("result_key", job.result_key)


@singledispatch
def _apply(event: EventMessage, job: JobFold) -> None:
    raise TypeError(f"no rule for {type(event).__name__}")


@_apply.register
def _(event: Requested, job: JobFold) -> None:
    job.message = "Queued for the importer."
    _queue(job, "importer", event)


@_apply.register
def _(event: Requeued, job: JobFold) -> None:
    job.state = JobState.QUEUED.value
    job.unattended = job.unattended + 1 if event.asked_by is None else 0
    job.progress = 0.0
    job.stage_started_at = None
    job.finished_at = None
    job.reason, job.hint, job.refused = None, None, False
    job.deadline = event.deadline
    job.message = f"Put back for the {event.queue} (run {event.run}): {event.reason}"
    if event.queue == STAGES[1]:
        job.case_key = job.result_key = None
    _queue(job, event.queue, event)


@_apply.register
def _(event: Started, job: JobFold) -> None:
    job.state = JobState.RUNNING.value
    job.progress = 0.0
    job.started_at = job.started_at or event.at
    job.stage_started_at = event.at
    leave_queue(job, event)
    again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
    job.message = f"The {event.stage} has started{again}."


@_apply.register
def _(event: Progressed, job: JobFold) -> None:
    job.state = JobState.RUNNING.value
    job.progress = event.progress
    job.eta_seconds = event.eta_seconds
    job.message = event.message


@_apply.register
def _(event: Waiting, job: JobFold) -> None:
    job.state = JobState.RUNNING.value
    job.stage_started_at = None
    job.message = f"Waiting for {event.waiting_for}, which does not answer; tried again in {event.retry_in_s:.0f} s."


@_apply.register
def _(event: Retrying, job: JobFold) -> None:
    job.state = JobState.RUNNING.value
    job.stage_started_at = None
    job.message = f"An attempt failed and is made again in {event.retry_in_s:.0f} s: {event.reason}"


@_apply.register
def _(event: Finished, job: JobFold) -> None:
    job.progress = 1.0
    if event.stage == STAGES[-1]:
        finish(job, JobState.SUCCEEDED, event, "The plan is ready.")
        return
    job.state = JobState.RUNNING.value
    job.message = f"The {event.stage} is done."
    _queue(job, STAGES[STAGES.index(event.stage) + 1], event)


@_apply.register
def _(event: Failed, job: JobFold) -> None:
    finish(job, JobState.FAILED, event, event.reason)
    job.reason, job.hint, job.refused = event.reason, event.hint or None, event.refused


@_apply.register
def _(event: Cancelled, job: JobFold) -> None:
    finish(job, JobState.CANCELLED, event, "Cancelled.")
