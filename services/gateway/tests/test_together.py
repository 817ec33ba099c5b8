"""Work that is asked for at the same time: done at once, and nobody's failure is another's."""

import asyncio
from collections.abc import Sequence
from threading import Event

from radiarch_gateway.together import Together


class SpoiltError(Exception):
    """One has spoilt it for all."""


class Worker:
    """Squares numbers, as many at a time as are asked for, once it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = Event()
        self.let = Event()

    def work(self, asks: Sequence[int]) -> list[int]:
        self.batches.append(list(asks))
        self.begun.set()
        assert self.let.wait(20)
        if any(ask < 0 for ask in asks):
            raise SpoiltError(f"in {list(asks)}")
        return [ask * ask for ask in asks]


async def test_who_comes_meanwhile_shares_the_next() -> None:
    """The first is not kept waiting; fails if those who come while it works are done one by one, or mixed up."""
    worker = Worker()
    together = Together(worker.work)
    first = asyncio.create_task(together.do(1))
    assert await asyncio.to_thread(worker.begun.wait, 20)
    others = [asyncio.create_task(together.do(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    worker.let.set()
    assert await asyncio.gather(first, *others) == [1, 4, 9, 16]
    assert worker.batches == [[1], [2, 3, 4]]
    assert await together.do(5) == 25


async def test_what_one_spoils_is_done_apart() -> None:
    """Fails if a plan is refused because another one's key was taken, or if one is left without an answer."""
    worker = Worker()
    together = Together(worker.work, alone=(SpoiltError,))
    first = asyncio.create_task(together.do(1))
    assert await asyncio.to_thread(worker.begun.wait, 20)
    others = [asyncio.create_task(together.do(number)) for number in (2, -3, 4)]
    await asyncio.sleep(0)
    worker.let.set()
    answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, SpoiltError)] == [1, 4, 16]
    assert str(answers[2]) == "in [-3]"
    assert worker.batches == [[1], [2, -3, 4], [2], [-3], [4]]


async def test_what_fails_for_all_is_told_to_all_and_the_next_is_done() -> None:
    """Such as a database that is away: it is not asked again for each of those who wait."""
    worker = Worker()
    together = Together(worker.work)
    first = asyncio.create_task(together.do(1))
    assert await asyncio.to_thread(worker.begun.wait, 20)
    others = [asyncio.create_task(together.do(number)) for number in (-2, 3)]
    await asyncio.sleep(0)
    worker.let.set()
    answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["1", "in [-2, 3]", "in [-2, 3]"]
    assert await together.do(3) == 9
    assert worker.batches == [[1], [-2, 3], [3]]


async def test_who_has_gone_keeps_nobody_waiting() -> None:
    """A request that was cancelled while its work was done; the others have their answers."""
    worker = Worker()
    together = Together(worker.work)
    gone = asyncio.create_task(together.do(1))
    assert await asyncio.to_thread(worker.begun.wait, 20)
    stays = asyncio.create_task(together.do(2))
    also_gone = asyncio.create_task(together.do(3))
    await asyncio.sleep(0)
    gone.cancel()
    also_gone.cancel()
    worker.let.set()
    assert await stays == 4
    assert gone.cancelled()
    assert also_gone.cancelled()
