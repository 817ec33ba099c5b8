"""What the bus holds of one job, overwritten on the disk and removed; a tombstone stays."""

from typing import Final

from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from radiarch_common.bus import Bus
from radiarch_common.claims import Claims
from radiarch_common.delivery import run_named
from radiarch_common.messages import Erased, utc_now
from radiarch_common.topology import CANCEL, CLAIMS, DLQ, EVENTS, JOBS, VERBS, event_subject, job_subject

_SUBJECTS: Final = (
    (JOBS, "jobs.*.{job}"),
    (DLQ, "dlq.*.{job}"),
    (EVENTS, "events.{job}.*.*"),
)


async def is_quiet(bus: Bus, job_id: str, *, force: bool = False) -> bool:
    """Whether no worker has a job that was cancelled, and none will be given it.

    A message that waits although its run is over is removed. With ``force`` a run that is not over is ended, whoever
    works on it: for a worker that died and was never started again.
    """
    claims = Claims(await bus.bucket(CLAIMS))
    for stage in VERBS:
        for message in await _messages(bus, JOBS, job_subject(stage, job_id)):
            run = run_named(message.data or b"")
            if force:
                await claims.fence(stage, job_id, run)
            if not await claims.is_done(stage, job_id, run):
                return False
            await bus.erase(JOBS, message.seq or 0)
    return True


async def erase_messages(bus: Bus, job_id: str) -> int:
    """Leave of a job nothing on the bus but its tombstone, which a state told anew honours; how many messages went.

    The tombstone is stored before the first message goes, and the word to stop stays as long as such words do: a
    message that comes late is ended by whoever is handed it. Safe to do again.
    """
    tombstone = Erased(job_id=job_id, run=1, stage="gateway", attempt=0, at=utc_now())
    if await bus.last_event("gateway", job_id, tombstone.kind) is None:
        await bus.send_event(tombstone, f"{job_id}:erased")
    erased = 0
    for stream, subject in _SUBJECTS:
        for message in await _messages(bus, stream, subject.format(job=job_id)):
            if message.subject != event_subject(tombstone):
                await bus.erase(stream, message.seq or 0)
                erased += 1
    await (await bus.bucket(CANCEL)).put(job_id, b"")
    # A bucket allows no overwriting; what it holds of a job are counts, and reasons that name no patient.
    await bus.js.purge_stream(f"KV_{CLAIMS}", subject=f"$KV.{CLAIMS}.*.{job_id}")
    return erased


async def _messages(bus: Bus, stream: str, subject: str) -> list[RawStreamMsg]:
    """Every message that a stream holds under a subject, by rising sequence."""
    found: list[RawStreamMsg] = []
    while True:
        after = found[-1].seq or 0 if found else 0
        try:
            found.append(await bus.js.get_msg(stream, seq=after + 1, subject=subject, next=True))
        except NotFoundError:
            return found
