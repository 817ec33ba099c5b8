"""What rules decided and planned, in the database. Blocking."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from radiarch_common.messages import utc_now
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, delete, select

from radiarch_gateway.db import Database
from radiarch_gateway.plans.models import PlanRow
from radiarch_gateway.plans.store import new_id
from radiarch_gateway.rules.matching import Outcome
from radiarch_gateway.rules.models import AutoPlanRow, DecisionRow
from radiarch_gateway.rules.store import ActiveRule
from radiarch_gateway.rules.views import DecisionPage, DecisionView


@dataclass(frozen=True)
class Decision:
    """What became of a study under a rule."""

    pacs: str
    study_instance_uid: str
    outcome: Outcome
    why: Sequence[str] = ()
    plan_id: str | None = None


def idempotency_key(rule_id: str, content: str) -> str:
    """Under which a rule's plan is taken. It holds a space: no client's key can be the same."""
    return f"rule {rule_id} {content}"


def planned(database: Database, contents: Collection[str]) -> set[str]:
    """Which of these contents have a plan."""
    with database.reading() as session:
        statement = select(AutoPlanRow.content).where(
            col(AutoPlanRow.content).in_(contents), col(AutoPlanRow.plan_id).is_not(None)
        )
        return set(session.exec(statement).all())


def begin_plan(database: Database, rule: ActiveRule, content: str) -> None:
    """Say that a content is about to be planned; said again, nothing changes."""
    with suppress(IntegrityError), database.writing() as session:  # another gateway may be saying it
        if session.get(AutoPlanRow, content) is None:
            session.add(AutoPlanRow(content=content, rule_id=rule.id, created_at=utc_now()))


def plan_of(database: Database, rule: ActiveRule, content: str) -> str | None:
    """The plan that was taken for a content."""
    with database.reading() as session:
        statement = select(PlanRow.id).where(
            PlanRow.clinic_id == rule.clinic_id, PlanRow.idempotency_key == idempotency_key(rule.id, content)
        )
        return session.exec(statement).one_or_none()


def end_plan(database: Database, rule: ActiveRule, content: str, decision: Decision) -> None:
    """The plan is taken, and the decision written down."""
    with database.writing() as session:
        row = session.get_one(AutoPlanRow, content, with_for_update=True)
        if row.plan_id is None:
            row.plan_id = decision.plan_id
            _write(session, rule, decision)


def write(database: Database, rule: ActiveRule, decision: Decision) -> None:
    """Write a decision down, unless the rule has said the same of this study last."""
    with database.writing() as session:
        statement = (
            select(DecisionRow)
            .where(
                DecisionRow.rule_id == rule.id,
                DecisionRow.study_instance_uid == decision.study_instance_uid,
                DecisionRow.pacs == decision.pacs,
            )
            .order_by(col(DecisionRow.id).desc())
            .limit(1)
        )
        last = session.exec(statement).first()
        said = (rule.version, str(decision.outcome), list(decision.why))
        if last is None or (last.rule_version, last.outcome, last.why) != said:
            _write(session, rule, decision)


def _write(session: Session, rule: ActiveRule, decision: Decision) -> None:
    now = utc_now()
    session.add(
        DecisionRow(
            id=new_id(now),
            clinic_id=rule.clinic_id,
            rule_id=rule.id,
            rule_version=rule.version,
            pacs=decision.pacs,
            study_instance_uid=decision.study_instance_uid,
            outcome=str(decision.outcome),
            why=list(decision.why),
            plan_id=decision.plan_id,
            decided_at=now,
        )
    )


def page(
    session: Session,
    clinic_id: str,
    limit: int,
    *,
    cursor: str | None = None,
    study_instance_uid: str | None = None,
    rule_id: str | None = None,
    outcome: Outcome | None = None,
) -> DecisionPage:
    """Some decisions of a clinic's rules, newest first, those before ``cursor``."""
    statement = (
        select(DecisionRow)
        .where(DecisionRow.clinic_id == clinic_id)
        .order_by(col(DecisionRow.id).desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        statement = statement.where(col(DecisionRow.id) < cursor)
    if study_instance_uid is not None:
        statement = statement.where(DecisionRow.study_instance_uid == study_instance_uid)
    if rule_id is not None:
        statement = statement.where(DecisionRow.rule_id == rule_id)
    if outcome is not None:
        statement = statement.where(DecisionRow.outcome == str(outcome))
    rows = list(session.exec(statement).all())
    more = len(rows) > limit
    rows = rows[:limit]
    items = [DecisionView.model_validate(row.model_dump()) for row in rows]
    return DecisionPage(items=items, next_cursor=rows[-1].id if more else None)


def last_decided_at(session: Session, clinic_id: str) -> datetime | None:
    """When a rule of a clinic last looked at a study."""
    statement = select(DecisionRow.decided_at).where(DecisionRow.clinic_id == clinic_id)
    return session.exec(statement.order_by(col(DecisionRow.id).desc()).limit(1)).first()


def forget_study(session: Session, study_instance_uid: str) -> None:
    """Remove what was decided on a study; what was planned stays known by its digest, and is not planned again."""
    session.exec(delete(DecisionRow).where(col(DecisionRow.study_instance_uid) == study_instance_uid))
