"""Reading the event stream over a line that breaks: a gap is known for one, and no reader is left behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress

import pytest
from nats.js import JetStreamContext, JetStreamManager
from nats.js.api import ConsumerConfig, ConsumerInfo
from radiarch_common.bus import BUS_ERRORS, Bus, connect
from radiarch_common.settings import Settings
from radiarch_common.topology import EVENTS
from radiarch_gateway import feed
from radiarch_gateway.feed import EVERYTHING, GapError, events_after, events_kept, stream_now
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_testkit.frail import FrailWire, frail_wire
from radiarch_testkit.gateway import HANG_S, StageHand, until

JOB = "0" * 12
LONG = 500
"""Bytes of each event that is said, at least."""


@pytest.fixture
async def wire(nats_server: EmbeddedNats, stage_hand: StageHand) -> AsyncIterator[FrailWire]:
    """The way of the reader to the bus; the stage hand has one of its own."""
    async with frail_wire(nats_server.port) as wire:
        yield wire


@pytest.fixture
async def bus(settings: Settings, wire: FrailWire) -> AsyncIterator[Bus]:
    """The bus over that way."""
    client = await connect(settings.model_copy(update={"nats_url": f"nats://127.0.0.1:{wire.port}"}), "reader")
    yield Bus(client)
    await client.close()


async def _say(stage_hand: StageHand, count: int) -> None:
    text = "x" * LONG
    await asyncio.gather(
        *(stage_hand.say(JOB, "planner", "progress", progress=0.5, message=f"{n} {text}") for n in range(count))
    )


async def _consumers(stage_hand: StageHand) -> int:
    return (await stage_hand.bus.js.stream_info(EVENTS)).state.consumer_count


async def test_the_past_has_no_gap_where_the_line_is_cut(
    wire: FrailWire, bus: Bus, stage_hand: StageHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut amid what was asked for at once; the reader goes on from the last that came.

    Fails if what the bus had sent by then is passed over, and the reader is told the rest as if nothing were missing.
    """
    monkeypatch.setattr(feed, "AT_ONCE", 50)
    monkeypatch.setattr(feed, "FETCH_S", 0.5)
    await _say(stage_hand, 120)
    last = (await stream_now(bus)).last
    seen = [0]
    broken: list[Exception] = []
    wire.cut_after(70 * LONG)
    async with asyncio.timeout(HANG_S):
        while seen[-1] < last:
            try:
                async with aclosing(events_kept(bus, EVERYTHING, seen[-1], last)) as past:
                    async for message in past:
                        seen.append(message.metadata.sequence.stream)
            except BUS_ERRORS as error:
                broken.append(error)
    assert seen == list(range(last + 1))
    assert (wire.cuts, bool(broken)) == (1, True)


async def test_a_reader_whose_acks_were_lost_goes_on(
    wire: FrailWire, bus: Bus, stage_hand: StageHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that came is done with, and the bus, which sends no more before it knows that, is never told.

    Fails if reader and bus wait for each other: job state would stand still.
    """
    monkeypatch.setattr(feed, "BATCH", 5)
    monkeypatch.setattr(feed, "AHEAD", 20)
    await _say(stage_hand, 30)
    seen: list[int] = []

    async def delivered() -> int:
        infos = await stage_hand.bus.js.consumers_info(EVENTS)
        return max((info.delivered.consumer_seq for info in infos if info.delivered is not None), default=0)

    async def read() -> None:
        async with aclosing(events_after(bus, seen[-1] if seen else 0)) as batches:
            async for messages in batches:
                if not seen:
                    await until(delivered, lambda count: count == 20)
                    wire.deaf = True
                seen.extend(message.metadata.sequence.stream for message in messages)
                if len(seen) == 30:
                    return

    async def lose() -> None:
        await until(lambda: asyncio.sleep(0, wire.unheard), lambda unheard: b".20.20." in unheard)  # the last ack
        wire.cut()
        wire.deaf = False

    async with asyncio.timeout(HANG_S):
        losing = asyncio.create_task(lose())
        with pytest.raises(GapError, match="20 are not known to be done with"):
            await read()
        await losing
        await read()
    assert seen == list(range(1, 31))


async def _never_told(_: JetStreamContext.PushSubscription) -> ConsumerInfo:
    raise TimeoutError


def _made_unknown(
    make: Callable[..., Awaitable[ConsumerInfo]],
) -> Callable[[JetStreamManager, str, ConsumerConfig], Awaitable[ConsumerInfo]]:
    async def made(js: JetStreamManager, stream: str, config: ConsumerConfig) -> ConsumerInfo:
        await make(js, stream, config)
        raise TimeoutError

    return made


@pytest.mark.parametrize("lost", ["what it is", "that it was made"])
async def test_no_reader_is_left_behind(
    lost: str, bus: Bus, stage_hand: StageHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bus makes a reader, and what it answers is lost: fails if the bus keeps it, and sends to nobody.

    Over a bad line a gateway tries again and again.
    """
    monkeypatch.setattr(feed, "QUIET_S", 0.05)
    if lost == "what it is":
        monkeypatch.setattr(JetStreamContext.PushSubscription, "consumer_info", _never_told)
    else:
        monkeypatch.setattr(JetStreamManager, "add_consumer", _made_unknown(JetStreamManager.add_consumer))
    await _say(stage_hand, 1)
    for _ in range(3):
        with suppress(TimeoutError):
            async for _ in events_after(bus, 1):
                pass
        if lost == "that it was made":
            with pytest.raises(TimeoutError):
                await anext(events_kept(bus, EVERYTHING, 0, 1))
    await until(lambda: _consumers(stage_hand), lambda count: count == 0)
