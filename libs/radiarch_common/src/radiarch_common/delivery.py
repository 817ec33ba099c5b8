"""A message as the broker handed it over, and what becomes of one that nobody can do."""

import hashlib
from typing import Protocol

from nats.aio.msg import Msg
from pydantic import BaseModel, Field, ValidationError

from radiarch_common.bus import Bus
from radiarch_common.messages import DeadLetter, Failed, StageName, utc_now
from radiarch_common.telemetry import get_logger
from radiarch_common.topology import JOBS

log = get_logger(__name__)


class Delivery(Protocol):
    """A message as the broker handed it over."""

    subject: str
    reply: str
    data: bytes

    @property
    def metadata(self) -> Msg.Metadata:
        """Where it lies in its stream."""
        ...

    async def ack_sync(self, timeout: float = 1) -> object:  # noqa: ASYNC109 - nats-py's signature
        """Done with it; returns when the server knows."""
        ...

    async def nak(self, delay: float | None = None) -> None:
        """Give it back, to be delivered again after ``delay`` seconds."""
        ...

    async def term(self) -> None:
        """Never deliver it again."""
        ...


class _Named(BaseModel):
    """What even an unreadable job may tell."""

    run: int = Field(ge=1)


class _Keys(BaseModel):
    """What a job may name in the object store."""

    case_key: str | None = None
    result_key: str | None = None


def run_named(data: bytes) -> int:
    """The run that a job's message names, whatever else it holds; 1 when it names none."""
    try:
        return _Named.model_validate_json(data).run
    except ValidationError:
        return 1


def keys_named(data: bytes) -> dict[str, str]:
    """As ``JobMessage.object_keys``, of a message of any stage."""
    try:
        return _Keys.model_validate_json(data).model_dump(exclude_none=True)
    except ValidationError:
        return {}


async def end(bus: Bus, message: Delivery) -> None:
    """Done with a job's message: its bytes are overwritten first, since an ack alone leaves them in the file."""
    await bus.erase(JOBS, message.metadata.sequence.stream)
    await message.ack_sync(timeout=5)


def dead_letter(stage: StageName, message: Delivery, reason: str, detail: str) -> bytes:
    """A message given up on, whole, with why."""
    letter = DeadLetter(
        stage=stage,
        subject=message.subject,
        reason=reason,
        detail=detail,
        at=utc_now(),
        payload=message.data.decode(errors="replace"),
    )
    return letter.model_dump_json().encode()


async def end_unreadable(bus: Bus, stage: StageName, message: Delivery, error: ValidationError) -> None:
    """A message that is no job: kept with the reason; the job it names, if any, fails."""
    job_id = message.subject.rsplit(".", 1)[-1]
    reason = f"The message on {message.subject} is not a job that this version reads."
    # Without the values: nobody knows what an unreadable message holds.
    detail = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
    log.error("unreadable message", subject=message.subject, error=detail)
    digest = hashlib.sha256(message.data).hexdigest()
    letter = dead_letter(stage, message, reason, detail)
    await bus.send_dead_letter(stage, job_id, letter, f"dlq:{message.subject}:{digest}")
    event = _failure(stage, job_id, run_named(message.data), reason)
    if event is not None:
        await bus.send_event(event, f"{job_id}:{event.run}:{stage}:unreadable:{digest}")
    await bus.erase(JOBS, message.metadata.sequence.stream)
    await message.term()


def _failure(stage: StageName, job_id: str, run: int, reason: str) -> Failed | None:
    try:
        return Failed(
            job_id=job_id,
            run=run,
            stage=stage,
            attempt=0,
            at=utc_now(),
            refused=False,
            reason=reason,
            hint="Every service must be of the same version; the message is kept with the dead letters.",
        )
    except ValidationError:  # the subject names no job
        return None
