"""``/jobs``: where the work is, and how to stop it."""

from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from radiarch_gateway.auth.caller import Caller
from radiarch_gateway.auth.guard import JobsCanceller, JobsReader, PlansWriter
from radiarch_gateway.bootstrap import Gateway, GatewayDep
from radiarch_gateway.ids import ID_PATTERN
from radiarch_gateway.jobs.filters import Filters, FiltersDep, Page, PageDep
from radiarch_gateway.jobs.models import JobRow, JobState
from radiarch_gateway.jobs.places import places_in
from radiarch_gateway.jobs.queue import NOWHERE
from radiarch_gateway.jobs.store import cancel, job, jobs_page, retry
from radiarch_gateway.jobs.views import JobPage, JobView, job_summary, job_view
from radiarch_gateway.problems import problems
from radiarch_gateway.stream import StreamOverError, follow

router = APIRouter(prefix="/jobs", tags=["jobs"])

JobId = Annotated[str, Path(description="The same as the plan's id.", pattern=ID_PATTERN)]


@router.get("", summary="List jobs", responses=problems(422))
async def list_jobs(gateway: GatewayDep, caller: JobsReader, page: PageDep, filters: FiltersDep) -> JobPage:
    """Jobs, newest first."""
    rows, further = await run_in_threadpool(_page_of, gateway, filters, page, caller)
    places = await places_in(gateway, (row.queued_for for row in rows))
    return JobPage(items=[job_summary(row, places.get(row.id, NOWHERE)) for row in rows], next_cursor=further)


@router.get("/{job_id}", summary="See a job", responses=problems(404, 422))
async def get_job(gateway: GatewayDep, caller: JobsReader, job_id: JobId) -> JobView:
    """State, stage, place in the queue, progress, message, timings and log."""
    row = await run_in_threadpool(_job_of, gateway, job_id, caller)
    places = await places_in(gateway, [row.queued_for])
    return job_view(row, places.get(row.id, NOWHERE))


def _page_of(gateway: Gateway, filters: Filters, page: Page, caller: Caller) -> tuple[list[JobRow], str | None]:
    with gateway.database.reading() as session:
        return jobs_page(session, filters, page, caller)


def _job_of(gateway: Gateway, job_id: str, caller: Caller) -> JobRow:
    with gateway.database.reading() as session:
        return job(session, job_id, caller.clinic_id)


@router.post("/{job_id}/cancel", summary="Cancel a job", status_code=202, responses=problems(404, 409, 422))
def cancel_job(gateway: GatewayDep, caller: JobsCanceller, job_id: JobId) -> JobView:
    """Ask a job to stop. Asked again, nothing changes; a job that ended otherwise answers 409."""
    with gateway.database.writing() as session:
        view = job_view(cancel(session, job_id, caller.clinic_id, caller.id))
    gateway.relay.wake()
    return view


@router.post("/{job_id}/retry", summary="Try a failed job again", status_code=202, responses=problems(404, 409, 422))
def retry_job(
    gateway: GatewayDep,
    caller: PlansWriter,
    job_id: JobId,
    refused: Annotated[
        bool, Query(description="Also a job that was refused; for when what it lacked is there.")
    ] = False,
) -> JobView:
    """Put a failed job back from its beginning, with a new deadline; what was computed before is used again."""
    lives_h = gateway.settings.job_deadline_h
    with gateway.database.writing() as session:
        row = retry(session, job_id, caller.clinic_id, caller.id, refused_too=refused, lives_h=lives_h)
        view = job_view(row)
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
                "Server-sent events: `event` is the kind (`requested`, `started`, `progress`, `waiting`, `retrying`, "
                "`finished`, `failed`, `cancelling`, `cancelled`, `requeued`), `data` the event as JSON, "
                "`id` its place. The stream ends with the job; "
                "`Last-Event-ID` goes on after a break without a gap or a repeat."
            )
        },
        204: {"description": "The job has ended and the client has its last event: do not reconnect."},
        **problems(404, 422),
    },
)
async def follow_job(
    gateway: GatewayDep, caller: JobsReader, job_id: JobId, after: Annotated[int, Depends(_resume_after)]
) -> AsyncIterable[ServerSentEvent]:
    """Everything that happened to a job and happens to it, as it happens."""
    async for event in follow(gateway.hub, gateway.database, job_id, after, gateway.standing(caller)):
        yield event
