"""The event stream: what it holds, and what comes from a place on, in its order and without a gap."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from radiarch_common.bus import BUS_ERRORS, Bus
from radiarch_common.topology import EVENTS

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
    subscription = await bus.js.subscribe("events.*.*.*", stream=EVENTS, config=_reader(place))
    name = (await subscription.consumer_info()).name
    heard = 0
    try:
        while True:
            messages = await _some(subscription)
            if not messages:
                delivered = (await subscription.consumer_info()).delivered
                if delivered is not None and delivered.consumer_seq > heard and not subscription.pending_msgs:
                    raise GapError(f"{delivered.consumer_seq - heard} events did not come")
                continue
            for message in messages:
                heard += 1
                if message.metadata.sequence.consumer != heard:
                    raise GapError(f"event {heard} did not come")
            yield messages
            await messages[-1].ack()  # of all before it too
    finally:
        with suppress(*BUS_ERRORS):
            await subscription.unsubscribe()
            if bus.client.is_connected:  # else the bus forgets this reader by itself
                await bus.js.delete_consumer(EVENTS, name)


async def events_kept(bus: Bus, subject: str, place: int, up_to: int) -> AsyncGenerator[Msg]:
    """What the stream holds under a subject between two places. Raises what the bus raises."""
    if place >= up_to:
        return
    config = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=place + 1,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=KEPT_S,
        mem_storage=True,
        num_replicas=1,
    )
    subscription = await bus.js.pull_subscribe(subject, stream=EVENTS, config=config)
    info = await subscription.consumer_info()
    left = info.num_pending or 0
    try:
        while left:
            for message in await subscription.fetch(min(left, AT_ONCE), timeout=FETCH_S):
                if message.metadata.sequence.stream > up_to:
                    return
                left = message.metadata.num_pending
                yield message
    finally:
        with suppress(*BUS_ERRORS):
            await subscription.unsubscribe()
            if bus.client.is_connected:
                await bus.js.delete_consumer(EVENTS, info.name)


def _reader(place: int) -> ConsumerConfig:
    return ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=place + 1,
        ack_policy=AckPolicy.ALL,
        ack_wait=NEVER_AGAIN_S,
        max_ack_pending=AHEAD,
        inactive_threshold=KEPT_S,
        mem_storage=True,
        num_replicas=1,
    )


async def _some(subscription: Subscription) -> list[Msg]:
    """What has come, at least one unless nothing came for a while."""
    try:
        found = [await subscription.next_msg(QUIET_S)]
    except TimeoutError:
        return []
    while subscription.pending_msgs and len(found) < BATCH:
        found.append(await subscription.next_msg(QUIET_S))
    return found
