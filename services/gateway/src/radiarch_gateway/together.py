"""What is asked of the database at the same time is done at once: one thread, one transaction, one wait for the disk.

Whoever comes while a transaction runs waits for the next one, with all others who came meanwhile: the busier a gateway
is, the more share one.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
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
        self._apart: list[_Waiting[Ask, Answer]] = []
        self._working = False

    async def do(self, ask: Ask) -> Answer:
        """The answer, once the work is done. Raises what it raises."""
        waiting = _Waiting[Ask, Answer](ask, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if not self._working:
            self._begin()
        return await waiting.answer

    def _begin(self) -> None:
        if self._apart:
            some = [self._apart.pop(0)]
        else:
            some, self._waiting = self._waiting, []
        self._working = bool(some)
        if some:
            asks = [one.ask for one in some]
            work = asyncio.get_running_loop().run_in_executor(None, self._work, asks)
            # In a context of its own: what follows is nobody's in particular.
            work.add_done_callback(partial(self._end, some), context=Context())

    def _end(self, some: "list[_Waiting[Ask, Answer]]", work: "asyncio.Future[Sequence[Answer]]") -> None:
        failure = None if work.cancelled() else work.exception()
        if isinstance(failure, self._alone) and len(some) > 1:
            self._apart += some
        else:
            for number, one in enumerate(some):
                _answer(one, work, number)
        self._begin()


def _answer(one: _Waiting[Ask, Answer], work: "asyncio.Future[Sequence[Answer]]", number: int) -> None:
    if one.answer.done():  # whoever asked has gone
        return
    if work.cancelled():
        one.answer.cancel()
    elif (failure := work.exception()) is not None:
        one.answer.set_exception(failure)
    else:
        one.answer.set_result(work.result()[number])
