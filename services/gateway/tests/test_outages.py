"""Events are counted on after an outage, by the gateway that counts and by those that stand by for it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import pytest
from radiarch_common.settings import Settings
from radiarch_common.topology import EVENTS, bootstrap
from radiarch_gateway import aggregate
from radiarch_gateway.aggregate import Aggregator
from radiarch_gateway.bootstrap import end
from radiarch_gateway.bus import Link
from radiarch_gateway.db import AWAY, Database
from radiarch_gateway.feed import stream_now
from radiarch_gateway.jobs.models import JobRow
from radiarch_gateway.places import Place, move_on
from radiarch_standalone.embedded_nats import EmbeddedNats
from radiarch_testkit.databases import Databases
from radiarch_testkit.frail import frail_wire
from radiarch_testkit.gateway import StageHand, until
from radiarch_testkit.queued import put_queued_job
from sqlmodel import Session

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOB = "0" * 12


class WatchedDatabase(Database):
    """Counts how often it was not to be had."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.away = 0

    @contextmanager
    def reading(self) -> Generator[Session]:
        with self._counting(), super().reading() as session:
            yield session

    @contextmanager
    def writing(self) -> Generator[Session]:
        with self._counting(), super().writing() as session:
            yield session

    @contextmanager
    def _counting(self) -> Generator[None]:
        try:
            yield
        except AWAY:
            self.away += 1
            raise


class Counting:
    """The part of a gateway that counts, at work, and one job for it."""

    def __init__(self, aggregator: Aggregator, database: WatchedDatabase, task: "asyncio.Task[None]") -> None:
        self.aggregator = aggregator
        self.database = database
        self._task = task

    async def goes_on(self, holds: Callable[[], bool]) -> None:
        """Returns once something holds; fails when the work ends before."""
        ended, held = await until(lambda: asyncio.sleep(0, (self._task.done(), holds())), any)
        assert held
        assert not ended

    def stage(self) -> str:
        """Where the job is; ``""``: the database is away."""
        try:
            with self.database.reading() as session:
                return session.get_one(JobRow, JOB).stage
        except AWAY:
            return ""


@asynccontextmanager
async def _counting(settings: Settings) -> AsyncGenerator[Counting]:
    database = WatchedDatabase(settings.database_url)
    database.migrate()
    with database.writing() as session:
        put_queued_job(session, JOB, START)
    link = Link(settings)
    aggregator = Aggregator(database, link)
    tasks = [asyncio.create_task(link.keep()), asyncio.create_task(aggregator.run())]
    try:
        yield Counting(aggregator, database, tasks[-1])
    finally:
        for task in reversed(tasks):
            await end(task)
        database.close()


async def _readers(stage_hand: StageHand, count: int) -> None:
    """Returns once so many read the stream."""
    await until(lambda: stage_hand.bus.js.stream_info(EVENTS), lambda info: info.state.consumer_count == count)


async def _overtake(counting: Counting, stage_hand: StageHand) -> None:
    """Play another gateway, which has counted the first event before this one could: it must stand by."""
    await _readers(stage_hand, 1)
    stream = await stream_now(stage_hand.bus)
    with counting.database.writing() as session:
        move_on(session, Place(stream.made_at, 1))
    await stage_hand.say(JOB, "importer", "started")
    await _readers(stage_hand, 0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] - pytest uses it
    monkeypatch.setattr(aggregate, "AGAIN_S", 0.1)
    monkeypatch.setattr(aggregate, "LOOK_S", 0.1)


async def test_who_stands_by_outlives_an_outage_of_the_database(
    settings: Settings, stage_hand: StageHand, postgres: Databases
) -> None:
    """Fails if it ends when it looks whether the other still counts: a database's restart would end the gateway."""
    async with _counting(settings.model_copy(update={"database_url": postgres.new_database()})) as counting:
        await _overtake(counting, stage_hand)
        postgres.stop()
        try:
            await counting.goes_on(lambda: counting.database.away > 1)
        finally:
            postgres.start()
        await stage_hand.say(JOB, "planner", "started")
        await counting.goes_on(lambda: counting.stage() == "planner")


async def test_who_stands_by_outlives_a_bus_that_hangs(
    settings: Settings, stage_hand: StageHand, nats_server: EmbeddedNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stands, and nothing is answered: fails if that ends the gateway."""
    monkeypatch.setattr("radiarch_common.bus.PUBLISH_TIMEOUT_S", 0.3)
    async with frail_wire(nats_server.port) as wire:
        over = settings.model_copy(update={"nats_url": f"nats://127.0.0.1:{wire.port}"})
        async with _counting(over) as counting:
            await _overtake(counting, stage_hand)
            wire.deaf = True
            await counting.goes_on(lambda: wire.unheard.count(b"STREAM.INFO") > 1)  # it asked again after a time-out
            wire.cut()
            wire.deaf = False
            await stage_hand.say(JOB, "planner", "started")
            await counting.goes_on(lambda: counting.stage() == "planner")


async def test_who_stands_by_takes_over_on_a_stream_made_anew(settings: Settings, stage_hand: StageHand) -> None:
    """The other one is gone, and places count from 1 again.

    Fails if that looks as if all were counted: events would wait until there are more than in the old stream.
    """
    async with _counting(settings) as counting:
        await _overtake(counting, stage_hand)
        await stage_hand.bus.js.delete_stream(EVENTS)
        await bootstrap(stage_hand.bus.client, settings)
        await stage_hand.say(JOB, "planner", "started")
        await counting.goes_on(lambda: counting.stage() == "planner")


async def test_no_connection_for_a_while_costs_no_event(
    settings: Settings, stage_hand: StageHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody's connections are in use, as with a database that hangs.

    Fails if the event is taken for one that the database cannot hold, and is passed over, or ends the gateway.
    """
    pool = {"pool_size": 2, "max_overflow": 0, "pool_timeout": 0.05}
    monkeypatch.setattr("radiarch_gateway.db._POOL", pool)
    async with _counting(settings) as counting:
        await _readers(stage_hand, 1)
        with counting.database.reading() as one, counting.database.reading() as other:
            one.connection()
            other.connection()
            await stage_hand.say(JOB, "importer", "started")
            await counting.goes_on(lambda: counting.database.away > aggregate.TRIES + 1)
        await counting.goes_on(lambda: counting.stage() == "importer")
        assert counting.aggregator.unreadable == 0


async def test_a_number_that_the_database_cannot_hold_is_passed(settings: Settings, stage_hand: StageHand) -> None:
    """SQLite's driver refuses it in a word of its own: fails if that ends the gateway, or holds up the next event."""
    async with _counting(settings) as counting:
        await stage_hand.say(JOB, "importer", "started", attempt=2**70)
        await counting.goes_on(lambda: counting.aggregator.unreadable == 1)
        await stage_hand.say(JOB, "planner", "started")
        await counting.goes_on(lambda: counting.stage() == "planner")
