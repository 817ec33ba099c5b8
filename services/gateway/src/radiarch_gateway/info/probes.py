"""Who answers: each neighbour is asked in a thread of its own, and not waited for longer than a moment."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from radiarch_common.archive import Pacs
from radiarch_common.errors import UnavailableError
from radiarch_common.objects import ObjectStore
from sqlalchemy.exc import SQLAlchemyError

from radiarch_gateway.db import Database
from radiarch_gateway.info.models import Reachability

WAIT_S = 3.0
THREADS = 8
NOWHERE = "probe/nothing-lies-here"


class Probes:
    """Questions to the neighbours that block. One that hangs is not asked again before it has answered."""

    def __init__(self, database: Database, objects: ObjectStore, pacs: Mapping[str, Pacs]) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="probe")
        self._asked: dict[str, Future[None]] = {}
        self._questions: dict[str, Callable[[], object]] = {
            "database": database.ping,
            "objects": lambda: objects.exists(NOWHERE),
            **{f"pacs:{name}": archive.ping for name, archive in pacs.items()},
        }

    async def ask(self) -> dict[str, Reachability]:
        """What each neighbour says: ``database``, ``objects``, ``pacs:<name>``."""
        answers = await asyncio.gather(*(self._ask(name) for name in self._questions))
        return dict(zip(self._questions, answers, strict=True))

    async def database(self) -> Reachability:
        """Whether the database answers."""
        return await self._ask("database")

    async def _ask(self, name: str) -> Reachability:
        future = self._asked.get(name)
        if future is None or future.done():
            future = self._asked[name] = self._threads.submit(_question, self._questions[name])
        try:
            async with asyncio.timeout(WAIT_S):
                await asyncio.shield(asyncio.wrap_future(future))
        except TimeoutError:
            return Reachability(ok=False, why=f"No answer within {WAIT_S:.0f} s.")
        except UnavailableError as error:
            return Reachability(ok=False, why=str(error))
        except (SQLAlchemyError, OSError) as error:
            return Reachability(ok=False, why=type(error).__name__)
        return Reachability(ok=True)

    def close(self) -> None:
        """End the threads; one that hangs is left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _question(question: Callable[[], object]) -> None:
    question()
