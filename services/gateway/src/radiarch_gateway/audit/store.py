"""The log read: found, exported, checked. Nothing here writes."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from radiarch_gateway.audit.act import Action
from radiarch_gateway.audit.chain import BrokenChainError, Head, walk
from radiarch_gateway.audit.models import AuditRow
from radiarch_gateway.audit.views import AuditPage, ChainView, audit_view
from radiarch_gateway.db import Database

AT_ONCE = 1000
"""Rows held in memory while the whole log is read."""


@dataclass(frozen=True)
class Wanted:
    """Which acts; nothing set: all. ``clinic_id=None``: of every clinic, and of nobody known."""

    clinic_id: str | None
    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    action: Action | None = None
    study: str | None = None


def page(session: Session, wanted: Wanted, limit: int, before: int | None) -> AuditPage:
    """Some acts, newest first, those before a sequence."""
    statement = _chosen(wanted).order_by(col(AuditRow.sequence).desc()).limit(limit + 1)
    if before is not None:
        statement = statement.where(col(AuditRow.sequence) < before)
    rows = list(session.exec(statement).all())
    more = len(rows) > limit
    rows = rows[:limit]
    return AuditPage(items=[audit_view(row) for row in rows], next_before=rows[-1].sequence if more else None)


def entries(database: Database, wanted: Wanted) -> Iterator[AuditRow]:
    """Acts, oldest first; the log may be longer than memory, and grow while it is read."""
    last = 0
    while True:
        statement = _chosen(wanted).where(col(AuditRow.sequence) > last).order_by(col(AuditRow.sequence)).limit(AT_ONCE)
        with database.reading() as session:
            rows = list(session.exec(statement).all())
        if not rows:
            return
        yield from rows
        last = rows[-1].sequence


def check(database: Database, known: Head | None = None) -> ChainView:
    """Whether the whole log is as it was written, and still holds a head that was noted before."""
    try:
        head = walk(entries(database, Wanted(clinic_id=None)), known)
    except BrokenChainError as error:
        return ChainView(intact=False, sequence=error.sequence, why=str(error))
    return ChainView(intact=True, sequence=head.sequence, hash=head.hash)


def _chosen(wanted: Wanted) -> SelectOfScalar[AuditRow]:
    statement = select(AuditRow)
    for column, value in (
        (AuditRow.clinic_id, wanted.clinic_id),
        (AuditRow.actor, wanted.actor),
        (AuditRow.action, wanted.action),
        (AuditRow.study, wanted.study),
    ):
        if value is not None:
            statement = statement.where(col(column) == value)
    if wanted.since is not None:
        statement = statement.where(col(AuditRow.at) >= wanted.since)
    if wanted.until is not None:
        statement = statement.where(col(AuditRow.at) < wanted.until)
    return statement
