"""The event stream: what it holds, and what comes from a place on, in its order and without a gap."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy
from radiarch_common.bus import BUS_ERRORS, Bus
from radiarch_common.topology import EVENTS

EVERYTHING: Final = "events.*.*.*"
BATCH: Final = 100
"""Events that are handed on together."""
AHEAD: Final = 4 * BATCH
"""Events that the bus sends before the first of them is done with."""
AT_ONCE: Final = 500
"""Events of the past that are asked for at once."""
FETCH_S: Final = 5.0
QUIET_S: Final = 1.0
KEPT_S: Final = 60.0
"""After which the bus forgets a reader that has gone."""
NEVER_AGAIN_S: Final = 24 * 3600.0
"""What was sent once is not sent anew to the same reader: it reads on from its place instead."""

Subscription = JetStreamContext.PushSubscription


class GapError(NatsError):
    """Something was lost on the way: read again from the last place."""


@dataclass(frozen=True)
class Stream:
    """The event stream as it is now.

    Attributes
    ----------
    last
        Place of its last event.
    """

    made_at: datetime
    last: int


async def stream_now(bus: Bus) -> Stream:
    """What is known of the event stream. Raises what the bus raises."""
    info = await bus.js.stream_info(EVENTS)
    if info.created is None:
        raise NatsError("the bus does not tell when the event stream was made")
    return Stream(info.created, info.state.last_seq)


async def events_after(bus: Bus, place: int) -> AsyncGenerator[list[Msg]]:
    """Events after a place in the stream, for ever; ask for more once those before are done with.

    Raises
    ------
    GapError
        If one was lost; also what the bus raises when it is away, or has forgotten this reader.
    """
    config = _reader(place, AckPolicy.ALL)
    async with _gone_at_the_end(bus, config):
        subscription = await bus.js.subscribe(EVERYTHING, stream=EVENTS, config=config)
        try:
            heard = 0
            while True:
                messages = await _some(subscription)
                if not messages:
                    _look_for_gaps(await subscription.consumer_info(), heard, subscription.pending_msgs)
                    continue
                for message in messages:
                    heard = _next(message, heard)
                yield messages
                await messages[-1].ack()  # of all before it too
        finally:
            with suppress(*BUS_ERRORS):
                await subscription.unsubscribe()


async def events_kept(bus: Bus, subject: str, place: int, up_to: int) -> AsyncGenerator[Msg]:
    """What the stream holds under a subject between two places. Raises as ``events_after``."""
    if place >= up_to:
        return
    config = _reader(place, AckPolicy.NONE, subject)
    async with _gone_at_the_end(bus, config):
        left = (await bus.js.add_consumer(EVENTS, config)).num_pending or 0
        subscription = await bus.js.pull_subscribe_bind(consumer=config.name, stream=EVENTS)
        try:
            heard = 0
            while left:
                for message in await subscription.fetch(min(left, AT_ONCE), timeout=FETCH_S):
                    heard = _next(message, heard)
                    if message.metadata.sequence.stream > up_to:
                        return
                    left = message.metadata.num_pending
                    yield message
        finally:
            with suppress(*BUS_ERRORS):
                await subscription.unsubscribe()


def _reader(place: int, acks: AckPolicy, subject: str | None = None) -> ConsumerConfig:
    return ConsumerConfig(
        name=f"reader-{secrets.token_hex(8)}",
        filter_subject=subject,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=place + 1,
        ack_policy=acks,
        ack_wait=NEVER_AGAIN_S,
        max_ack_pending=AHEAD if acks is AckPolicy.ALL else None,
        inactive_threshold=KEPT_S,
        mem_storage=True,
        num_replicas=1,
    )


@asynccontextmanager
async def _gone_at_the_end(bus: Bus, config: ConsumerConfig) -> AsyncGenerator[None]:
    """Remove the consumer; one that cannot be reached is forgotten by the bus after a while."""
    try:
        yield
    finally:
        if bus.client.is_connected and config.name is not None:
            with suppress(*BUS_ERRORS):
                await bus.js.delete_consumer(EVENTS, config.name)


def _next(message: Msg, heard: int) -> int:
    """How many were heard by now. The bus counts what it sends to each reader, and a broken line may swallow some."""
    if message.metadata.sequence.consumer != heard + 1:
        raise GapError(f"event {heard + 1} did not come")
    return heard + 1


def _look_for_gaps(info: ConsumerInfo, heard: int, pending: int) -> None:
    """While it is quiet: what was sent must have come, and what was done with must be known to be."""
    sent = info.delivered.consumer_seq if info.delivered is not None else 0
    if not pending and (sent > heard or info.num_ack_pending):
        raise GapError(f"of {sent} events {heard} came, and {info.num_ack_pending} are not known to be done with")


async def _some(subscription: Subscription) -> list[Msg]:
    """What has come, at least one unless nothing came for a while."""
    try:
        found = [await subscription.next_msg(QUIET_S)]
    except TimeoutError:
        return []
    while subscription.pending_msgs and len(found) < BATCH:
        found.append(await subscription.next_msg(QUIET_S))
    return found
