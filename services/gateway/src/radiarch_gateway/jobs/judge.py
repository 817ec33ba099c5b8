"""What is to become of a job that nobody seems to have. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from radiarch_common.settings import Settings

from radiarch_gateway.jobs.models import JobFold, JobState

RUNS_UNATTENDED: Final = 3
"""Runs of a job without a person, the first among them."""


class Verdict(Enum):
    """What is done about a job."""

    LEAVE = "leave"
    CANCEL = "cancel"
    TOO_LATE = "too late"
    PUT_BACK = "put back"
    GIVE_UP = "give up"


@dataclass(frozen=True)
class Limits:
    """How long is waited for a word.

    Attributes
    ----------
    silence
        After which a job that lies in no queue is lost.
    stop
        Within which whoever works on a job says that it has stopped, or is too late.
    """

    silence: timedelta
    stop: timedelta

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """A worker hears of a cancel within a third of ``ack_wait_s``, and is another's after the whole of it."""
        stop = timedelta(seconds=2 * settings.ack_wait_s + settings.stop_within_s)
        return cls(timedelta(minutes=settings.lost_after_min), stop)


def suspect(job: JobFold, now: datetime, limits: Limits) -> Verdict:
    """What would be done about a job, provided that its message lies in no queue where that counts."""
    if JobState(job.state).final:
        return Verdict.LEAVE
    silent = now - job.updated_at
    if job.cancel_requested:
        return Verdict.CANCEL if silent > limits.stop else Verdict.LEAVE
    if now > job.deadline + limits.stop:
        return Verdict.TOO_LATE
    if silent <= limits.silence:
        return Verdict.LEAVE
    return Verdict.PUT_BACK if job.unattended + 1 < RUNS_UNATTENDED else Verdict.GIVE_UP


def is_lost(verdict: Verdict) -> bool:
    """Whether a verdict is about jobs in no queue alone: a job whose message is there is waited for or worked on."""
    return verdict in (Verdict.PUT_BACK, Verdict.GIVE_UP)
