"""One claimed job: work on it, commit it or give it back."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import TypeVar

from radiarch_common.bus import BUS_ERRORS, die
from radiarch_common.claims import Claim, ClaimLostError, Claims
from radiarch_common.delivery import Delivery, dead_letter, end, keys_named, run_named
from radiarch_common.errors import RefusedError, StoppedError, UnavailableError
from radiarch_common.messages import (
    Cancelled,
    Event,
    Failed,
    Finished,
    JobMessage,
    Retrying,
    Started,
    Waiting,
    utc_now,
)
from radiarch_common.run import Run
from radiarch_common.stage_plan import Neighbours, Outcome, StagePlan
from radiarch_common.telemetry import get_logger

DRAIN_GRACE_S = 5.0
BUS_RETRY_S = 1.0
LOOK_EVERY_S = 0.1
MOST_DOUBLINGS = 32
TRACE_CHARACTERS = 10_000

T = TypeVar("T")

log = get_logger(__name__)


class Attempt:
    """One claimed job.

    A bus that is down is waited for at every step: that is no fault of the job, and an attempt that is left
    without its end would count as a crash.
    """

    def __init__(
        self, plan: StagePlan, near: Neighbours, claims: Claims, claim: Claim, job: JobMessage, message: Delivery
    ) -> None:
        self._plan = plan
        self._near = near
        self._claims = claims
        self._claim = claim
        self._job = job
        self._message = message
        self._draining = False
        number = claim.entry.starts
        self.run = Run(plan.name, job, number, claim.token, near.objects, near.pacs, near.settings)

    def drain(self) -> None:
        """Give the job back soon; from now on nothing is waited for."""
        self._draining = True
        self.run.stop("draining")

    async def is_over_before_it_starts(self) -> bool:
        """Given up, handed over by an attempt that died then, cancelled or past its deadline: ended here."""
        entry = self._claim.entry
        if self._claim.given_up:
            await self._give_up(entry.why())
        elif entry.starts > 1 and (finished := await self._patiently(self._earlier_commit)):
            await self._over(finished, "finished")
        elif await self._patiently(lambda: self._near.bus.is_cancelled(self._job.job_id)):
            await self._over(self._event(Cancelled), "cancelled")
        elif utc_now() > self._job.deadline:
            await self._over(self._too_late(), "failed")
        else:
            return False
        return True

    async def _earlier_commit(self) -> Event | None:
        """What to say when an earlier attempt of this run published its outcome, and died before it had closed."""
        bus, job, gives = self._near.bus, self._job, self._plan.gives
        if gives is None:
            said = await bus.last_event(self._plan.name, job.job_id, "finished")
            if not isinstance(said, Finished) or said.run != job.run:
                return None
            return self._event(Finished, timings=said.timings, artifacts=said.artifacts)
        waiting = await bus.waiting_job(gives, job.job_id)
        run = run_named(waiting) if waiting is not None else await self._claims.run_of(gives, job.job_id)
        return self._event(Finished, outputs=keys_named(waiting or b"")) if run >= job.run else None

    async def see_through(self) -> None:
        """Do the work under the pulse, and end the attempt."""
        await self._patiently(lambda: self._say(self._event(Started), "started"))
        self._near.pulse.hold(self.run, self._claim, self._message.reply)
        work = asyncio.create_task(asyncio.to_thread(self._plan.work, self._job, self.run))
        try:
            await self._until_done_or_stopped(work)
            await self._conclude(work)
        finally:
            self._near.pulse.release()

    async def _until_done_or_stopped(self, work: "asyncio.Task[Outcome]") -> None:
        """Returns when the work has ended, or was asked to for so long that it will not hear."""
        told = False
        asked_for_s = 0.0
        while not work.done() and asked_for_s < self._patience_s:
            await asyncio.wait([work], timeout=LOOK_EVERY_S)
            if utc_now() > self._job.deadline:
                self.run.stop("late")
            if self.run.stop_reason == "cancelled" and not told:
                told = True  # people see it now; the slot stays taken until the work has really ended
                await self._patiently(lambda: self._say(self._event(Cancelled), "cancelled"))
            if self.run.stopping.is_set():
                asked_for_s += LOOK_EVERY_S

    @property
    def _patience_s(self) -> float:
        return DRAIN_GRACE_S if self._draining else self._near.settings.stop_within_s

    async def _conclude(self, work: "asyncio.Task[Outcome]") -> None:
        if not work.done():
            await self._abandon(work)
            return
        try:
            outcome = work.result()
        except StoppedError:
            await self._stopped()
        except RefusedError as refusal:
            event = self._event(Failed, refused=True, reason=refusal.reason, hint=refusal.hint)
            log.info("refused")  # the reason names structures; it is in the event, which can be erased
            await self._over(event, "failed")
        except UnavailableError as down:
            await self._wait_for(down)
        except Exception as error:  # noqa: BLE001 - the one place where any error is met
            await self._failed(error)
        else:
            await self._commit(outcome)

    async def _abandon(self, work: "asyncio.Task[Outcome]") -> None:
        """End the job without its work, which does not hear; the process ends too, since it cannot be freed."""
        work.add_done_callback(_retrieve)
        try:
            await self._stopped()
        finally:
            if not self._draining:
                log.critical("the work does not stop; ending the process", asked_for_s=self._patience_s)
                await die()

    async def _commit(self, outcome: Outcome) -> None:
        """Publish what was made. From the first publish on, it exists."""
        timings = {part: round(seconds, 3) for part, seconds in self.run.timings.items()}
        if isinstance(outcome, JobMessage):
            finished = self._event(Finished, timings=timings, outputs=outcome.object_keys)
        else:
            finished = self._event(Finished, timings=timings, artifacts=tuple(outcome))
        try:
            await self._patiently(lambda: self._publish(outcome, finished))
        except StoppedError:
            await self._stopped()
            return
        log.info("finished", **timings)
        if isinstance(outcome, JobMessage):
            await self._patiently(lambda: self._say(finished, "finished"))
        await self._close()

    async def _publish(self, outcome: Outcome, finished: Event) -> None:
        self.run.check()
        await self._still_ours()
        if isinstance(outcome, JobMessage):
            assert self._plan.gives is not None, f"{self._plan.name} is the last stage"  # noqa: S101
            await self._near.bus.send_job(self._plan.gives, outcome)
        else:
            await self._say(finished, "finished")

    async def _still_ours(self) -> None:
        if await self._claims.token(self._claim.key) != self._claim.token:
            raise ClaimLostError(f"{self._claim.key} was taken over before its end")

    async def _stopped(self) -> None:
        reason = self.run.stop_reason
        log.info("stopped", why=reason)
        if reason == "cancelled":
            await self._over(self._event(Cancelled), "cancelled")
        elif reason == "late":
            await self._over(self._too_late(), "failed")
        elif reason == "draining":
            await self._patiently(lambda: self._claims.end(self._claim))
            await self._message.nak()
        # fenced: the job is another worker's now, and so is its message

    def _too_late(self) -> Event:
        reason = self._claim.entry.reason
        waited = f" It last waited for: {reason}." if reason else ""
        reason = f"The job did not end before its deadline, {self._job.deadline:%Y-%m-%d %H:%M} UTC.{waited}"
        return self._event(Failed, refused=False, reason=reason)

    async def _wait_for(self, down: UnavailableError) -> None:
        waits = self._claim.entry.waits + 1
        delay_s = self._delay_s(waits)
        log.warning("waiting", neighbour=down.neighbour, detail=down.detail, retry_in_s=delay_s)
        event = self._event(Waiting, waiting_for=down.neighbour, retry_in_s=delay_s)
        await self._patiently(lambda: self._say(event, f"waiting{waits}"))
        await self._give_back(delay_s, waits=waits, reason=down.neighbour)

    async def _failed(self, error: Exception) -> None:
        failures = self._claim.entry.failures + 1
        reason = f"{type(error).__name__}: {error}"[:2000]
        delay_s = self._delay_s(failures)
        where = "".join(traceback.format_tb(error.__traceback__))[-TRACE_CHARACTERS:]
        log.error("attempt failed", error=type(error).__name__, where=where, retry_in_s=delay_s)
        event = self._event(Retrying, reason=reason, retry_in_s=delay_s)
        await self._patiently(lambda: self._say(event, "retrying"))
        trace = "".join(traceback.format_exception(error))[-TRACE_CHARACTERS:]
        await self._give_back(delay_s, failures=failures, waits=0, reason=reason, traceback=trace)

    async def _give_back(self, delay_s: float, **changes: object) -> None:
        await self._patiently(lambda: self._claims.end(self._claim, **changes))
        # Whoever cancelled while the claim stood left the job to us: it shall not sleep before it ends.
        cancelled = await self._patiently(lambda: self._near.bus.is_cancelled(self._job.job_id))
        await self._message.nak(None if cancelled else delay_s)

    async def _give_up(self, reason: str) -> None:
        log.error("given up")
        letter = dead_letter(self._plan.name, self._message, reason, self._claim.entry.traceback)
        letter_id = f"dlq:{self._job.job_id}:{self._job.run}:{self._plan.name}"
        bus = self._near.bus
        await self._patiently(lambda: bus.send_dead_letter(self._plan.name, self._job.job_id, letter, letter_id))
        await self._over(self._event(Failed, refused=False, reason=reason), "failed")

    async def _over(self, event: Event, name: str) -> None:
        """The stage is done with this run: say so, unless the job is another worker's by now."""

        async def say() -> None:
            await self._still_ours()
            await self._say(event, name)

        await self._patiently(say)
        await self._close()

    async def _close(self) -> None:
        await self._patiently(lambda: self._claims.end(self._claim, done=True))
        await end(self._near.bus, self._message)

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """Take a step that may be taken again, until the bus answers or this worker is draining."""
        while True:
            try:
                return await step()
            except BUS_ERRORS as error:
                if self._draining:
                    raise
                log.warning("waiting for the bus", error=str(error) or type(error).__name__)
                await asyncio.sleep(BUS_RETRY_S)

    async def _say(self, event: Event, name: str) -> None:
        # The attempt is part of every id: what a worker said that was fenced off must not swallow the same word
        # of the worker that took over.
        message_id = f"{event.job_id}:{event.run}:{event.stage}:{event.attempt}:{name}"
        await self._near.bus.send_event(event, message_id)

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
        delay_s = min(settings.retry_first_s * 2.0 ** min(tries - 1, MOST_DOUBLINGS), settings.retry_longest_s)
        left_s = (self._job.deadline - utc_now()).total_seconds() + 1.0
        return round(max(min(delay_s, left_s), 0.1), 3)


def _retrieve(work: "asyncio.Task[Outcome]") -> None:
    """Look at the result of work that nobody waits for any more, so that it is not warned about."""
    if not work.cancelled():
        work.exception()
