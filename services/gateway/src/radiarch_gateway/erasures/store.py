"""Erasures in the database: asked for, found, and what they take away."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from radiarch_common.messages import utc_now
from sqlalchemy import ColumnElement
from sqlmodel import Session, col, delete, or_, select

from radiarch_gateway.erasures.models import ErasureRequest, ErasureRow, ErasureState, Kind
from radiarch_gateway.errors import FieldError, InvalidRequestError, MissingError
from radiarch_gateway.jobs.books import forget
from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.mailbox import InboxRow
from radiarch_gateway.plans.models import PlanRow
from radiarch_gateway.plans.store import new_id, plan
from radiarch_gateway.rules.models import DecisionRow

TABLES = ("plans", "jobs", "artifacts", "outbox", "inbox", "rule_decisions", "erasures")
"""Those that held something of what is erased."""
BY_RETENTION = "retention"
"""Who asks for the erasure of plans that are too old."""
AT_ONCE = 200
NOT_FINAL = [state.value for state in JobState if not state.final]


@dataclass(frozen=True)
class KnownCase:
    """A case in the object store, and whose it is."""

    key: str
    study_instance_uid: str
    patient_id: str


def ask(session: Session, clinic_id: str, asked_by: str, request: ErasureRequest) -> ErasureRow:
    """Note an erasure; it is begun soon. Raises MissingError for a plan that the clinic does not have."""
    what, subject = request.subject
    if what is Kind.PLAN:
        plan(session, subject, clinic_id)
    now = utc_now()
    row = ErasureRow(
        id=new_id(now),
        clinic_id=clinic_id,
        asked_by=asked_by,
        created_at=now,
        what=what.value,
        subject=subject,
        pacs=request.pacs,
    )
    session.add(row)
    return row


def ask_to_expire(session: Session, before: datetime) -> int:
    """Note the erasure of plans that ended before a time; how many. What is in the PACS stays."""
    asked = select(ErasureRow.subject).where(ErasureRow.state == ErasureState.REQUESTED.value)
    statement = (
        select(PlanRow)
        .join(JobRow)
        .where(col(JobRow.finished_at) < before, col(PlanRow.id).not_in([name for name in session.exec(asked) if name]))
        .order_by(col(PlanRow.id))
        .limit(AT_ONCE)
    )
    plans = session.exec(statement).all()
    for row in plans:
        ask(session, row.clinic_id, BY_RETENTION, ErasureRequest(plan_id=row.id))
    return len(plans)


def refuse_what_cannot_be_removed(removable: dict[str, bool]) -> None:
    """Raise InvalidRequestError when an archive among these cannot remove anything."""
    unable = sorted(name for name, able in removable.items() if not able)
    if unable:
        message = f"PACS {', '.join(unable)} cannot remove anything: DICOMweb has no way to."
        raise InvalidRequestError(
            [FieldError(field="pacs", message=message, allowed="false, or an orthanc_url for that PACS")]
        )


def erasure(session: Session, erasure_id: str, clinic_id: str) -> ErasureRow:
    """One erasure of a clinic; another's is as good as missing. Raises MissingError."""
    row = session.get(ErasureRow, erasure_id)
    if row is None or row.clinic_id != clinic_id:
        raise MissingError("erasure", erasure_id)
    return row


def next_erasures(session: Session) -> list[ErasureRow]:
    """What is to be done, oldest first."""
    statement = select(ErasureRow).where(ErasureRow.state == ErasureState.REQUESTED.value).order_by(col(ErasureRow.id))
    return list(session.exec(statement).all())


def plans_by(session: Session, row: ErasureRow, studies: Sequence[str]) -> list[str]:
    """Ids of the clinic's plans that an erasure takes; of a patient, those on ``studies``."""
    wanted: ColumnElement[bool] = (
        col(PlanRow.id) == row.subject if row.what == Kind.PLAN else col(PlanRow.study_instance_uid).in_(studies)
    )
    return list(session.exec(select(PlanRow.id).where(PlanRow.clinic_id == row.clinic_id, wanted)).all())


def studies_of(session: Session, plan_ids: Sequence[str]) -> list[str]:
    """Studies of plans."""
    statement = select(PlanRow.study_instance_uid).where(col(PlanRow.id).in_(plan_ids)).distinct()
    return list(session.exec(statement).all())


def erase_decisions(session: Session, clinic_id: str, plan_ids: Sequence[str], studies: Sequence[str]) -> None:
    """What rules decided about these plans and studies. The content they planned stays noted, lest it come again."""
    about = or_(col(DecisionRow.plan_id).in_(plan_ids), col(DecisionRow.study_instance_uid).in_(studies))
    session.exec(delete(DecisionRow).where(col(DecisionRow.clinic_id) == clinic_id, about))


def is_referred_to(session: Session, case: KnownCase, besides: Sequence[str]) -> bool:
    """Whether a plan other than these refers to a case, or may.

    A job that has not named its case yet, or is not over, may come to any case of its study.
    """
    may_come_to = (col(PlanRow.study_instance_uid) == case.study_instance_uid) & or_(
        col(JobRow.case_key).is_(None), col(JobRow.state).in_(NOT_FINAL)
    )
    statement = (
        select(JobRow.id)
        .join(PlanRow)
        .where(or_(col(JobRow.case_key) == case.key, may_come_to), col(JobRow.id).not_in(besides))
    )
    return session.exec(statement.limit(1)).first() is not None


def erase_rows(session: Session, job_id: str) -> None:
    """Everything that the database knows of one plan, but that it was erased."""
    forget(session, job_id, utc_now())
    session.exec(delete(InboxRow).where(col(InboxRow.event_id).startswith(job_id, autoescape=True)))
