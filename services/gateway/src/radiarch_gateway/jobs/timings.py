"""Seconds of a job by stage and part: ``queued`` before it, ``total``, and what the stage counted."""

from datetime import datetime
from typing import Final

from radiarch_common.messages import STAGES, Finished, Started

from radiarch_gateway.jobs.models import JobFold

QUEUED: Final = "queued"
"""From the hand-over of the stage before (of the gateway, for the first) to the start."""
TOTAL: Final = "total"


def leave_queue(job: JobFold, event: Started) -> None:
    """A stage has begun: note how long the job lay in its queue."""
    if job.queued_for == event.stage and job.queued_at is not None:
        waited = {QUEUED: _seconds(job.queued_at, event.at)}
        job.timings = {**job.timings, event.stage: {**job.timings.get(event.stage, {}), **waited}}
    job.queued_for = None
    job.queued_at = None


def keep_timings(job: JobFold, event: Finished) -> None:
    """What a stage counted, how long it took, and how long it was waited for."""
    before = job.timings.get(event.stage, {})
    timings = {QUEUED: before[QUEUED]} if QUEUED in before else {}
    timings |= event.timings
    here = (job.run, job.stage, job.attempt) == (event.run, event.stage, event.attempt)
    if here and job.stage_started_at is not None:
        timings.setdefault(TOTAL, _seconds(job.stage_started_at, event.at))
    job.timings = {**job.timings, event.stage: timings}
    if STAGES.index(event.stage) + 1 == job.order[1] and job.run == event.run:
        # The next stage began before this one had said that it was done: it was not waited for.
        following = job.timings.get(job.stage, {})
        job.timings = {**job.timings, job.stage: {QUEUED: 0.0, **following}}


def _seconds(start: datetime, end: datetime) -> float:
    return round(max((end - start).total_seconds(), 0.0), 3)
