"""Alembic's environment: on the connection it is handed, over every table of the gateway."""

from alembic import context

from radiarch_gateway.artifacts.models import ArtifactRow
from radiarch_gateway.audit.models import AuditRow
from radiarch_gateway.auth.models import ApiKeyRow, ClinicRow, RefreshTokenRow, SecretRow, SessionRow, UserRow
from radiarch_gateway.erasures.models import ErasureRow
from radiarch_gateway.hooks.models import ChangedStudyRow, HeardHookRow, WatchRow
from radiarch_gateway.housekeeping.models import LeaseRow, ObjectUseRow
from radiarch_gateway.jobs.models import JobRow, TombstoneRow
from radiarch_gateway.mailbox import InboxRow, OutboxRow
from radiarch_gateway.places import PlaceRow
from radiarch_gateway.plans.models import PlanRow
from radiarch_gateway.rules.models import AutoPlanRow, DecisionRow, RuleRow, RuleSignatureRow, RuleVersionRow

TABLES = (
    ClinicRow,
    UserRow,
    SessionRow,
    RefreshTokenRow,
    ApiKeyRow,
    SecretRow,
    PlanRow,
    JobRow,
    ArtifactRow,
    TombstoneRow,
    OutboxRow,
    InboxRow,
    PlaceRow,
    WatchRow,
    ChangedStudyRow,
    HeardHookRow,
    RuleRow,
    RuleVersionRow,
    RuleSignatureRow,
    DecisionRow,
    AutoPlanRow,
    AuditRow,
    ErasureRow,
    LeaseRow,
    ObjectUseRow,
)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=TABLES[0].metadata,
    render_as_batch=True,
    compare_type=True,
)
context.run_migrations()
