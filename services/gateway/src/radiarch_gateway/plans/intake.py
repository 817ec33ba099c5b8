"""Where requests become plans: those that come at the same time are stored in one transaction."""

import asyncio
from collections.abc import Callable, Sequence

from radiarch_common.settings import Settings
from sqlalchemy.exc import IntegrityError

from radiarch_gateway.audit.act import Act, current
from radiarch_gateway.audit.ledger import note
from radiarch_gateway.db import Database
from radiarch_gateway.plans.store import Order, stored, taken_meanwhile
from radiarch_gateway.plans.views import PlanAccepted
from radiarch_gateway.together import Together

Asked = tuple[Order, Act | None]


class Intake:
    """Takes plans, each with its entry in the audit log.

    Parameters
    ----------
    taken
        Called after each transaction: there is something for the bus.
    """

    def __init__(self, database: Database, settings: Settings, taken: Callable[[], None]) -> None:
        self._database = database
        self._settings = settings
        self._taken = taken
        self._together = Together(self._store, alone=(IntegrityError,))

    async def take(self, order: Order) -> PlanAccepted:
        """Store plan, job and what the bus must hear. Raises ConflictError when its key came with another body."""
        act = current()
        try:
            accepted = await self._together.do((order, act))
        except IntegrityError:
            if order.idempotency_key is None:
                raise
            return await asyncio.to_thread(taken_meanwhile, self._database, order)
        self._taken()
        if act is not None:
            act.written = True
        return accepted

    def _store(self, asked: Sequence[Asked]) -> list[PlanAccepted]:
        with self._database.writing() as session:
            accepted = stored(session, [order for order, _ in asked], self._settings)
            for (_, act), plan in zip(asked, accepted, strict=True):
                if act is not None and act.operation:
                    act.about({"plan_id": plan.id})
                    note(session, act)
        return accepted
