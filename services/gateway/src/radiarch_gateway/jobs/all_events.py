"""``/events``: what happens to every job that a caller may see."""

from collections.abc import AsyncIterable
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from radiarch_gateway.auth.guard import JobsReader
from radiarch_gateway.bootstrap import GatewayDep
from radiarch_gateway.problems import problems
from radiarch_gateway.stream import follow_all

router = APIRouter(prefix="/events", tags=["jobs"])


@router.get(
    "",
    summary="Follow all jobs",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": (
                "Server-sent events of the jobs of the caller's clinic, as `/jobs/{id}/events` sends them, from now. "
                "The first `id` comes at once and without an event; `Last-Event-ID` goes on after a break without a "
                "gap or a repeat. The stream ends with the login, and after the life of an access token at the latest."
            )
        },
        **problems(422),
    },
)
async def follow_jobs(
    gateway: GatewayDep,
    caller: JobsReader,
    last_event_id: Annotated[
        str | None, Header(pattern=r"^[0-9]{1,18}$", description="`id` of the last event received.")
    ] = None,
) -> AsyncIterable[ServerSentEvent]:
    """Everything that happens to the jobs of a clinic, as it happens."""
    after = int(last_event_id) if last_event_id is not None else None
    async for event in follow_all(gateway.hub, gateway.database, caller.clinic_id, after, gateway.standing(caller)):
        yield event
