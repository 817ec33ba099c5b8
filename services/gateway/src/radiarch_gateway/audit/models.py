"""The audit table. The database itself refuses to change or remove a row (migration 0007)."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Column
from sqlmodel import Field, SQLModel

from radiarch_gateway.db import UtcDateTime


class AuditRow(SQLModel, table=True):
    """One act.

    Attributes
    ----------
    sequence
        Counts from 1 without a gap.
    actor, clinic_id
        ``Caller.id`` and the clinic of whoever acted; ``unknown`` and none when nobody known did.
    action
        Code of FHIR's ``AuditEvent.action``: C R U D E.
    operation
        Method and route, such as ``GET /plans/{plan_id}``, or ``login``.
    outcome, status
        Code of FHIR's ``AuditEvent.outcome``: 0 done, 4 refused, 8 failed; HTTP status of the answer, none in an
        entry that was written in the transaction of its act.
    study
        Keyed hash of the StudyInstanceUID.
    entities
        ``{"kind", "hash"}``, keyed hashes of whatever else the act names.
    previous_hash, hash
        SHA-256, see ``chain.py``.
    """

    __tablename__ = "audit"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    sequence: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    at: datetime = Field(sa_type=UtcDateTime)
    actor: str = Field(max_length=200)
    clinic_id: str | None = Field(default=None, max_length=64, index=True)
    action: str = Field(max_length=1)
    operation: str = Field(max_length=200)
    outcome: str = Field(max_length=2)
    status: int | None = None
    study: str | None = Field(default=None, max_length=64, index=True)
    entities: list[dict[str, str]] = Field(sa_column=Column(JSON, nullable=False))
    previous_hash: str = Field(max_length=64)
    hash: str = Field(default="", max_length=64)
