"""What is asked of the database at the same time is done at once: one thread, one transaction, one wait for the disk.

Whoever comes while a transaction runs waits for the next one, with all others who came meanwhile: the busier a gateway
is, the more share one.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")


@dataclass
class _Waiting(Generic[Ask, Answer]):
    ask: Ask
    answer: "asyncio.Future[Answer]"


class Together(Generic[Ask, Answer]):
    """One kind of work, done for many at once.

    Parameters
    ----------
    work
        Blocking: the answers, one for each, in their order. It has done all or, when it raises, nothing.
    alone
        What one may raise and spoil it for all: then each is worked on alone.
    """

    def __init__(
        self, work: Callable[[Sequence[Ask]], Sequence[Answer]], alone: tuple[type[Exception], ...] = ()
    ) -> None:
        self._work = work
        self._alone = alone
        self._waiting: list[_Waiting[Ask, Answer]] = []
        self._working: asyncio.Task[None] | None = None

    async def do(self, ask: Ask) -> Answer:
        """The answer, once the work is done. Raises what it raises."""
        waiting = _Waiting[Ask, Answer](ask, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._working is None:
            # A context of its own: the work is nobody's in particular.
            self._working = asyncio.create_task(self._until_done(), context=Context())
        return await waiting.answer

    async def _until_done(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting, []
            await self._at_once(some)
        self._working = None

    async def _at_once(self, some: "list[_Waiting[Ask, Answer]]") -> None:
        asks = [one.ask for one in some]
        (found,) = await asyncio.gather(asyncio.to_thread(self._work, asks), return_exceptions=True)
        if isinstance(found, self._alone) and len(some) > 1:
            for one in some:
                await self._at_once([one])
            return
        for number, one in enumerate(some):
            if one.answer.done():  # whoever asked has gone
                continue
            if isinstance(found, BaseException):
                one.answer.set_exception(found)
            else:
                one.answer.set_result(found[number])
