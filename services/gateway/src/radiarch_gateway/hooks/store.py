"""The watch over one PACS in the database: who looks, how far it was read, which studies have changed. Blocking."""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from radiarch_common.errors import RadiarchError
from radiarch_common.messages import utc_now
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, delete, select

from radiarch_gateway.db import Database
from radiarch_gateway.hooks.models import ChangedStudyRow, HeardHookRow, WatchRow
from radiarch_gateway.hooks.signature import WINDOW

HELD_FOR = timedelta(seconds=30)
"""A look that says nothing for so long has died, and another gateway may begin."""
BATCH = 200


class LostError(RadiarchError):
    """Another gateway has begun to look: this one was silent for too long."""


class WatchStore:
    """What is kept of one PACS."""

    def __init__(self, database: Database, pacs: str) -> None:
        self._database = database
        self._pacs = pacs

    def begin(self) -> WatchRow | None:
        """Begin a look, if it is time and nobody else is looking."""
        with self._database.reading() as session:
            row = session.get(WatchRow, self._pacs)
        if row is not None and not _due(row, utc_now()):
            return None
        try:
            with self._database.writing() as session:
                return self._begin(session)
        except IntegrityError:  # another gateway was the first ever
            return None

    def _begin(self, session: Session) -> WatchRow | None:
        now = utc_now()
        row = session.get(WatchRow, self._pacs, with_for_update=True)
        if row is None:
            row = WatchRow(pacs=self._pacs, next_look_at=now)
            session.add(row)
        elif not _due(row, now):
            return None
        row.holder, row.held_until, row.woken = secrets.token_hex(16), now + HELD_FOR, False
        session.flush()
        return row

    def renew(self, holder: str) -> None:
        """Say that the look goes on. Raises LostError."""
        with self._database.writing() as session:
            self._held(session, holder).held_until = utc_now() + HELD_FOR

    def end(self, holder: str, look_again_in: timedelta, error: str | None = None) -> None:
        """The look is over; ``error`` tells why it failed. Raises LostError."""
        with self._database.writing() as session:
            row, now = self._held(session, holder), utc_now()
            row.holder = row.held_until = None
            row.next_look_at = now + look_again_in
            if error is None:
                row.failures, row.last_error, row.last_error_at, row.looked_at = 0, None, None, now
            else:
                row.failures, row.last_error, row.last_error_at = row.failures + 1, error[:500], now

    def let_go(self, holder: str) -> None:
        """The look is broken off: whoever comes next begins at once."""
        with self._database.writing() as session:
            row = session.get(WatchRow, self._pacs, with_for_update=True)
            if row is not None and row.holder == holder:
                row.holder, row.held_until, row.next_look_at = None, None, utc_now()

    def read_up_to(self, holder: str, change: int, mark: str | None, studies: Iterable[str]) -> None:
        """Keep studies that have changed, and the cursor, in one transaction. Raises LostError."""
        with self._database.writing() as session:
            row, now = self._held(session, holder), utc_now()
            row.cursor, row.mark, row.held_until = change, mark, now + HELD_FOR
            for orthanc_id in studies:
                known = session.get(ChangedStudyRow, (self._pacs, orthanc_id))
                if known is None:
                    known = ChangedStudyRow(pacs=self._pacs, orthanc_id=orthanc_id, change=change, look_at=now)
                known.change, known.look_at, known.tries = change, now, 0
                session.add(known)

    def start_anew(self, holder: str, change: int, mark: str | None, studies: Iterable[str]) -> None:
        """Every study has changed, and the cursor is here. Raises LostError."""
        with self._database.writing() as session:
            row, now = self._held(session, holder), utc_now()
            row.cursor, row.mark, row.held_until = change, mark, now + HELD_FOR
            session.exec(delete(ChangedStudyRow).where(col(ChangedStudyRow.pacs) == self._pacs))
            session.add_all(
                ChangedStudyRow(pacs=self._pacs, orthanc_id=one, change=change, look_at=now) for one in sorted(studies)
            )

    def to_judge(self) -> list[ChangedStudyRow]:
        """Some changed studies whose time has come, the longest waiting first."""
        with self._database.reading() as session:
            statement = (
                select(ChangedStudyRow)
                .where(ChangedStudyRow.pacs == self._pacs, col(ChangedStudyRow.look_at) <= utc_now())
                .order_by(col(ChangedStudyRow.look_at), col(ChangedStudyRow.change))
                .limit(BATCH)
            )
            return list(session.exec(statement).all())

    def next_judgement_at(self) -> datetime | None:
        """When the next changed study is due."""
        with self._database.reading() as session:
            statement = (
                select(ChangedStudyRow.look_at)
                .where(ChangedStudyRow.pacs == self._pacs)
                .order_by(col(ChangedStudyRow.look_at))
                .limit(1)
            )
            return session.exec(statement).first()

    def judged(self, study: ChangedStudyRow) -> None:
        """A study was judged; if it has changed in the meantime, it stays."""
        with self._database.writing() as session:
            session.exec(
                delete(ChangedStudyRow).where(
                    col(ChangedStudyRow.pacs) == self._pacs,
                    col(ChangedStudyRow.orthanc_id) == study.orthanc_id,
                    col(ChangedStudyRow.change) == study.change,
                )
            )

    def later(self, study: ChangedStudyRow, after: timedelta, why: str, *, failed: bool = False) -> None:
        """A study cannot be judged yet."""
        with self._database.writing() as session:
            row = session.get(ChangedStudyRow, (self._pacs, study.orthanc_id), with_for_update=True)
            if row is not None and row.change == study.change:
                row.look_at, row.why = utc_now() + after, why[:500]
                row.tries = row.tries + 1 if failed else row.tries

    def forget_changes(self) -> None:
        """No rule cares: what has changed until now is of no interest."""
        with self._database.writing() as session:
            session.exec(delete(ChangedStudyRow).where(col(ChangedStudyRow.pacs) == self._pacs))

    def hint(self, signature: str | None) -> bool:
        """Have the PACS looked at soon; ``False``: this signed hint was heard before, and does nothing."""
        now = utc_now()
        try:
            with self._database.writing() as session:
                session.exec(delete(HeardHookRow).where(col(HeardHookRow.heard_at) < now - 2 * WINDOW))
                if signature is not None:
                    session.add(HeardHookRow(pacs=self._pacs, signature=signature, heard_at=now))
                    session.flush()
                row = session.get(WatchRow, self._pacs, with_for_update=True)
                if row is not None:  # a PACS that was never read is read soon anyway
                    row.woken, row.hinted_at = True, now
        except IntegrityError:
            return False
        return True

    def _held(self, session: Session, holder: str) -> WatchRow:
        row = session.get(WatchRow, self._pacs, with_for_update=True)
        if row is None or row.holder != holder:
            raise LostError(f"Another gateway looks at PACS '{self._pacs}' now.")
        return row


def _due(row: WatchRow, now: datetime) -> bool:
    if row.held_until is not None and row.held_until > now:
        return False
    return row.woken or row.next_look_at <= now or row.held_until is not None
