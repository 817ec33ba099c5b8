"""Rules and decisions as users see them."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from radiarch_common.plans import Pinned, ResolvedPlan, Uid

from radiarch_gateway.plans.request import Closed
from radiarch_gateway.rules.body import PacsName, RuleBody
from radiarch_gateway.rules.matching import Outcome


class Pins(BaseModel):
    """What a version was signed for: with another hash of any of them it plans nothing until it is signed again."""

    workflow: Pinned
    machine: Pinned
    ct_calibration: Pinned

    @classmethod
    def of(cls, resolved: ResolvedPlan) -> "Pins":
        """What a request was resolved to."""
        return cls(workflow=resolved.workflow, machine=resolved.machine, ct_calibration=resolved.ct_calibration)


class SignatureView(BaseModel):
    """A signature."""

    signed_by: str = Field(description="As `asked_by` of a plan.")
    signed_at: datetime
    sha256: str = Field(description="Of what was signed.")
    pinned: Pins


class VersionView(BaseModel):
    """A version of a rule."""

    version: int
    body: dict[str, Any] = Field(description="As `POST /rules` took it.")
    sha256: str
    created_at: datetime
    created_by: str
    signatures: list[SignatureView] = Field(description="Oldest first; the last one counts.")


class RuleSummary(BaseModel):
    """A rule in a list."""

    id: str
    title: str = Field(description="Of the latest version.")
    latest_version: int
    active_version: int | None = Field(description="The signed version that plans; `null`: the rule rests.")
    created_at: datetime
    created_by: str
    deactivated_at: datetime | None = None
    deactivated_by: str | None = None


class RuleView(RuleSummary):
    """A rule whole."""

    versions: list[VersionView] = Field(description="Oldest first.")


class RulePage(BaseModel):
    """The rules of a clinic."""

    items: list[RuleSummary]


class DecisionView(BaseModel):
    """What a rule did with a study."""

    id: str
    rule_id: str
    rule_version: int
    pacs: str
    study_instance_uid: str
    outcome: Outcome
    why: list[str]
    plan_id: str | None = None
    decided_at: datetime


class DecisionPage(BaseModel):
    """Some decisions, newest first."""

    items: list[DecisionView]
    next_cursor: str | None = Field(default=None, description="Ask with it for older ones; nothing: that was all.")


class RuleTest(Closed):
    """A rule to be tried on a study."""

    rule: RuleBody
    study_instance_uid: Uid
    pacs: PacsName | None = Field(default=None, description="A watched connector; left out: the deployment's default.")


class RuleTried(BaseModel):
    """What would happen to the study as it is now, were the rule active. Nothing was queued or written down."""

    outcome: Outcome = Field(description="`planned`: a plan would be made.")
    why: list[str] = Field(description="What stands against it; nothing when it would be planned.")
    settled: bool = Field(description="No images are coming any more: only then a rule looks at a study.")
    request: dict[str, Any] | None = Field(default=None, description="What would be asked for by `POST /plans`.")
    resolved: ResolvedPlan | None = Field(default=None, description="Every number that would be used.")
