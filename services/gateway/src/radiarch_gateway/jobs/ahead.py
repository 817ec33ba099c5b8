"""Decisions of a gateway about a job: seen at once, and told again by the stream in its order.

What is decided here is put on top of what the events told, and goes through the outbox to the stream. There it
stands among the events of the stages, some of which may have come before it. So each event that is heard moves what
was told, and the decisions still on their way are put on top again: once all have come back, the job is what its
events tell in the order of the stream, whoever tells it.
"""

from typing import Any

from radiarch_common.messages import EVENT, Event, Finished
from sqlmodel import Session

from radiarch_gateway.jobs.models import JobFold, JobRow, JobState
from radiarch_gateway.jobs.state import advance
from radiarch_gateway.mailbox import decision_id
from radiarch_gateway.outbox import put


def decide(session: Session, job: JobRow, event: Event) -> None:
    """Move a job by a decision now, and have it told."""
    put_on_top(job, [*job.ahead, {"id": decision_id(event), "event": event.model_dump(mode="json")}])
    put(session, event)
    session.add(job)


def hear(job: JobRow, event: Event, event_id: str, sequence: int) -> bool:
    """Move a job by an event of the stream; whether the job has succeeded with it."""
    left = [one for one in job.ahead if one["id"] != event_id]
    _take_off(job)
    open_before = not JobState(job.state).final
    advance(job, event)
    job.last_sequence = sequence
    succeeded = open_before and isinstance(event, Finished) and job.state == JobState.SUCCEEDED.value
    put_on_top(job, left)
    return succeeded


def put_on_top(job: JobRow, ahead: list[dict[str, Any]]) -> None:
    """Show decisions over what the events told."""
    _take_off(job)
    if not ahead:
        return
    job.folded = job.model_dump(mode="json", include=set(JobFold.model_fields))
    job.ahead = ahead
    for one in ahead:
        advance(job, EVENT.validate_python(one["event"]))


def _take_off(job: JobRow) -> None:
    if job.folded is not None:
        told = JobFold.model_validate(job.folded)
        for name in JobFold.model_fields:
            setattr(job, name, getattr(told, name))
    job.folded = None
    job.ahead = []
