"""The client for programs without an event loop."""

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import httpx
from httpx_sse import EventSource

from radiarch_client.core import Core, PlanRef
from radiarch_client.events import JobEvent
from radiarch_client.exchange import Exchange
from radiarch_client.files import download
from radiarch_client.flow import Alone, Close, Do, Emit, Ended, Flow, Move, Open, Read, Result, Send, Sleep
from radiarch_client.models import (
    ArtifactView,
    Info,
    JobSummary,
    JobView,
    PlanAccepted,
    PlanRequest,
    PlanSummary,
    PlanView,
    WorkflowView,
)
from radiarch_client.patience import Patience
from radiarch_client.tokens import InMemory, Tokens, TokenStore

T = TypeVar("T")

DEFAULT_SERVER = "http://127.0.0.1:9042"
TIMEOUT_S = 30.0


class _Line:
    """What a flow has open."""

    def __init__(self) -> None:
        self.response: httpx.Response | None = None
        self.pieces: Iterator[Any] = iter(())

    def close(self) -> None:
        if self.response is not None:
            self.response.close()
            self.response = None


class Radiarch:
    """A Radiarch server, as a program uses it; may be shared by threads.

    ::

        with Radiarch("https://radiarch.example", key="radk_...") as radiarch:
            plan = radiarch.plan(request)
            radiarch.wait(plan)
            radiarch.download(plan, Path("plan"))

    Every call may raise ``RadiarchError``: what the server refused, or that it does not answer. What may have passed
    a moment later is tried again first, as ``patience`` says; a plan that is asked for again is still one plan.

    Parameters
    ----------
    server
        Its address, such as ``https://radiarch.example``.
    key
        An API key. Without one, ``login``, or call a server that asks nobody who they are.
    store
        Keeps the tokens of a login for the next process.
    timeout_s
        Of silence in one attempt.
    transport
        Another way to the server than the network, for tests.
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        key: str | None = None,
        store: TokenStore | None = None,
        patience: Patience | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = httpx.Client(transport=transport)
        self._lock = threading.Lock()
        exchange = Exchange(server, patience or Patience(), InMemory() if store is None else store, key, timeout_s)
        self._core = Core(exchange)

    def close(self) -> None:
        """Close its connections; the login stays."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def login(self, username: str, password: str, totp_code: str | None = None) -> Tokens:
        """Log in; ``totp_code`` is the one-time code where the account has one. Later calls renew the login."""
        return self._run(self._core.login(username, password, totp_code))

    def change_password(self, current: str, new: str) -> None:
        """Set another password for the account that is logged in; its other logins end."""
        self._run(self._core.change_password(current, new))

    def logout(self) -> None:
        """End the login, here and on the server."""
        self._run(self._core.logout())

    def info(self) -> Info:
        """What this server is, what it offers, and what it reaches."""
        return self._run(self._core.info())

    def workflows(self) -> list[WorkflowView]:
        """What can be asked for, with every number it brings."""
        return self._run(self._core.workflows())

    def plan(self, request: PlanRequest | Mapping[str, Any], *, key: str | None = None) -> PlanAccepted:
        """Ask for a plan.

        Parameters
        ----------
        key
            A name of your own for this request: with it, the same request made by another process, or after a crash,
            is still one plan. Left out, the name is good for this call alone.

        Raises
        ------
        RefusedError
            If it cannot be planned whatever the images show; ``errors`` names each field.
        """
        return self._run(self._core.plan(request, key))

    def get_plan(self, plan: PlanRef) -> PlanView:
        """A plan whole: what was asked, what was used, where it is, what came of it."""
        return self._run(self._core.get_plan(plan))

    def plans(self, *, limit: int | None = None, **filters: str | int) -> Iterator[PlanSummary]:
        """Plans, newest first, page after page; ``filters`` as the API takes them."""
        return self._each(self._core.plans(limit, filters))

    def job(self, job: PlanRef) -> JobView:
        """Where a job is."""
        return self._run(self._core.job(job))

    def jobs(self, *, state: str | None = None, limit: int | None = None, **filters: str | int) -> Iterator[JobSummary]:
        """Jobs, newest first, page after page; ``filters`` as the API takes them."""
        return self._each(self._core.jobs(limit, filters if state is None else {"state": state, **filters}))

    def cancel(self, job: PlanRef) -> JobView:
        """Have a job stop. Raises ConflictError when it has ended otherwise."""
        return self._run(self._core.cancel(job))

    def wait(
        self,
        job: PlanRef,
        on_progress: Callable[[JobView], None] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> JobView:
        """A job once it has ended, however it ended; ``on_progress`` is told where it is, every second.

        Raises
        ------
        TimeoutError
            If it has not ended within ``timeout_s``; it goes on.
        """
        return self._run(self._core.wait(job, on_progress, timeout_s))

    def events(self, job: PlanRef, *, after: str | None = None) -> Iterator[JobEvent]:
        """Everything that happens to a job, as it happens, until it has ended.

        Each event comes once, also when the line breaks or the server is started anew meanwhile; when they end, the
        job's state is final, and its files can be had. ``after`` is the ``id`` of the last event known already.
        """
        return self._each(self._core.events(job, after))

    def artifacts(self, plan: PlanRef) -> list[ArtifactView]:
        """The files of a plan; none until it is ready."""
        return self._run(self._core.artifacts(plan))

    def download(self, plan: PlanRef, folder: Path) -> list[Path]:
        """Fetch every file of a plan into a folder, made when it is missing; their paths.

        Files are checked against their SHA-256 and appear whole. One that is there and right is not fetched again;
        one that was begun is gone on with.

        Raises
        ------
        NotReadyError
            If there is none, because its job has not succeeded.
        DamagedError
            If other bytes came than were promised.
        """
        return self._run(download(self._core, plan, folder))

    def _run(self, flow: Flow[T]) -> T:
        for step in self._play(flow):
            if isinstance(step, Ended):
                return cast("T", step.value)
        raise AssertionError("a flow ends")

    def _each(self, flow: Flow[None]) -> Iterator[Any]:
        for step in self._play(flow):
            if isinstance(step, Emit):
                yield step.item

    def _play(self, flow: Flow[Any]) -> Generator[Emit | Ended]:
        line, result = _Line(), Result()
        try:
            while True:
                move = result.into(flow)
                if isinstance(move, Emit | Ended):
                    yield move
                    if isinstance(move, Ended):
                        return
                    continue
                try:
                    result.value = self._made(move, line)
                except httpx.TransportError as error:
                    result.error = error
        finally:
            line.close()
            flow.close()

    def _made(self, move: Move, line: _Line) -> Any:  # noqa: ANN401 - each move has its own
        made: Any = None
        match move:
            case Send():
                made = self._http.send(move.request)
            case Open():
                made = self._opened(move, line)
            case Read():
                made = next(line.pieces, None)
            case Sleep():
                time.sleep(move.seconds)
            case Do():
                made = move.work()
            case Alone():
                with self._lock, move.guard:
                    made = self._run(move.flow)
            case Close() | Emit():
                line.close()
        return made

    def _opened(self, move: Open, line: _Line) -> httpx.Response:
        line.close()
        response = line.response = self._http.send(move.request, stream=True)
        if response.is_error:
            response.read()
            line.close()
        line.pieces = EventSource(response).iter_sse() if move.as_events else response.iter_bytes()
        return response
