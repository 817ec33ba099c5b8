"""The client for programs with an event loop: the same calls, awaited."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
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
from radiarch_client.sync import DEFAULT_SERVER, TIMEOUT_S
from radiarch_client.tokens import InMemory, Tokens, TokenStore

T = TypeVar("T")


class _Line:
    """What a flow has open."""

    def __init__(self) -> None:
        self.response: httpx.Response | None = None
        self.pieces: AsyncIterator[Any] | None = None

    async def close(self) -> None:
        if self.response is not None:
            await self.response.aclose()
            self.response = None


class AsyncRadiarch:
    """As ``Radiarch``, for one event loop; may be shared by its tasks.

    ::

        async with AsyncRadiarch("https://radiarch.example", key="radk_...") as radiarch:
            plan = await radiarch.plan(request)
            async for event in radiarch.events(plan):
                print(event.stage, event.kind, event.message)
    """

    def __init__(
        self,
        server: str = DEFAULT_SERVER,
        *,
        key: str | None = None,
        store: TokenStore | None = None,
        patience: Patience | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(transport=transport)
        self._lock = asyncio.Lock()
        exchange = Exchange(server, patience or Patience(), InMemory() if store is None else store, key, timeout_s)
        self._core = Core(exchange)

    async def close(self) -> None:
        """Close its connections; the login stays."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def login(self, username: str, password: str, totp_code: str | None = None) -> Tokens:
        """As ``Radiarch.login``."""
        return await self._run(self._core.login(username, password, totp_code))

    async def change_password(self, current: str, new: str) -> None:
        """As ``Radiarch.change_password``."""
        await self._run(self._core.change_password(current, new))

    async def logout(self) -> None:
        """As ``Radiarch.logout``."""
        await self._run(self._core.logout())

    async def info(self) -> Info:
        """As ``Radiarch.info``."""
        return await self._run(self._core.info())

    async def workflows(self) -> list[WorkflowView]:
        """As ``Radiarch.workflows``."""
        return await self._run(self._core.workflows())

    async def plan(self, request: PlanRequest | Mapping[str, Any], *, key: str | None = None) -> PlanAccepted:
        """As ``Radiarch.plan``."""
        return await self._run(self._core.plan(request, key))

    async def get_plan(self, plan: PlanRef) -> PlanView:
        """As ``Radiarch.get_plan``."""
        return await self._run(self._core.get_plan(plan))

    def plans(self, *, limit: int | None = None, **filters: str | int) -> AsyncIterator[PlanSummary]:
        """As ``Radiarch.plans``."""
        return self._each(self._core.plans(limit, filters))

    async def job(self, job: PlanRef) -> JobView:
        """As ``Radiarch.job``."""
        return await self._run(self._core.job(job))

    def jobs(
        self, *, state: str | None = None, limit: int | None = None, **filters: str | int
    ) -> AsyncIterator[JobSummary]:
        """As ``Radiarch.jobs``."""
        return self._each(self._core.jobs(limit, filters if state is None else {"state": state, **filters}))

    async def cancel(self, job: PlanRef) -> JobView:
        """As ``Radiarch.cancel``."""
        return await self._run(self._core.cancel(job))

    async def wait(
        self,
        job: PlanRef,
        on_progress: Callable[[JobView], None] | None = None,
        *,
        timeout_s: float | None = None,
    ) -> JobView:
        """As ``Radiarch.wait``."""
        return await self._run(self._core.wait(job, on_progress, timeout_s))

    def events(self, job: PlanRef, *, after: str | None = None) -> AsyncIterator[JobEvent]:
        """As ``Radiarch.events``."""
        return self._each(self._core.events(job, after))

    async def artifacts(self, plan: PlanRef) -> list[ArtifactView]:
        """As ``Radiarch.artifacts``."""
        return await self._run(self._core.artifacts(plan))

    async def download(self, plan: PlanRef, folder: Path) -> list[Path]:
        """As ``Radiarch.download``."""
        return await self._run(download(self._core, plan, folder))

    async def _run(self, flow: Flow[T]) -> T:
        async with aclosing(self._play(flow)) as steps:
            async for step in steps:
                if isinstance(step, Ended):
                    return cast("T", step.value)
        raise AssertionError("a flow ends")

    async def _each(self, flow: Flow[None]) -> AsyncGenerator[Any]:
        async with aclosing(self._play(flow)) as steps:
            async for step in steps:
                if isinstance(step, Emit):
                    yield step.item

    async def _play(self, flow: Flow[Any]) -> AsyncGenerator[Emit | Ended]:
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
                    result.value = await self._made(move, line)
                except httpx.TransportError as error:
                    result.error = error
        finally:
            await line.close()
            flow.close()

    async def _made(self, move: Move, line: _Line) -> Any:  # noqa: ANN401 - each move has its own
        made: Any = None
        match move:
            case Send():
                made = await self._http.send(move.request)
            case Open():
                made = await self._opened(move, line)
            case Read():
                made = None if line.pieces is None else await anext(line.pieces, None)
            case Sleep():
                await asyncio.sleep(move.seconds)
            case Do():
                made = await asyncio.to_thread(move.work)
            case Alone():
                async with self._lock:
                    with move.guard:
                        made = await self._run(move.flow)
            case Close() | Emit():
                await line.close()
        return made

    async def _opened(self, move: Open, line: _Line) -> httpx.Response:
        await line.close()
        response = line.response = await self._http.send(move.request, stream=True)
        if response.is_error:
            await response.aread()
            await line.close()
        line.pieces = EventSource(response).aiter_sse() if move.as_events else response.aiter_bytes()
        return response
