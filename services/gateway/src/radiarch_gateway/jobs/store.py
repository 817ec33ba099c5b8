"""Jobs in the database: found, listed, cancelled."""

from radiarch_common.messages import Cancelled, utc_now
from sqlmodel import Session, col, select

from radiarch_gateway.errors import ConflictError, MissingError
from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.jobs.state import advance
from radiarch_gateway.jobs.views import JobPage, job_summary
from radiarch_gateway.outbox import put_cancel, put_cancelled, take_back_job
from radiarch_gateway.plans.models import PlanRow


def job(session: Session, job_id: str, clinic_id: str, *, to_change: bool = False) -> JobRow:
    """One job of a clinic; another's is as good as missing. Raises MissingError."""
    plan = session.get(PlanRow, job_id)
    row = session.get(JobRow, job_id, with_for_update=True if to_change else None)
    if row is None or plan is None or plan.clinic_id != clinic_id:
        raise MissingError("job", job_id)
    return row


def jobs_page(session: Session, clinic_id: str, limit: int, cursor: str | None, state: JobState | None) -> JobPage:
    """Some jobs of a clinic, newest first, those before ``cursor``."""
    statement = (
        select(JobRow)
        .join(PlanRow)
        .where(PlanRow.clinic_id == clinic_id)
        .order_by(col(JobRow.id).desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        statement = statement.where(col(JobRow.id) < cursor)
    if state is not None:
        statement = statement.where(JobRow.state == state.value)
    rows = list(session.exec(statement).all())
    more = len(rows) > limit
    rows = rows[:limit]
    return JobPage(items=[job_summary(row) for row in rows], next_cursor=rows[-1].id if more else None)


def cancel(session: Session, job_id: str, clinic_id: str) -> JobRow:
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
    row.cancel_requested = True
    row.updated_at = utc_now()
    if take_back_job(session, job_id):
        event = Cancelled(job_id=job_id, run=row.run, stage="gateway", attempt=0, at=row.updated_at)
        advance(row, event)
        put_cancelled(session, event)
    else:
        row.message = "Cancel requested; the job stops as soon as its stage hears of it."
    put_cancel(session, job_id)
    session.add(row)
    return row
