"""Tables of rules, what they decided, and what they have planned."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Column
from sqlmodel import Field, SQLModel

from radiarch_gateway.db import UtcDateTime


class RuleRow(SQLModel, table=True):
    """A rule by name; what it says is in its versions.

    Attributes
    ----------
    active_version
        The one that plans, signed; none: the rule rests.
    """

    __tablename__ = "rules"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    id: str = Field(primary_key=True, max_length=40)
    clinic_id: str = Field(foreign_key="clinics.id", index=True, max_length=64)
    created_at: datetime = Field(sa_type=UtcDateTime)
    created_by: str = Field(max_length=200)
    active_version: int | None = None
    deactivated_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    deactivated_by: str | None = Field(default=None, max_length=200)


class RuleVersionRow(SQLModel, table=True):
    """What a rule says; never changed. ``sha256`` is of the body."""

    __tablename__ = "rule_versions"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    rule_id: str = Field(primary_key=True, foreign_key="rules.id", max_length=40)
    version: int = Field(primary_key=True)
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    sha256: str = Field(max_length=64)
    created_at: datetime = Field(sa_type=UtcDateTime)
    created_by: str = Field(max_length=200)


class RuleSignatureRow(SQLModel, table=True):
    """Who signed a version, when, and for which workflow, machine and calibration; never changed.

    Attributes
    ----------
    sha256
        Of the body that was signed.
    pinned
        ``workflow``, ``machine`` and ``ct_calibration`` with version and hash, as they were offered then.
    """

    __tablename__ = "rule_signatures"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    id: str = Field(primary_key=True, max_length=40)
    rule_id: str = Field(foreign_key="rules.id", index=True, max_length=40)
    version: int
    sha256: str = Field(max_length=64)
    pinned: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    signed_at: datetime = Field(sa_type=UtcDateTime)
    signed_by: str = Field(max_length=200)


class DecisionRow(SQLModel, table=True):
    """Why a rule planned a study, or did not. Nothing of it is a patient's name."""

    __tablename__ = "rule_decisions"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    id: str = Field(primary_key=True, max_length=40)
    clinic_id: str = Field(foreign_key="clinics.id", index=True, max_length=64)
    rule_id: str = Field(foreign_key="rules.id", index=True, max_length=40)
    rule_version: int
    pacs: str = Field(max_length=64)
    study_instance_uid: str = Field(index=True, max_length=64)
    outcome: str = Field(max_length=16)
    why: list[str] = Field(sa_column=Column(JSON, nullable=False))
    plan_id: str | None = Field(default=None, max_length=40)
    decided_at: datetime = Field(sa_type=UtcDateTime)


class AutoPlanRow(SQLModel, table=True):
    """What a rule has planned, by the digest of its content; kept when the plan is erased, lest it be made again.

    Attributes
    ----------
    plan_id
        None while the plan is being taken: a gateway that died in between takes it again, under the same key.
    """

    __tablename__ = "auto_plans"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    content: str = Field(primary_key=True, max_length=64)
    rule_id: str = Field(foreign_key="rules.id", max_length=40)
    plan_id: str | None = Field(default=None, max_length=40)
    created_at: datetime = Field(sa_type=UtcDateTime)
