"""One connection to the bus: jobs and events out, stored before it returns."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import NoReturn

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import KeyNotFoundError, NotFoundError, ServerError
from nats.js.kv import KeyValue

from radiarch_common.messages import EVENT, Event, JobMessage, StageName
from radiarch_common.settings import Settings
from radiarch_common.telemetry import get_logger
from radiarch_common.topology import (
    CANCEL,
    DLQ,
    EVENTS,
    JOBS,
    dead_letter_subject,
    event_subject,
    job_message_id,
    job_subject,
)

PUBLISH_TIMEOUT_S = 5.0
BUS_ERRORS = (NatsError, OSError, TimeoutError)

log = get_logger(__name__)


async def connect(settings: Settings, name: str, *, closed: Callable[[], Awaitable[None]] | None = None) -> Client:
    """A connection that reconnects for ever; the first one is waited for too."""

    async def error(cause: Exception) -> None:
        log.warning("bus error", error=str(cause) or type(cause).__name__)

    password = settings.nats_password
    while True:
        try:
            return await nats.connect(
                settings.nats_url,
                name=f"radiarch-{name}",
                user=settings.nats_user,
                password=password.get_secret_value() if password else None,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.5,
                connect_timeout=5,
                error_cb=error,
                closed_cb=closed,
                tls=bus_tls(settings),
            )
        except BUS_ERRORS as cause:
            log.warning("bus is not reachable; trying again", url=settings.nats_url, error=str(cause))
            await asyncio.sleep(1.0)


def bus_tls(settings: Settings) -> ssl.SSLContext | None:
    """How the bus is recognised when the settings say; an URL ``tls://`` alone trusts the system's authorities."""
    if settings.nats_tls_ca is None and settings.nats_tls_certificate is None:
        return None
    context = ssl.create_default_context(cafile=settings.nats_tls_ca)
    if settings.nats_tls_certificate is not None:
        context.load_cert_chain(settings.nats_tls_certificate, settings.nats_tls_key)
    return context


async def die() -> NoReturn:
    """End the process at once: a worker whose connection was closed for good must be started anew."""
    os._exit(70)


class Bus:
    """Publishes jobs and events; a publish returns when the server has stored it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.js: JetStreamContext = client.jetstream(timeout=PUBLISH_TIMEOUT_S)

    async def bucket(self, name: str) -> KeyValue:
        """One of the topology's key-value buckets."""
        return await self.js.key_value(name)

    async def send_job(self, stage: StageName, job: JobMessage) -> None:
        """Publish a stage's job, once however often this is called."""
        data = job.model_dump_json().encode()
        await self.publish(JOBS, job_subject(stage, job.job_id), data, job_message_id(job, stage))

    async def send_event(self, event: Event, message_id: str) -> None:
        """Publish an event under a deterministic id."""
        await self.publish(EVENTS, event_subject(event), event.model_dump_json().encode(), message_id)

    async def send_dead_letter(self, stage: StageName, job_id: str, letter: bytes, message_id: str) -> None:
        """Keep a job that was given up on."""
        await self.publish(DLQ, dead_letter_subject(stage, job_id), letter, message_id)

    async def publish(self, stream: str, subject: str, data: bytes, message_id: str) -> None:
        """Publish what is ready to be, under an id that the server stores once."""
        headers = {"Nats-Msg-Id": message_id}
        await self.js.publish(subject, data, timeout=PUBLISH_TIMEOUT_S, stream=stream, headers=headers)

    async def waiting_job(self, stage: StageName, job_id: str) -> bytes | None:
        """A stage's job as it lies in the queue, worked on or not; ``None`` when there is none."""
        return await self._last(JOBS, job_subject(stage, job_id))

    async def last_event(self, stage: StageName, job_id: str, kind: str) -> Event | None:
        """The latest event of one kind that a stage published of a job."""
        found = await self._last(EVENTS, f"events.{job_id}.{stage}.{kind}")
        return EVENT.validate_json(found) if found is not None else None

    async def is_cancelled(self, job_id: str) -> bool:
        """Whether somebody asked this job to stop."""
        try:
            await (await self.bucket(CANCEL)).get(job_id)
        except KeyNotFoundError:
            return False
        return True

    async def erase(self, stream: str, sequence: int) -> None:
        """Overwrite a stored message on the disk and remove it; nothing happens when it is not there."""
        try:
            await self.js.delete_msg(stream, sequence)  # unlike a purge or an ack, this writes over the bytes
        except ServerError:  # the server has no error of its own for a message that is gone
            if await self._holds(stream, sequence):
                raise

    async def _holds(self, stream: str, sequence: int) -> bool:
        try:
            await self.js.get_msg(stream, seq=sequence)
        except NotFoundError:
            return False
        return True

    async def _last(self, stream: str, subject: str) -> bytes | None:
        try:
            return (await self.js.get_last_msg(stream, subject)).data or b""
        except NotFoundError:
            return None
