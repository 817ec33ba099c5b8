"""How long to try again, and how often."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from radiarch_client.errors import UnavailableError
from radiarch_client.flow import Flow, Sleep


@dataclass(frozen=True)
class Patience:
    """What is done about a server that does not answer, or says that it cannot now.

    Attributes
    ----------
    limit_s
        A call gives up after so long; 0: at once.
    first_contact_s
        The same while the server has never answered this client: its address may be wrong.
    first_s, longest_s
        Delay before the second attempt; each further one is twice as long, up to the longest. ``Retry-After`` of the
        server counts when it is longer.
    on_wait
        Told what is waited for, and how many seconds.
    """

    limit_s: float = 60.0
    first_contact_s: float = 5.0
    first_s: float = 0.5
    longest_s: float = 10.0
    on_wait: Callable[[UnavailableError, float], None] | None = None
    clock: Callable[[], float] = time.monotonic


class Waits:
    """The waits of one call."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._began = patience.clock()
        self._next_s = patience.first_s

    def before_next(self, trouble: UnavailableError, limit_s: float) -> Flow[None]:
        """Wait before the next attempt. Raises the trouble when that would take too long."""
        patience = self._patience
        # Shorter by up to a quarter, so that clients that were cut off together do not come back together.
        delay_s = self._next_s * random.uniform(0.75, 1.0)  # noqa: S311 - no secret
        delay_s = max(delay_s, trouble.retry_after_s or 0.0)
        if patience.clock() - self._began + delay_s > limit_s:
            raise trouble
        if patience.on_wait is not None:
            patience.on_wait(trouble, delay_s)
        self._next_s = min(2 * self._next_s, patience.longest_s)
        yield Sleep(delay_s)
