"""One gateway of several: whoever holds the lease. It runs out by itself when its holder dies."""

import secrets
from datetime import timedelta

from radiarch_common.messages import utc_now
from sqlalchemy.exc import IntegrityError

from radiarch_gateway.db import Database
from radiarch_gateway.housekeeping.models import LeaseRow


class Lease:
    """The right to do one thing, for a while.

    It spares work, and protects nothing: what is done under it must bear being done twice.
    """

    def __init__(self, database: Database, name: str, lasts: timedelta) -> None:
        self._database = database
        self._name = name
        self._lasts = lasts
        self._holder = secrets.token_hex(8)

    def take(self) -> bool:
        """Have it for a while from now; ``False``: another gateway has it."""
        now = utc_now()
        try:
            with self._database.writing() as session:
                row = session.get(LeaseRow, self._name, with_for_update=True)
                if row is not None and row.holder != self._holder and row.until > now:
                    return False
                row = row or LeaseRow(name=self._name, holder=self._holder, until=now)
                row.holder, row.until = self._holder, now + self._lasts
                session.add(row)
        except IntegrityError:  # another gateway was quicker
            return False
        return True

    def give_back(self) -> None:
        """Let another gateway have it at once."""
        with self._database.writing() as session:
            row = session.get(LeaseRow, self._name, with_for_update=True)
            if row is not None and row.holder == self._holder:
                session.delete(row)
