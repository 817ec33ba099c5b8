"""The life of one message: claim it, work on it, commit or give it back. The only broad ``except``."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from nats.errors import Error as NatsError
from pydantic import ValidationError

from radiarch_common.bus import BUS_ERRORS, Bus
from radiarch_common.claims import Claim, ClaimLostError, ClaimOverError, Claims
from radiarch_common.errors import RefusedError, StoppedError, UnavailableError
from radiarch_common.messages import (
    Artifact,
    Cancelled,
    DeadLetter,
    Event,
    Failed,
    Finished,
    JobMessage,
    Retrying,
    StageName,
    Started,
    Waiting,
    utc_now,
)
from radiarch_common.objects import ObjectStore
from radiarch_common.pacs import Pacs
from radiarch_common.pulse import Pulse
from radiarch_common.run import Run
from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger
from radiarch_common.topology import CLAIMS

DRAIN_GRACE_S = 5.0
BUS_RETRY_S = 1.0

log = get_logger(__name__)

Outcome = JobMessage | Sequence[Artifact]
"""What a stage's function returns: the next stage's job, or at the end of the line what it left."""


class Delivery(Protocol):
    """A message as the broker handed it over."""

    subject: str
    reply: str
    data: bytes

    async def ack_sync(self, timeout: float = 1) -> object:  # noqa: ASYNC109 - nats-py's signature
        """Done with it; returns when the server knows."""
        ...

    async def nak(self, delay: float | None = None) -> None:
        """Give it back, to be delivered again after ``delay`` seconds."""
        ...

    async def term(self) -> None:
        """Never deliver it again."""
        ...


@dataclass(frozen=True)
class StagePlan:
    """What a stage is: its name, its job, who takes over, and the function that does the work."""

    name: StageName
    takes: type[JobMessage]
    gives: StageName | None
    work: Callable[[JobMessage, Run], Outcome]


@dataclass(frozen=True)
class Neighbours:
    """What an attempt reaches for."""

    bus: Bus
    objects: ObjectStore
    pacs: Mapping[str, Pacs]
    settings: Settings
    pulse: Pulse


class Attempts:
    """Handles the messages of one worker, one at a time."""

    def __init__(self, plan: StagePlan, near: Neighbours) -> None:
        self._plan = plan
        self._near = near
        self._run: Run | None = None
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def drain(self) -> None:
        """Give the running job back at once, and take no other."""
        self._draining = True
        if self._run is not None:
            self._run.stop("draining")
        await self._idle.wait()

    async def handle(self, message: Delivery) -> None:
        """See one message through; never raises."""
        if self._draining:
            await message.nak()
            return
        self._idle.clear()
        try:
            await self._handle(message)
        except ClaimOverError as error:
            log.info("nothing to do", why=str(error))
            await _quietly(message.ack_sync)
        except ClaimLostError as error:
            log.info("not ours", why=str(error))
        except BUS_ERRORS as error:
            log.warning("bus lost while a job was handled; it will be delivered again", error=str(error))
        finally:
            self._idle.set()

    async def _handle(self, message: Delivery) -> None:
        try:
            job = self._plan.takes.model_validate_json(message.data)
        except ValidationError as error:
            await self._unreadable(message, error)
            return
        structlog.contextvars.bind_contextvars(job_id=job.job_id, run=job.run)
        try:
            await self._attempt(job, message)
        finally:
            structlog.contextvars.unbind_contextvars("job_id", "run")

    async def _attempt(self, job: JobMessage, message: Delivery) -> None:
        claims = Claims(await self._near.bus.bucket(CLAIMS))
        claim = await claims.take(self._plan.name, job)
        attempt = _Attempt(self._plan, self._near, claims, claim, job, message)
        if await attempt.is_over_before_it_starts():
            return
        self._run = attempt.run
        if self._draining:
            self._run.stop("draining")
        try:
            await attempt.see_through()
        finally:
            self._run = None

    async def _unreadable(self, message: Delivery, error: ValidationError) -> None:
        """A message that is no job: kept with the reason; the job it names, if any, fails."""
        job_id = message.subject.rsplit(".", 1)[-1]
        reason = f"The message on {message.subject} is not a job that this version reads."
        log.error("unreadable message", subject=message.subject, error=str(error))
        letter = _letter(self._plan.name, message, reason, str(error))
        digest = hashlib.sha256(message.data).hexdigest()
        message_id = f"dlq:{message.subject}:{digest}"
        await self._near.bus.send_dead_letter(self._plan.name, job_id, letter, message_id)
        await message.term()


class _Attempt:
    """One claimed job."""

    def __init__(
        self, plan: StagePlan, near: Neighbours, claims: Claims, claim: Claim, job: JobMessage, message: Delivery
    ) -> None:
        self._plan = plan
        self._near = near
        self._claims = claims
        self._claim = claim
        self._job = job
        self._message = message
        number = claim.entry.starts
        self.run = Run(plan.name, job, number, claim.token, near.objects, near.pacs, near.settings)

    async def is_over_before_it_starts(self) -> bool:
        """Given up, cancelled or past its deadline: ended here."""
        entry = self._claim.entry
        if self._claim.given_up:
            await self._give_up(entry.why())
        elif await self._near.bus.is_cancelled(self._job.job_id):
            await self._over(self._event(Cancelled), "cancelled")
        elif utc_now() > self._job.deadline:
            waited = f" It last waited for: {entry.reason}." if entry.reason else ""
            reason = f"The job did not end before its deadline, {self._job.deadline:%Y-%m-%d %H:%M} UTC.{waited}"
            await self._over(self._event(Failed, refused=False, reason=reason), "failed")
        else:
            return False
        return True

    async def see_through(self) -> None:
        """Do the work under the pulse, and end the attempt."""
        await self._say(self._event(Started), "started")
        self._near.pulse.hold(self.run, self._claim, self._message.reply)
        work = asyncio.create_task(asyncio.to_thread(self._plan.work, self._job, self.run))
        try:
            await self._until_done_or_stopped(work)
            await self._conclude(work)
        finally:
            self._near.pulse.release()

    async def _until_done_or_stopped(self, work: "asyncio.Task[Outcome]") -> None:
        told = False
        grace_s = DRAIN_GRACE_S
        while not work.done():
            await asyncio.wait([work], timeout=0.1)
            if self.run.stop_reason == "cancelled" and not told:
                told = True  # people see it now; the slot stays taken until the work has really ended
                await self._say(self._event(Cancelled), "cancelled")
            if self.run.stop_reason == "draining":
                grace_s -= 0.1
                if grace_s <= 0:
                    return

    async def _conclude(self, work: "asyncio.Task[Outcome]") -> None:
        if not work.done():
            work.add_done_callback(_retrieve)
            await self._stopped()
            return
        try:
            outcome = work.result()
        except StoppedError:
            await self._stopped()
        except RefusedError as refusal:
            event = self._event(Failed, refused=True, reason=refusal.reason, hint=refusal.hint)
            log.info("refused", reason=refusal.reason)
            await self._over(event, "failed")
        except UnavailableError as down:
            await self._wait_for(down)
        except Exception as error:  # noqa: BLE001 - the one place where any error is met
            await self._failed(error)
        else:
            await self._commit(outcome)

    async def _commit(self, outcome: Outcome) -> None:
        """Publish what was made. From the first publish on, it exists."""
        artifacts: tuple[Artifact, ...] = ()
        while True:
            if self.run.stopping.is_set():
                await self._stopped()
                return
            try:
                await self._still_ours()
                if isinstance(outcome, JobMessage):
                    assert self._plan.gives is not None, f"{self._plan.name} is the last stage"  # noqa: S101
                    await self._near.bus.send_job(self._plan.gives, outcome)
                else:
                    artifacts = tuple(outcome)
                timings = {part: round(seconds, 3) for part, seconds in self.run.timings.items()}
                await self._over(self._event(Finished, timings=timings, artifacts=artifacts), "finished")
            except NatsError as error:
                log.warning("bus is not reachable at commit; trying again", error=str(error))
                await asyncio.sleep(BUS_RETRY_S)
            else:
                log.info("finished", **timings)
                return

    async def _still_ours(self) -> None:
        if await self._claims.token(self._claim.key) != self._claim.token:
            raise ClaimLostError(f"{self._claim.key} was taken over before its commit")

    async def _stopped(self) -> None:
        reason = self.run.stop_reason
        log.info("stopped", why=reason)
        if reason == "cancelled":
            await self._over(self._event(Cancelled), "cancelled")
        elif reason == "draining":
            await self._claims.end(self._claim)
            await self._message.nak()
        # fenced: the job is another worker's now, and so is its message

    async def _wait_for(self, down: UnavailableError) -> None:
        waits = self._claim.entry.waits + 1
        delay_s = self._delay_s(waits)
        log.warning("waiting", neighbour=down.neighbour, detail=down.detail, retry_in_s=delay_s)
        await self._say(self._event(Waiting, waiting_for=down.neighbour, retry_in_s=delay_s), f"waiting{waits}")
        await self._claims.end(self._claim, waits=waits, reason=down.neighbour)
        await self._message.nak(delay_s)

    async def _failed(self, error: Exception) -> None:
        failures = self._claim.entry.failures + 1
        reason = f"{type(error).__name__}: {error}"[:2000]
        delay_s = self._delay_s(failures)
        log.error("attempt failed", exc_info=error, retry_in_s=delay_s)
        await self._say(self._event(Retrying, reason=reason, retry_in_s=delay_s), "retrying")
        await self._claims.end(self._claim, failures=failures, waits=0, reason=reason)
        await self._message.nak(delay_s)

    async def _give_up(self, reason: str) -> None:
        log.error("given up", reason=reason)
        letter = _letter(self._plan.name, self._message, reason, self._claim.entry.reason)
        letter_id = f"dlq:{self._job.job_id}:{self._job.run}:{self._plan.name}"
        await self._near.bus.send_dead_letter(self._plan.name, self._job.job_id, letter, letter_id)
        await self._over(self._event(Failed, refused=False, reason=reason), "failed")

    async def _over(self, event: Event, name: str) -> None:
        """The stage is done with this run: say so, close the claim, ack."""
        await self._say(event, name)
        await self._claims.end(self._claim, done=True)
        await self._message.ack_sync(timeout=5)

    async def _say(self, event: Event, name: str) -> None:
        once = name in ("finished", "failed", "cancelled")
        place = f"{event.job_id}:{event.run}:{event.stage}"
        await self._near.bus.send_event(event, f"{place}:{name}" if once else f"{place}:{event.attempt}:{name}")

    def _event(self, kind: Callable[..., Event], **own: object) -> Event:
        return kind(
            job_id=self._job.job_id,
            run=self._job.run,
            stage=self._plan.name,
            attempt=self.run.attempt,
            at=utc_now(),
            **own,
        )

    def _delay_s(self, tries: int) -> float:
        settings = self._near.settings
        delay_s = min(settings.retry_first_s * 2.0 ** (tries - 1), settings.retry_longest_s)
        left_s = (self._job.deadline - utc_now()).total_seconds() + 1.0
        return round(max(min(delay_s, left_s), 0.1), 3)


def _letter(stage: StageName, message: Delivery, reason: str, detail: str) -> bytes:
    letter = DeadLetter(
        stage=stage,
        subject=message.subject,
        reason=reason,
        detail=detail,
        at=utc_now(),
        payload=message.data.decode(errors="replace"),
    )
    return letter.model_dump_json().encode()


def _retrieve(work: "asyncio.Task[Outcome]") -> None:
    """Look at the result of work that nobody waits for any more, so that it is not warned about."""
    if not work.cancelled():
        work.exception()


async def _quietly(send: Callable[[], Awaitable[object]]) -> None:
    try:
        await send()
    except BUS_ERRORS as error:
        log.warning("could not answer the broker; it will deliver again", error=str(error))
