"""The outbox and inbox tables: what is still to be said on the bus, and what was heard there."""

from datetime import datetime
from typing import Literal

from radiarch_common.messages import EventMessage
from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from radiarch_gateway.db import UtcDateTime

Errand = Literal["job", "plan", "export", "cancel", "event"]
"""The jobs of the three stages, a word to all of them, and what those who follow a job are told."""


def decision_id(event: EventMessage) -> str:
    """``Nats-Msg-Id`` of what a gateway decided about a job; no stage uses this form."""
    return f"{event.job_id}:{event.run}:{event.stage}:{event.attempt}:gateway-{event.what}"


class OutboxRow(SQLModel, table=True):
    """Written in the transaction of what it tells; removed once the bus has stored it.

    Attributes
    ----------
    subject, message_id, payload
        What is published, where and under which ``Nats-Msg-Id``. A cancel has no address: it is said in several places.
        A row of a gateway of a version before has none either: the relay finds it in the payload.
    """

    __tablename__ = "outbox"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    __table_args__ = {"sqlite_autoincrement": True}

    id: int | None = Field(default=None, primary_key=True)
    errand: str = Field(max_length=16)
    job_id: str = Field(index=True, max_length=40)
    subject: str | None = Field(default=None, max_length=200)
    message_id: str | None = Field(default=None, max_length=200)
    payload: str
    created_at: datetime = Field(sa_type=UtcDateTime)


class InboxRow(SQLModel, table=True):
    """An event that has been counted: heard again, it changes nothing."""

    __tablename__ = "inbox"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    event_id: str = Field(primary_key=True, max_length=255)
    sequence: int = Field(sa_type=BigInteger)
    received_at: datetime = Field(sa_type=UtcDateTime, index=True)
