"""The gateway ends when it is told to, whatever its background work waits for."""

import asyncio
from contextlib import suppress

from radiarch_gateway.bootstrap import end


async def test_work_that_loses_a_cancellation_ends_all_the_same() -> None:
    """Fails, by hanging, when the gateway asks once: its process then outlives SIGTERM."""
    lost = 0

    async def work() -> None:
        nonlocal lost
        while lost < 2:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)
            lost += 1
        await asyncio.sleep(3600)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await end(task)
    assert task.cancelled()
