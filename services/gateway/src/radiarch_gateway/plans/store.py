"""Plans in the database: taken once, found, listed."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from radiarch_common.messages import Requested, utc_now
from radiarch_common.objects import ObjectStore
from radiarch_common.plans import ResolvedPlan
from radiarch_common.settings import Settings
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from radiarch_gateway.artifacts.store import API, artifacts_of
from radiarch_gateway.artifacts.store import view as artifact_view
from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.db import Database
from radiarch_gateway.errors import ConflictError, MissingError
from radiarch_gateway.jobs.birth import first_message
from radiarch_gateway.jobs.books import begin
from radiarch_gateway.jobs.filters import Filters, Page, conditions
from radiarch_gateway.jobs.models import JobRow
from radiarch_gateway.jobs.views import job_summary, job_view
from radiarch_gateway.outbox import put
from radiarch_gateway.plans.models import PlanRow
from radiarch_gateway.plans.outcome import read_outcome
from radiarch_gateway.plans.request import PlanRequest
from radiarch_gateway.plans.views import JobLink, PlanAccepted, PlanPage, PlanSummary, PlanView


@dataclass(frozen=True)
class Order:
    """A plan request ready to be taken."""

    request: PlanRequest
    resolved: ResolvedPlan
    pacs: str
    clinic_id: str
    asked_by: str
    idempotency_key: str | None


def new_id(at: datetime) -> str:
    """A UUID of version 7 as 32 hexadecimal digits: sorts by time, to the millisecond."""
    milliseconds = int(at.timestamp() * 1000)
    random = secrets.randbits(74)
    number = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (2**62 - 1)
    return f"{number:032x}"


def body_sha256(request: PlanRequest) -> str:
    """Digest of a body: the same for the same fields in any order and spacing."""
    return hashlib.sha256(
        json.dumps(request.model_dump(mode="json", exclude_unset=True), sort_keys=True).encode()
    ).hexdigest()


def taken_before(session: Session, clinic_id: str, key: str, request: PlanRequest) -> PlanAccepted | None:
    """The answer given to this key before. Raises ConflictError when it came with another body."""
    row = session.exec(
        select(PlanRow).where(PlanRow.clinic_id == clinic_id, PlanRow.idempotency_key == key)
    ).one_or_none()
    if row is None:
        return None
    if row.body_sha256 != body_sha256(request):
        raise ConflictError("This Idempotency-Key was used before, with another body.")
    return _accepted(row.id, row.created_at, _job_of(session, row).deadline, ResolvedPlan.model_validate(row.resolved))


def take(database: Database, order: Order, settings: Settings) -> PlanAccepted:
    """Store plan, job and what the bus must hear in one transaction, or find what was stored under this key before.

    Raises
    ------
    ConflictError
        If the key came with another body.
    """
    try:
        with database.writing() as session:
            return stored(session, [order], settings)[0]
    except IntegrityError:
        if order.idempotency_key is None:
            raise
    return taken_meanwhile(database, order)


def taken_meanwhile(database: Database, order: Order) -> PlanAccepted:
    """What another request with the same key was answered, which was quicker. Raises ConflictError."""
    key = order.idempotency_key
    with database.reading() as session:
        found = taken_before(session, order.clinic_id, key, order.request) if key is not None else None
    if found is None:
        raise ConflictError("A request with this Idempotency-Key is being taken; ask again.")
    return found


def stored(session: Session, orders: Sequence[Order], settings: Settings) -> list[PlanAccepted]:
    """Plans, their jobs and what the bus must hear, to be committed together."""
    lives = timedelta(hours=settings.job_deadline_h)
    events = [_requested(order, utc_now(), lives) for order in orders]
    begin(session, events)
    put(session, *(said for event in events for said in (event, first_message(event))))
    return [_accepted(event.job_id, event.at, event.deadline, event.resolved) for event in events]


def _requested(order: Order, now: datetime, lives: timedelta) -> Requested:
    request = order.request
    return Requested(
        job_id=new_id(now),
        run=1,
        stage="gateway",
        attempt=0,
        at=now,
        clinic_id=order.clinic_id,
        asked_by=order.asked_by,
        deadline=now + lives,
        pacs=order.pacs,
        study_instance_uid=request.study_instance_uid,
        segmentation_uid=request.segmentation_uid,
        requested=request.model_dump(mode="json", exclude_unset=True),
        resolved=order.resolved,
        idempotency_key=order.idempotency_key,
        body_sha256=body_sha256(request),
    )


def _accepted(plan_id: str, created_at: datetime, deadline: datetime, resolved: ResolvedPlan) -> PlanAccepted:
    return PlanAccepted(
        id=plan_id,
        url=f"{API}/plans/{plan_id}",
        created_at=created_at,
        deadline=deadline,
        job=JobLink(id=plan_id, url=f"{API}/jobs/{plan_id}", events_url=f"{API}/jobs/{plan_id}/events"),
        resolved=resolved,
    )


def plan(session: Session, plan_id: str, clinic_id: str) -> PlanRow:
    """One plan of a clinic; another's is as good as missing. Raises MissingError."""
    row = session.get(PlanRow, plan_id)
    if row is None or row.clinic_id != clinic_id:
        raise MissingError("plan", plan_id)
    return row


