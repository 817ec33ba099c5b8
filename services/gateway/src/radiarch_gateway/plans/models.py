"""The plans table."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column, UniqueConstraint
from sqlmodel import Field, SQLModel

from radiarch_gateway.db import UtcDateTime


class PlanRow(SQLModel, table=True):
    """A plan request, as asked and as resolved. Its one job bears the same id.

    Attributes
    ----------
    id
        Rises with time, so that newest first is by id.
    clinic_id, asked_by
        Whose work it is, and who asked, as ``Caller.id``.
    idempotency_key, body_sha256
        The client's key, and the digest of the body it came with.
    """

    __tablename__ = "plans"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    __table_args__ = (UniqueConstraint("clinic_id", "idempotency_key"),)

    id: str = Field(primary_key=True, max_length=40)
    created_at: datetime = Field(sa_type=UtcDateTime)
    clinic_id: str = Field(foreign_key="clinics.id", index=True, max_length=64)
    asked_by: str = Field(max_length=200)
    study_instance_uid: str = Field(max_length=64, index=True)
    segmentation_uid: str | None = Field(default=None, max_length=64)
    pacs: str = Field(max_length=64)
    workflow: str = Field(max_length=64, index=True)
    requested: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    resolved: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    idempotency_key: str | None = Field(default=None, max_length=255)
    body_sha256: str = Field(max_length=64)
