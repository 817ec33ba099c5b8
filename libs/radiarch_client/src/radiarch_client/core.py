"""Every call of the client as a flow."""

import uuid
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
from httpx_sse import ServerSentEvent
from pydantic import ValidationError

from radiarch_client.errors import PASSING, UnreadableError
from radiarch_client.events import JobEvent, has_ended
from radiarch_client.exchange import Ask, Exchange
from radiarch_client.flow import Close, Emit, Flow, Read, Sleep
from radiarch_client.models import (
    ArtifactView,
    Info,
    JobPage,
    JobSummary,
    JobView,
    PlanAccepted,
    PlanPage,
    PlanRequest,
    PlanSummary,
    PlanView,
    Workflows,
    WorkflowView,
)
from radiarch_client.patience import Waits
from radiarch_client.tokens import Tokens

PAGE: Final = 200
LOOK_EVERY_S: Final = 1.0
SILENCE_S: Final = 45.0
"""The server says something at least every 15 s; three times that, and the line is dead."""
STATE_FOLLOWS_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Looks at the state of a job whose last event came; then its events are asked for again."""
BEING_TAKEN: Final = PASSING | {HTTPStatus.CONFLICT}
"""A key that nobody else knows conflicts only with itself: the same request is still being taken."""

PlanRef = str | PlanAccepted | PlanView | PlanSummary | JobView | JobSummary
"""A plan or its job: they have one id."""
P = TypeVar("P", JobPage, PlanPage)


class Core:
    """The calls, without input and output."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def login(self, username: str, password: str, totp_code: str | None) -> Flow[Tokens]:
        """Log in."""
        body = {"username": username, "password": password}
        return (yield from self.exchange.login(body if totp_code is None else body | {"totp_code": totp_code}))

    def change_password(self, current: str, new: str) -> Flow[None]:
        """Set another password."""
        body = {"current_password": current, "new_password": new}
        yield from self.exchange.answer(Ask("POST", "/auth/password", body=body, repeatable=False))

    def logout(self) -> Flow[None]:
        """Log out."""
        yield from self.exchange.answer(Ask("POST", "/auth/logout", body={}))
        self.exchange.forget()

    def info(self) -> Flow[Info]:
        """What this server is."""
        return (yield from self.exchange.model(Ask("GET", "/info"), Info))

    def workflows(self) -> Flow[list[WorkflowView]]:
        """What can be asked for."""
        return list((yield from self.exchange.model(Ask("GET", "/workflows"), Workflows)).workflows)

    def plan(self, request: PlanRequest | Mapping[str, Any], key: str | None) -> Flow[PlanAccepted]:
        """Ask for a plan, once however often the request is sent."""
        body = request.model_dump(mode="json", exclude_unset=True) if isinstance(request, PlanRequest) else request
        ask = Ask(
            "POST",
            "/plans",
            body=body,
            headers={"Idempotency-Key": uuid.uuid4().hex if key is None else key},
            passing=BEING_TAKEN if key is None else PASSING,
        )
        return (yield from self.exchange.model(ask, PlanAccepted))

    def get_plan(self, plan: PlanRef) -> Flow[PlanView]:
        """A plan whole."""
        return (yield from self.exchange.model(Ask("GET", f"/plans/{id_of(plan)}"), PlanView))

    def artifacts(self, plan: PlanRef) -> Flow[list[ArtifactView]]:
        """The files of a plan."""
        return list((yield from self.get_plan(plan)).artifacts)

    def plans(self, limit: int | None, filters: Mapping[str, str | int]) -> Flow[None]:
        """Plans, newest first."""
        yield from self._pages("/plans", PlanPage, limit, filters)

    def job(self, job: PlanRef) -> Flow[JobView]:
        """Where a job is."""
        return (yield from self.exchange.model(Ask("GET", f"/jobs/{id_of(job)}"), JobView))

    def jobs(self, limit: int | None, filters: Mapping[str, str | int]) -> Flow[None]:
        """Jobs, newest first."""
        yield from self._pages("/jobs", JobPage, limit, filters)

    def cancel(self, job: PlanRef) -> Flow[JobView]:
        """Have a job stop."""
        return (yield from self.exchange.model(Ask("POST", f"/jobs/{id_of(job)}/cancel"), JobView))

    def wait(
        self, job: PlanRef, on_progress: Callable[[JobView], None] | None, timeout_s: float | None
    ) -> Flow[JobView]:
        """Look at a job every second until it has ended."""
        clock = self.exchange.patience.clock
        began = clock()
        while True:
            found = yield from self.job(job)
            if on_progress is not None:
                on_progress(found)
            if has_ended(found):
                return found
            if timeout_s is not None and clock() - began > timeout_s:
                raise TimeoutError(f"Job {found.id} has not ended within {timeout_s:g} s; it goes on.")
            yield Sleep(LOOK_EVERY_S)

    def events(self, job: PlanRef, after: str | None) -> Flow[None]:
        """Everything that happens to a job, each once, over as many connections as it takes."""
        last = after
        waits = Waits(self.exchange.patience)
        while True:
            response = yield from self.exchange.answer(_events_after(job, last))
            if response.status_code == HTTPStatus.NO_CONTENT:
                return
            event: JobEvent | None = None
            broke: httpx.TransportError | None = None
            try:
                while (said := (yield Read())) is not None:
                    event = _event(said)
                    last, waits = event.id or last, Waits(self.exchange.patience)
                    yield Emit(event)
            except httpx.TransportError as error:
                broke = error
            yield Close()
            if broke is not None:
                yield from waits.before_next(self.exchange.unreachable(broke), self.exchange.limit_s)
            elif (event is None or event.ends_job) and (yield from self._over(job)):
                return  # or its events are too old to be kept

    def _over(self, job: PlanRef) -> Flow[bool]:
        """Whether a job has ended: its state, and with it its files, follow its events by a moment."""
        for delay_s in STATE_FOLLOWS_S:
            if has_ended((yield from self.job(job))):
                return True
            yield Sleep(delay_s)
        return False

    def _pages(self, path: str, kind: type[P], limit: int | None, filters: Mapping[str, str | int]) -> Flow[None]:
        left, cursor = limit, None
        while left is None or left > 0:
            query = {"limit": PAGE if left is None else min(left, PAGE), **filters}
            page = yield from self.exchange.model(
                Ask("GET", path, query=query if cursor is None else query | {"cursor": cursor}), kind
            )
            for item in page.items:
                yield Emit(item)
            cursor = page.next_cursor
            left = None if left is None else left - len(page.items)
            if cursor is None:
                return


def id_of(thing: PlanRef) -> str:
    """Its id, fit for a path."""
    return quote(thing if isinstance(thing, str) else thing.id, safe="")


def _events_after(job: PlanRef, last: str | None) -> Ask:
    headers = {"Accept": "text/event-stream"}
    return Ask(
        "GET",
        f"/jobs/{id_of(job)}/events",
        headers=headers if last is None else headers | {"Last-Event-ID": last},
        read_timeout_s=SILENCE_S,
        opened=True,
        as_events=True,
    )


def _event(said: ServerSentEvent) -> JobEvent:
    try:
        event = JobEvent.model_validate_json(said.data)
    except ValidationError as error:
        raise UnreadableError(f"Event {said.id} cannot be read: {error.error_count()} of its fields.") from error
    return event.model_copy(update={"id": said.id})
