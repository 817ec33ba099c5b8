"""How a job is stopped: told for good, told at once, and ended here and now when it only waits."""

from radiarch_common.bus import Bus
from radiarch_common.claims import Claims
from radiarch_common.delivery import run_named
from radiarch_common.messages import Cancelled, StageName, utc_now
from radiarch_common.topology import CANCEL, CLAIMS, VERBS, cancel_subject


async def send_cancel(bus: Bus, job_id: str) -> None:
    """Say that a job shall stop; safe to say again.

    A worker that has the job hears it and ends it. A job that waits in a queue, behind others or for its
    next try, is ended by taking its claim: whoever is handed its message later finds that it is over.
    """
    await (await bus.bucket(CANCEL)).put(job_id, b"")
    await bus.client.publish(cancel_subject(job_id), b"")
    for stage in VERBS:
        await _end_waiting(bus, stage, job_id)


async def _end_waiting(bus: Bus, stage: StageName, job_id: str) -> None:
    message = await bus.waiting_job(stage, job_id)
    if message is None:
        return
    run = run_named(message)
    entry = await Claims(await bus.bucket(CLAIMS)).cancel_waiting(stage, job_id, run)
    if entry is None:
        return
    event = Cancelled(job_id=job_id, run=run, stage=stage, attempt=entry.starts, at=utc_now())
    await bus.send_event(event, f"{job_id}:{run}:{stage}:{entry.starts}:cancelled")