def plan_view(database: Database, plan_id: str, clinic_id: str, objects: ObjectStore) -> PlanView:
    """A plan whole; no connection is held while the object store is read. Raises MissingError."""
    with database.reading() as session:
        row = plan(session, plan_id, clinic_id)
        job = _job_of(session, row)
        artifacts = artifacts_of(session, row.id)
    outcome = read_outcome(objects, artifacts)
    resolved = ResolvedPlan.model_validate(row.resolved)
    return PlanView(
        id=row.id,
        created_at=row.created_at,
        study_instance_uid=row.study_instance_uid,
        segmentation_uid=row.segmentation_uid,
        pacs=row.pacs,
        requested=row.requested,
        resolved=resolved,
        job=job_view(job),
        artifacts=[artifact_view(artifact) for artifact in artifacts],
        dvh=list(outcome.dvh),
        goals=list(outcome.goals),
        worst_goals=list(outcome.worst_goals),
        indices=outcome.indices,
        beams=list(outcome.beams),
        uncertainty=outcome.uncertainty,
        warnings=[*resolved.warnings, *outcome.warnings],
        outcome_missing=outcome.missing,
    )


def plans_page(session: Session, filters: Filters, page: Page, caller: Caller) -> PlanPage:
    """Some plans of the caller's clinic, newest first."""
    statement = select(PlanRow, JobRow).join(JobRow).where(*conditions(filters, page, caller))
    rows = list(session.exec(statement.order_by(col(PlanRow.id).desc()).limit(page.limit + 1)).all())
    shown = rows[: page.limit]
    return PlanPage(
        items=[_summary(plan, job) for plan, job in shown],
        next_cursor=shown[-1][0].id if len(rows) > page.limit else None,
    )


def _summary(plan: PlanRow, job: JobRow) -> PlanSummary:
    resolved = ResolvedPlan.model_validate(plan.resolved)
    prescription = resolved.spec.prescription
    return PlanSummary(
        id=plan.id,
        created_at=plan.created_at,
        study_instance_uid=plan.study_instance_uid,
        workflow=resolved.workflow.id,
        machine=resolved.machine.id,
        target=prescription.target,
        dose_gy_rbe=prescription.dose_gy_rbe,
        fractions=prescription.fractions,
        job=job_summary(job),
    )


def _job_of(session: Session, plan: PlanRow) -> JobRow:
    job = session.get(JobRow, plan.id)
    if job is None:
        raise MissingError("job", plan.id)
    return job
