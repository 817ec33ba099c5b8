"""How far the database has counted the event stream; one transaction at a time moves it."""

from dataclasses import dataclass
from datetime import datetime

from radiarch_common.topology import EVENTS
from sqlalchemy import BigInteger
from sqlmodel import Field, Session, SQLModel

from radiarch_gateway.db import UtcDateTime


class PlaceRow(SQLModel, table=True):
    """One row: the place of the last event that was counted, in the stream that was made at a time."""

    __tablename__ = "stream_places"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    stream: str = Field(primary_key=True, max_length=32)
    made_at: datetime = Field(sa_type=UtcDateTime)
    sequence: int = Field(sa_type=BigInteger)


@dataclass(frozen=True)
class Place:
    """Everything up to here is counted, of the stream that was made at a time: made anew, it counts from 1 again."""

    made_at: datetime
    sequence: int


def place_of(session: Session, *, to_change: bool = False) -> Place | None:
    """Where the database is; ``None``: it has counted nothing."""
    row = session.get(PlaceRow, EVENTS, with_for_update=True if to_change else None)
    return Place(row.made_at, row.sequence) if row is not None else None


def move_on(session: Session, to: Place) -> None:
    """Have everything up to a place counted. The place before it must have been read to be changed."""
    row = session.get(PlaceRow, EVENTS) or PlaceRow(stream=EVENTS, made_at=to.made_at, sequence=to.sequence)
    row.made_at, row.sequence = to.made_at, to.sequence
    session.add(row)
