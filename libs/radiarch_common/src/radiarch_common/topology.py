"""Streams, subjects, durables and buckets; made once, by ``python -m radiarch_common.topology``.

=========  ==========================  ===========================================================
stream     subjects                    keeps
=========  ==========================  ===========================================================
JOBS       ``jobs.<verb>.<job>``       each job until its stage acks it; no age limit: a job ends
                                       by its own deadline
EVENTS     ``events.<job>.<stage>.*``  90 days; job state can be told again from it
DLQ        ``dlq.<stage>.<job>``       30 days; jobs given up on, with the reason
=========  ==========================  ===========================================================

Buckets: ``cancel`` (job ids that shall stop), ``claims`` (who works on what, and how often it was tried),
``catalogue`` (what planners offer), ``workers`` (who is alive).
"""

import asyncio
from dataclasses import dataclass

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    KeyValueConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import BadRequestError, NotFoundError

from radiarch_common.errors import RadiarchError
from radiarch_common.messages import Event, JobMessage, StageName
from radiarch_common.settings import Settings, settings_or_exit

DAY_S = 86400.0
OLDEST_SERVER = (2, 12)

JOBS = "JOBS"
EVENTS = "EVENTS"
DLQ = "DLQ"

CANCEL = "cancel"
CLAIMS = "claims"
CATALOGUE = "catalogue"
CATALOGUE_KEY = "planner"
WORKERS = "workers"
WORKER_TTL_S = 30.0

VERBS: dict[StageName, str] = {"importer": "import", "planner": "plan", "exporter": "export"}


class TopologyError(RadiarchError):
    """The bus is not what Radiarch needs."""


@dataclass(frozen=True)
class StreamPlan:
    """A stream as it should be."""

    name: str
    subject: str
    retention: RetentionPolicy
    max_age_s: float
    max_consumers: int = -1


MOST_READERS = 20_000
"""What is said of a job before somebody follows it is read by a consumer of its own, for a moment; a server that is
not told otherwise stops at 1,000."""

STREAMS = (
    StreamPlan(JOBS, "jobs.*.*", RetentionPolicy.WORK_QUEUE, 0),
    StreamPlan(EVENTS, "events.*.*.*", RetentionPolicy.LIMITS, 90 * DAY_S, MOST_READERS),
    StreamPlan(DLQ, "dlq.*.*", RetentionPolicy.LIMITS, 30 * DAY_S),
)
BUCKET_TTL_S: dict[str, float] = {CANCEL: 7 * DAY_S, CLAIMS: 7 * DAY_S, CATALOGUE: 0, WORKERS: WORKER_TTL_S}


def job_subject(stage: StageName, job_id: str) -> str:
    """Where a stage's job is published."""
    return f"jobs.{VERBS[stage]}.{job_id}"


def job_message_id(job: JobMessage, stage: StageName) -> str:
    """Deterministic ``Nats-Msg-Id``: publishing the same job twice stores it once."""
    return f"{job.job_id}:{job.run}:{stage}"


def event_subject(event: Event) -> str:
    """Where an event is published."""
    return f"events.{event.job_id}.{event.stage}.{event.kind}"


def dead_letter_subject(stage: StageName, job_id: str) -> str:
    """Where a job that was given up on is kept."""
    return f"dlq.{stage}.{job_id}"


def cancel_subject(job_id: str) -> str:
    """Core subject that tells a busy worker at once; the ``cancel`` bucket is what counts."""
    return f"control.cancel.{job_id}"


def stage_consumer(stage: StageName, settings: Settings) -> ConsumerConfig:
    """The durable consumer that every replica of a stage shares.

    No ``max_deliver`` and no ``backoff``: the stage runtime counts attempts and chooses delays itself.
    """
    return ConsumerConfig(
        durable_name=stage,
        filter_subject=f"jobs.{VERBS[stage]}.*",
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=settings.ack_wait_s,
        max_ack_pending=1000,
    )


async def bootstrap(client: Client, settings: Settings) -> None:
    """Make or update every stream, consumer and bucket. Safe to run again.

    Raises
    ------
    TopologyError
        If the server is older than 2.12, which lacks what durability needs here.
    """
    version = client.connected_server_version
    if (version.major, version.minor) < OLDEST_SERVER:
        raise TopologyError(f"nats-server {version.major}.{version.minor} is too old: 2.12 or newer is needed")
    js = client.jetstream(timeout=10)
    for plan in STREAMS:
        await _stream(js, plan, settings)
    for stage in VERBS:
        await js.add_consumer(JOBS, stage_consumer(stage, settings))
    for bucket, ttl_s in BUCKET_TTL_S.items():
        await _bucket(js, bucket, ttl_s, settings)


async def _stream(js: JetStreamContext, plan: StreamPlan, settings: Settings) -> None:
    window_s = settings.duplicate_window_h * 3600
    config = StreamConfig(
        name=plan.name,
        subjects=[plan.subject],
        retention=plan.retention,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_age=plan.max_age_s,
        max_consumers=plan.max_consumers,
        duplicate_window=min(window_s, plan.max_age_s) if plan.max_age_s else window_s,
        num_replicas=settings.nats_replicas,
    )
    try:
        await js.stream_info(plan.name)
    except NotFoundError:
        await js.add_stream(config)
    else:
        await js.update_stream(config)


async def _bucket(js: JetStreamContext, name: str, ttl_s: float, settings: Settings) -> None:
    try:
        await js.create_key_value(
            KeyValueConfig(bucket=name, ttl=ttl_s or None, history=1, replicas=settings.nats_replicas)
        )
    except BadRequestError:
        await js.key_value(name)  # it is there, made with other limits: those are the operator's


async def _main() -> None:
    from radiarch_common.bus import connect  # noqa: PLC0415 - bus imports this module

    settings = settings_or_exit()
    client = await connect(settings, "topology")
    try:
        await bootstrap(client, settings)
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(_main())
