"""Where a job stands in its stage's queue, and when it will begin. Pure."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, isinf
from typing import Final


@dataclass(frozen=True)
class Place:
    """A job's place, from 1, and the seconds until its stage begins; ``None`` where that is not known."""

    queue_position: int | None = None
    start_eta_seconds: float | None = None


NOWHERE: Final = Place()


@dataclass(frozen=True)
class Waiting:
    """A job in a queue."""

    id: str
    workflow: str


def places(
    waiting: Sequence[Waiting],
    running_left_s: Sequence[float | None],
    workers: int,
    expected_s: Callable[[str], float | None],
) -> dict[str, Place]:
    """The place of each job of one queue.

    Each worker takes the next job when it is done with its own. What is not known counts as endless, so that a
    start which hangs on it is not told.

    Parameters
    ----------
    waiting
        In the order in which they are taken.
    running_left_s
        Of each job that is worked on, the seconds that it still takes, or ``None`` when that is not known.
    workers
        Alive now.
    expected_s
        How long the stage takes for a job of a workflow, or ``None`` when that is not known.
    """
    left = sorted(inf if seconds is None else seconds for seconds in running_left_s)
    # Of jobs whose worker has died, those that are nearest to their end are left out: the later start is told.
    free = left[max(len(left) - workers, 0) :] + [0.0] * max(workers - len(left), 0)
    heapq.heapify(free)
    found: dict[str, Place] = {}
    for number, job in enumerate(waiting, start=1):
        start = heapq.heappop(free) if free else inf
        found[job.id] = Place(number, None if isinf(start) else round(start, 1))
        if workers:
            takes = expected_s(job.workflow)
            heapq.heappush(free, inf if takes is None else start + takes)
    return found


def left_of(expected_s: float | None, elapsed_s: float) -> float | None:
    """Seconds that are left of what takes so long; nothing is known of what takes longer already."""
    if expected_s is None or elapsed_s > expected_s:
        return None
    return expected_s - elapsed_s
