"""``/jobs``: where the work is, and how to stop it."""

from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from radiarch_gateway.auth.guard import JobsCanceller, JobsReader
from radiarch_gateway.bootstrap import GatewayDep
from radiarch_gateway.ids import ID_PATTERN
from radiarch_gateway.jobs.models import JobState
from radiarch_gateway.jobs.store import cancel, job, jobs_page
from radiarch_gateway.jobs.views import JobPage, JobView, job_view
from radiarch_gateway.problems import problems
from radiarch_gateway.stream import StreamOverError, follow

router = APIRouter(prefix="/jobs", tags=["jobs"])

JobId = Annotated[str, Path(description="The same as the plan's id.", pattern=ID_PATTERN)]


@router.get("", summary="List jobs", responses=problems(422))
def list_jobs(
    gateway: GatewayDep,
    caller: JobsReader,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, Query(pattern=ID_PATTERN, description="`next_cursor` of the page before.")] = None,
    state: Annotated[JobState | None, Query(description="Only jobs in this state.")] = None,
) -> JobPage:
    """Jobs, newest first."""
    with gateway.database.reading() as session:
        return jobs_page(session, caller.clinic_id, limit, cursor, state)


@router.get("/{job_id}", summary="See a job", responses=problems(404, 422))
def get_job(gateway: GatewayDep, caller: JobsReader, job_id: JobId) -> JobView:
    """State, stage, progress, message, timings and log."""
    with gateway.database.reading() as session:
        return job_view(job(session, job_id, caller.clinic_id))


@router.post("/{job_id}/cancel", summary="Cancel a job", status_code=202, responses=problems(404, 409, 422))
def cancel_job(gateway: GatewayDep, caller: JobsCanceller, job_id: JobId) -> JobView:
    """Ask a job to stop. Asked again, nothing changes; a job that ended otherwise answers 409."""
    with gateway.database.writing() as session:
        view = job_view(cancel(session, job_id, caller.clinic_id))
    gateway.relay.wake()
    return view


def _resume_after(
    gateway: GatewayDep,
    caller: JobsReader,
    job_id: JobId,
    last_event_id: Annotated[
        str | None, Header(pattern=r"^[0-9]{1,18}$", description="`id` of the last event received.")
    ] = None,
) -> int:
    """Place in the stream to go on after; a client that has everything is told to stay away."""
    with gateway.database.reading() as session:
        row = job(session, job_id, caller.clinic_id)
    after = int(last_event_id) if last_event_id is not None else 0
    if last_event_id is not None and JobState(row.state).final and row.last_sequence == after:
        raise StreamOverError
    return after


@router.get(
    "/{job_id}/events",
    summary="Follow a job",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": (
                "Server-sent events: `event` is the kind (`started`, `progress`, `waiting`, `retrying`, `finished`, "
                "`failed`, `cancelled`), `data` the event as JSON, `id` its place. The stream ends with the job; "
                "`Last-Event-ID` goes on after a break without a gap or a repeat."
            )
        },
        204: {"description": "The job has ended and the client has its last event: do not reconnect."},
        **problems(404, 422),
    },
)
async def follow_job(
    gateway: GatewayDep, job_id: JobId, after: Annotated[int, Depends(_resume_after)]
) -> AsyncIterable[ServerSentEvent]:
    """Everything that happened to a job and happens to it, as it happens."""
    async for event in follow(gateway.link, gateway.database, job_id, after):
        yield event
