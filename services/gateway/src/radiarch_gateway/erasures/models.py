"""The erasures table, what is asked, and what is answered."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, StringConstraints, model_validator
from radiarch_common.plans import Uid
from sqlalchemy import JSON, Column
from sqlmodel import Field as SqlField
from sqlmodel import SQLModel

from radiarch_gateway.db import UtcDateTime
from radiarch_gateway.ids import ID_PATTERN, NO_NUL

PatientId = Annotated[str, StringConstraints(min_length=1, max_length=64, strip_whitespace=True, pattern=NO_NUL)]


class ErasureState(StrEnum):
    """Where an erasure is."""

    REQUESTED = "requested"
    DONE = "done"


class Kind(StrEnum):
    """What an erasure is by."""

    PLAN = "plan"
    STUDY = "study"
    PATIENT = "patient"


class ErasureRow(SQLModel, table=True):
    """An erasure, from its being asked for to its end; survives both.

    Attributes
    ----------
    subject
        Plan id, Study Instance UID or Patient ID; taken away before the erasure is done.
    plan_ids
        What was found; ``None`` before anybody has looked. Ids of plans tell nothing of a patient.
    case_keys
        Cases to be erased unless another plan refers to them; taken away before the erasure is done.
    cases_kept
        Cases that plans outside of this erasure refer to.
    waiting_for
        Why it is not done yet.
    """

    __tablename__ = "erasures"  # pyright: ignore[reportAssignmentType] - SQLModel declares it as a property

    id: str = SqlField(primary_key=True, max_length=40)
    clinic_id: str = SqlField(foreign_key="clinics.id", index=True, max_length=64)
    asked_by: str = SqlField(max_length=200)
    created_at: datetime = SqlField(sa_type=UtcDateTime)
    finished_at: datetime | None = SqlField(default=None, sa_type=UtcDateTime)
    state: str = SqlField(default=ErasureState.REQUESTED.value, max_length=16, index=True)
    what: str = SqlField(max_length=16)
    subject: str | None = SqlField(default=None, max_length=128)
    pacs: bool = False
    plan_ids: list[str] | None = SqlField(default=None, sa_column=Column(JSON, nullable=True))
    case_keys: list[str] = SqlField(default_factory=list, sa_column=Column(JSON, nullable=False))
    cases_kept: int = 0
    waiting_for: str | None = SqlField(default=None, max_length=200)


class ErasureRequest(BaseModel):
    """What shall be erased: exactly one of a plan, a study, a patient."""

    model_config = {"extra": "forbid"}

    plan_id: Annotated[str, StringConstraints(pattern=ID_PATTERN)] | None = None
    study_instance_uid: Uid | None = None
    patient_id: PatientId | None = Field(
        default=None, description="As in the DICOM files. Never part of a URL, and not kept."
    )
    pacs: bool = Field(
        default=False,
        description="Also remove from the PACS what was exported for these plans; never the study itself.",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.plan_id, self.study_instance_uid, self.patient_id)) != 1:
            raise ValueError("exactly one of plan_id, study_instance_uid and patient_id is needed")
        return self

    @property
    def subject(self) -> tuple[Kind, str]:
        """What it is by, and its name."""
        if self.plan_id is not None:
            return Kind.PLAN, self.plan_id
        if self.study_instance_uid is not None:
            return Kind.STUDY, self.study_instance_uid
        return Kind.PATIENT, self.patient_id or ""


class ErasureView(BaseModel):
    """An erasure as users see it; whose data it was is not told."""

    id: str
    state: ErasureState
    what: Kind
    asked_by: str
    created_at: datetime
    finished_at: datetime | None = None
    pacs: bool
    plan_ids: list[str] | None = Field(description="`null`: not looked for yet.")
    cases_kept: int = Field(description="Cases that other plans refer to: they go with the last of these.")
    waiting_for: str | None = Field(default=None, description="Why it is not done yet.")


def erasure_view(row: ErasureRow) -> ErasureView:
    """An erasure as users see it."""
    known: dict[str, Any] = row.model_dump(include=set(ErasureView.model_fields))
    return ErasureView.model_validate(known)
