"""Tables of housekeeping: who does it, and what lies in the object store."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from radiarch_gateway.db import UtcDateTime


class LeaseRow(SQLModel, table=True):
    """Which gateway does a thing that one shall do."""

    __tablename__ = "leases"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    name: str = Field(primary_key=True, max_length=64)
    holder: str = Field(max_length=64)
    until: datetime = Field(sa_type=UtcDateTime)


class ObjectUseRow(SQLModel, table=True):
    """How much of one kind lies in the object store, by the first part of its keys."""

    __tablename__ = "object_use"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    kind: str = Field(primary_key=True, max_length=64)
    objects: int
    size_bytes: int = Field(sa_type=BigInteger)
    counted_at: datetime = Field(sa_type=UtcDateTime)
