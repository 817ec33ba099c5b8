"""The log as auditors see it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from radiarch_gateway.audit.models import AuditRow


class EntityView(BaseModel):
    """What an act named."""

    kind: str = Field(examples=["plan", "artifact", "user"])
    hash: str = Field(description="Keyed hash; the same for the same thing.")


class AuditView(BaseModel):
    """One act."""

    sequence: int
    at: datetime
    actor: str = Field(description="As `asked_by` elsewhere: `user:<id>`, `key:<id>`, `oidc:<subject>`, `local`.")
    action: Literal["C", "R", "U", "D", "E"] = Field(description="Create, read, update, delete, execute.")
    operation: str = Field(examples=["GET /plans/{plan_id}"])
    outcome: Literal["0", "4", "8"] = Field(description="Done, refused, failed.")
    status: int | None = Field(default=None, description="HTTP; `null`: committed together with what it changed.")
    study: str | None = Field(default=None, description="Keyed hash of the StudyInstanceUID.")
    entities: list[EntityView]
    hash: str


class AuditPage(BaseModel):
    """Some acts, newest first."""

    items: list[AuditView]
    next_before: int | None = Field(default=None, description="Ask with `before` for older ones; `null`: that was all.")


class ChainView(BaseModel):
    """Whether the log is as it was written."""

    intact: bool
    sequence: int = Field(description="The last entry; of a broken chain the first that is wrong or missing.")
    hash: str | None = Field(
        default=None, description="Of the last entry: note it elsewhere, and ask with it next time."
    )
    why: str | None = Field(default=None, description="What is wrong.")


def audit_view(row: AuditRow) -> AuditView:
    """One act as it is listed."""
    return AuditView.model_validate(row.model_dump(exclude={"clinic_id", "previous_hash"}))
