"""What a container's health check sees: a worker's own word, on a real broker."""

import asyncio

import pytest
from radiarch_common import alive
from radiarch_common.settings import Settings
from radiarch_testkit.line import HANG_S, Line


async def test_a_worker_is_alive_once_it_says_so(line: Line) -> None:
    """Fails when the check looks at another stage's word, or trusts that a process exists."""
    assert not await alive.is_alive("importer", line.settings)
    line.toy("step 0.1")
    line.worker()
    async with asyncio.timeout(HANG_S):
        while not await alive.is_alive("importer", line.settings):  # noqa: ASYNC110 - another process says it
            await asyncio.sleep(0.05)
    assert not await alive.is_alive("planner", line.settings)
    (worker,) = await alive.living_workers(line.bus)
    assert worker.startswith("importer.")


def test_an_unreachable_bus_is_not_a_living_worker(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fails when the check waits for ever, as a worker's own connection does."""
    monkeypatch.setattr(alive, "PATIENCE_S", 0.3)
    monkeypatch.setattr(alive, "Settings", lambda: Settings(nats_url="nats://127.0.0.1:9"))
    monkeypatch.setattr("sys.argv", ["alive", "importer"])
    assert alive.main() == 1
    assert "bus" in capsys.readouterr().err
