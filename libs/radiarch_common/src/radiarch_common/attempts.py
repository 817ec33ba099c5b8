"""The messages of one worker, one at a time: read, claimed, and seen through. Has the other broad ``except``."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from pydantic import ValidationError

from radiarch_common.attempt import Attempt
from radiarch_common.bus import BUS_ERRORS
from radiarch_common.claims import ClaimLostError, ClaimOverError, Claims
from radiarch_common.delivery import Delivery, end, end_unreadable
from radiarch_common.messages import JobMessage
from radiarch_common.stage_plan import Neighbours, StagePlan
from radiarch_common.telemetry import get_logger
from radiarch_common.topology import CLAIMS

log = get_logger(__name__)


class Attempts:
    """Handles the messages of one worker, one at a time."""

    def __init__(self, plan: StagePlan, near: Neighbours) -> None:
        self._plan = plan
        self._near = near
        self._current: Attempt | None = None
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def drain(self) -> None:
        """Give the running job back at once, and take no other."""
        self._draining = True
        if self._current is not None:
            self._current.drain()
        await self._idle.wait()

    async def handle(self, message: Delivery) -> None:
        """See one message through; never raises."""
        if self._draining:
            await _quietly(message.nak)
            return
        self._idle.clear()
        try:
            await self._handle(message)
        except ClaimOverError as error:
            log.info("nothing to do", why=str(error))
            await _quietly(lambda: end(self._near.bus, message))
        except ClaimLostError as error:
            log.info("not ours", why=str(error))
        except BUS_ERRORS as error:
            log.warning("bus lost while a job was handled; it will be delivered again", error=str(error))
        except Exception:  # a defect of the runtime: the broker library would be silent about it
            log.exception("a message could not be handled; it will be delivered again", subject=message.subject)
        finally:
            self._idle.set()

    async def _handle(self, message: Delivery) -> None:
        try:
            job = self._plan.takes.model_validate_json(message.data)
        except ValidationError as error:
            await end_unreadable(self._near.bus, self._plan.name, message, error)
            return
        structlog.contextvars.bind_contextvars(job_id=job.job_id, run=job.run)
        try:
            await self._attempt(job, message)
        finally:
            structlog.contextvars.unbind_contextvars("job_id", "run")

    async def _attempt(self, job: JobMessage, message: Delivery) -> None:
        claims = Claims(await self._near.bus.bucket(CLAIMS))
        claim = await claims.take(self._plan.name, job)
        attempt = Attempt(self._plan, self._near, claims, claim, job, message)
        self._current = attempt
        if self._draining:
            attempt.drain()
        try:
            if not await attempt.is_over_before_it_starts():
                await attempt.see_through()
        finally:
            self._current = None


async def _quietly(send: Callable[[], Awaitable[object]]) -> None:
    try:
        await send()
    except BUS_ERRORS as error:
        log.warning("could not answer the broker; it will deliver again", error=str(error))
