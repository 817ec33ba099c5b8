"""A server that a test plays, for either client of the API."""

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from radiarch_client import AsyncRadiarch, Patience, Radiarch

SERVER = "http://radiarch.test"
Handler = Callable[[httpx.Request], httpx.Response]
QUICK = Patience(first_s=0.0)

_PINNED = {"id": "a", "version": "1", "sha256": "0" * 64}
_SPEC = {
    "prescription": {"target": "PTV", "dose_gy_rbe": 60, "fractions": 30, "normalisation": "D50% = 100 %"},
    "beams": [],
    "objectives": [],
    "rbe": 1.1,
    "dose_grid_mm": 2.5,
    "spot_spacing_mm": 5.0,
    "layer_spacing_mm": 5.0,
    "target_margin_mm": 5.0,
    "minimum_spot_mu": 0.02,
    "maximum_spot_mu": 50.0,
    "primaries_per_spot": 1,
    "primaries_final": 1,
    "batches": 1,
    "iterations": 1,
    "seed": 1,
}
PLAN: dict[str, Any] = {
    "id": "0job00001",
    "created_at": "2026-01-01T00:00:00Z",
    "study_instance_uid": "1.2",
    "segmentation_uid": None,
    "pacs": "main",
    "requested": {},
    "resolved": {"workflow": _PINNED, "machine": _PINNED, "ct_calibration": _PINNED, "spec": _SPEC, "origins": {}},
    "dvh": [],
    "goals": [],
    "beams": [],
    "warnings": [],
}
"""A plan as the gateway answers, without its job and artifacts."""


def problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: object) -> httpx.Response:
    """An error as the gateway gives it."""
    content = json.dumps({"title": "No", "status": status, "detail": detail, **more})
    return httpx.Response(
        status, content=content, headers={"Content-Type": "application/problem+json", **(headers or {})}
    )


@dataclass
class Played:
    """A server that a test plays, and one of the two clients on it."""

    kind: str
    handler: Handler = lambda _: httpx.Response(500)
    seen: list[httpx.Request] = field(default_factory=list[httpx.Request])
    options: dict[str, Any] = field(default_factory=lambda: {"patience": QUICK})

    def __call__(self, ask: Callable[[Any], Any]) -> Any:  # noqa: ANN401 - as asked
        """What one client answers to ``ask``; items of an iterator as a list."""
        transport = httpx.MockTransport(self._handle)
        if self.kind == "sync":
            with Radiarch(SERVER, transport=transport, **self.options) as client:
                found = ask(client)
                return list(found) if isinstance(found, Iterator) else found
        return asyncio.run(self._awaited(ask, transport))

    async def _awaited(self, ask: Callable[[Any], Any], transport: httpx.MockTransport) -> Any:  # noqa: ANN401 - as asked
        async with AsyncRadiarch(SERVER, transport=transport, **self.options) as client:
            found = ask(client)
            return [item async for item in found] if not inspect.isawaitable(found) else await found

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return self.handler(request)
