"""Whether a worker on this host is alive: ``python -m radiarch_common.alive <stage>``, for container health checks.

A worker says that it is alive through its pulse, and stops when its main loop is stuck; the bucket forgets
it after ``WORKER_TTL_S``. So this asks for more than whether a process exists.
"""

import asyncio
import socket
import sys

from radiarch_common.bus import BUS_ERRORS, Bus, connect
from radiarch_common.settings import Settings, settings_or_exit
from radiarch_common.topology import WORKERS

PATIENCE_S = 5.0


async def living_workers(bus: Bus) -> list[str]:
    """``<stage>.<host>-<pid>`` of each worker that said so lately, sorted.

    Asks for the bucket's subjects, one round trip. The bucket's own list of keys makes a consumer for each
    question, which the server keeps for minutes, and was seen to come back empty beside living workers.
    """
    prefix = f"$KV.{WORKERS}."
    info = await bus.js.stream_info(f"KV_{WORKERS}", subjects_filter=f"{prefix}>")
    return sorted(subject.removeprefix(prefix) for subject in info.state.subjects or {})


async def is_alive(stage: str, settings: Settings) -> bool:
    """Whether a worker of ``stage`` on this host has said so lately. Raises when the bus cannot be asked."""
    own = f"{stage}.{socket.gethostname()}-".replace(" ", "-")
    async with asyncio.timeout(PATIENCE_S):
        client = await connect(settings, f"{stage}-alive")
        try:
            return any(worker.startswith(own) for worker in await living_workers(Bus(client)))
        finally:
            await client.close()


def main() -> int:
    """0: alive. 1: not, or the bus cannot be asked."""
    try:
        return 0 if asyncio.run(is_alive(sys.argv[1], settings_or_exit())) else 1
    except BUS_ERRORS as error:
        sys.stderr.write(f"bus: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
