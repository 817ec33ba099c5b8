"""Which of several gateways does what only one needs to do."""

from datetime import datetime, timedelta

from sqlmodel import Field, Session, SQLModel

from radiarch_gateway.db import UtcDateTime


class LeaseRow(SQLModel, table=True):
    """A duty, who has it, and until when."""

    __tablename__ = "leases"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    duty: str = Field(primary_key=True, max_length=40)
    holder: str = Field(max_length=40)
    until: datetime = Field(sa_type=UtcDateTime)


def hold(session: Session, duty: str, holder: str, now: datetime, lasts: timedelta) -> bool:
    """Take or keep a duty, in a transaction that writes; whether it is the holder's now.

    Two that take a duty for the first time at once meet at its key: the later one's transaction fails.
    """
    row = session.get(LeaseRow, duty, with_for_update=True)
    if row is None:
        session.add(LeaseRow(duty=duty, holder=holder, until=now + lasts))
        return True
    if row.holder != holder and row.until > now:
        return False
    row.holder = holder
    row.until = now + lasts
    return True
