"""Jobs in the database: found, listed, cancelled."""

from datetime import datetime, timedelta
from typing import Any

from radiarch_common.messages import Cancelled, Cancelling, Requeued, StageName, utc_now
from sqlmodel import Session, col, select

from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.erasures.models import ErasureRow, ErasureState
from radiarch_gateway.errors import ConflictError, MissingError
from radiarch_gateway.jobs.ahead import decide
from radiarch_gateway.jobs.birth import message_for
from radiarch_gateway.jobs.filters import Filters, Page, conditions
from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.outbox import put, put_cancel, take_back_job
from radiarch_gateway.plans.models import PlanRow


def job(session: Session, job_id: str, clinic_id: str, *, to_change: bool = False) -> JobRow:
    """One job of a clinic; another's is as good as missing. Raises MissingError."""
    plan = session.get(PlanRow, job_id)
    row = session.get(JobRow, job_id, with_for_update=True if to_change else None)
    if row is None or plan is None or plan.clinic_id != clinic_id:
        raise MissingError("job", job_id)
    return row


def jobs_page(session: Session, filters: Filters, page: Page, caller: Caller) -> tuple[list[JobRow], str | None]:
    """Some jobs of the caller's clinic, newest first, and where the next page begins."""
    statement = select(JobRow).join(PlanRow).where(*conditions(filters, page, caller))
    rows = list(session.exec(statement.order_by(col(PlanRow.id).desc()).limit(page.limit + 1)).all())
    shown = rows[: page.limit]
    return shown, shown[-1].id if len(rows) > page.limit else None


def cancel(session: Session, job_id: str, clinic_id: str, asked_by: str) -> JobRow:
    """Ask a job to stop; asked again, it changes nothing.

    A job that is not known to have left is cancelled here and now. It may have left all the same (the relay
    sends before it removes the row), so the stages are told in every case.

    Raises
    ------
    MissingError
        If there is no such job.
    ConflictError
        If it has ended otherwise.
    """
    row = job(session, job_id, clinic_id, to_change=True)
    state = JobState(row.state)
    if state is JobState.CANCELLED or (row.cancel_requested and not state.final):
        return row
    if state.final:
        raise ConflictError(f"Job '{job_id}' has {state.value} already: there is nothing to cancel.")
    now = utc_now()
    decide(session, row, Cancelling(job_id=row.id, run=row.run, stage="gateway", attempt=0, at=now, asked_by=asked_by))
    if take_back_job(session, job_id):
        decide(session, row, Cancelled(at=now, **place(row)))
    put_cancel(session, job_id)
    return row


def retry(session: Session, job_id: str, clinic_id: str, asked_by: str, *, refused_too: bool, lives_h: float) -> JobRow:
    """Put a failed job back as a new run, from the import on.

    Raises
    ------
    MissingError
        If there is no such job.
    ConflictError
        If it has not failed, was refused and is not to be tried all the same, shall stop, or is being erased.
    """
    row = job(session, job_id, clinic_id, to_change=True)
    if row.state != JobState.FAILED.value:
        raise ConflictError(f"Job '{job_id}' has not failed: there is nothing to try again.")
    if row.cancel_requested:
        raise ConflictError(f"Job '{job_id}' was asked to stop: ask for a new plan.")
    if row.refused and not refused_too:
        raise ConflictError(
            f"Job '{job_id}' was refused, and trying again changes nothing unless what it needs has changed: "
            "then ask with `refused=true`."
        )
    if _is_being_erased(session, job_id):
        raise ConflictError(f"Job '{job_id}' is being erased.")
    deadline = utc_now() + timedelta(hours=lives_h)
    put_back(session, row, "importer", "A person asked for it.", deadline, asked_by=asked_by)
    return row


def _is_being_erased(session: Session, job_id: str) -> bool:
    """Whether an erasure has found a job, and will not stop it a second time."""
    statement = select(ErasureRow.plan_ids).where(ErasureRow.state == ErasureState.REQUESTED.value)
    return any(job_id in plan_ids for plan_ids in session.exec(statement).all() if plan_ids is not None)


def put_back(
    session: Session, row: JobRow, queue: StageName, reason: str, deadline: datetime, *, asked_by: str | None = None
) -> None:
    """Start a new run of a job at a stage whose job can be told from what is known. The row must be locked."""
    plan = session.get_one(PlanRow, row.id)
    event = Requeued(
        job_id=row.id,
        run=row.run + 1,
        stage="gateway",
        attempt=0,
        at=utc_now(),
        reason=reason,
        deadline=deadline,
        queue=queue,
        asked_by=asked_by,
    )
    decide(session, row, event)
    put(session, message_for(plan, row, queue))


def place(row: JobRow) -> dict[str, Any]:
    """Where a job is, as the last word about it names it: it counts unless something newer was said by then."""
    return {"job_id": row.id, "run": row.run, "stage": row.stage, "attempt": row.attempt}
