"""Tables of the watch over a PACS."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from radiarch_gateway.db import UtcDateTime


class WatchRow(SQLModel, table=True):
    """How far one PACS was read.

    Attributes
    ----------
    cursor, mark
        Number of the last change that was read, and what it was: the archive with another change under this number
        is another archive. No cursor: never read.
    holder, held_until
        Whoever is looking now; every gateway may, one at a time.
    woken
        A hint came since the last look began.
    next_look_at, looked_at
        When it is looked at without a hint; when it last was, to the end.
    failures, last_error, last_error_at
        Looks that failed since the last good one.
    """

    __tablename__ = "watches"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    pacs: str = Field(primary_key=True, max_length=64)
    cursor: int | None = Field(default=None, sa_type=BigInteger)
    mark: str | None = Field(default=None, max_length=200)
    holder: str | None = Field(default=None, max_length=40)
    held_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    woken: bool = False
    next_look_at: datetime = Field(sa_type=UtcDateTime)
    looked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    hinted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    failures: int = 0
    last_error: str | None = Field(default=None, max_length=500)
    last_error_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ChangedStudyRow(SQLModel, table=True):
    """A study that has changed and was not judged since.

    Attributes
    ----------
    orthanc_id
        Orthanc's own name of the study.
    change
        Number of its latest change: a study that changes while it is judged is judged again.
    look_at, tries, why
        When it is looked at next, how often it could not be read, and what it waits for.
    """

    __tablename__ = "changed_studies"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    pacs: str = Field(primary_key=True, max_length=64)
    orthanc_id: str = Field(primary_key=True, max_length=64)
    change: int = Field(sa_type=BigInteger)
    look_at: datetime = Field(sa_type=UtcDateTime, index=True)
    tries: int = 0
    why: str | None = Field(default=None, max_length=500)


class HeardHookRow(SQLModel, table=True):
    """A signed hint that was heard, for as long as its time is good: heard again, it wakes nobody."""

    __tablename__ = "heard_hooks"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    pacs: str = Field(primary_key=True, max_length=64)
    signature: str = Field(primary_key=True, max_length=64)
    heard_at: datetime = Field(sa_type=UtcDateTime, index=True)
