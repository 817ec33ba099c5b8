"""Whether a worker on this host is alive: ``python -m radiarch_common.alive <stage>``, for container health checks.

A worker says that it is alive through its pulse, and stops when its main loop is stuck; the bucket forgets
it after ``WORKER_TTL_S``. So this asks for more than whether a process exists.
"""

import asyncio
import socket
import sys

from nats.js.errors import NoKeysError

from radiarch_common.bus import BUS_ERRORS, Bus, connect
from radiarch_common.settings import Settings
from radiarch_common.topology import WORKERS

PATIENCE_S = 5.0


async def is_alive(stage: str, settings: Settings) -> bool:
    """Whether a worker of ``stage`` on this host has said so lately. Raises when the bus cannot be asked."""
    async with asyncio.timeout(PATIENCE_S):
        client = await connect(settings, f"{stage}-alive")
        try:
            bucket = await Bus(client).bucket(WORKERS)
            keys = await bucket.keys()
        except NoKeysError:
            return False
        finally:
            await client.close()
    return any(key.startswith(f"{stage}.{socket.gethostname()}-".replace(" ", "-")) for key in keys)


def main() -> int:
    """0: alive. 1: not, or the bus cannot be asked."""
    try:
        return 0 if asyncio.run(is_alive(sys.argv[1], Settings())) else 1
    except BUS_ERRORS as error:
        sys.stderr.write(f"bus: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
