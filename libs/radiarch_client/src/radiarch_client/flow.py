"""The client's work as moves, without any input or output: written once, played by a thread or by an event loop.

A flow is a generator: it yields a move, and is sent what came of it. A move that fails on the way to the server
raises ``httpx.TransportError`` where it was yielded.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

T = TypeVar("T")


@dataclass(frozen=True)
class Send:
    """Send a request; comes back as ``httpx.Response``, read."""

    request: httpx.Request


@dataclass(frozen=True)
class Open:
    """Send a request; comes back as ``httpx.Response`` whose body is still to be ``Read``, unless it is an error."""

    request: httpx.Request
    as_events: bool = False


@dataclass(frozen=True)
class Read:
    """The next bytes, or the next event, of what was opened; ``None`` at its end."""


@dataclass(frozen=True)
class Close:
    """Be done with what was opened."""


@dataclass(frozen=True)
class Sleep:
    """Wait."""

    seconds: float


@dataclass(frozen=True)
class Do:
    """Work that may block, such as on a file; comes back as what it returns."""

    work: Callable[[], object]


@dataclass(frozen=True)
class Alone:
    """Play a flow while no other one of this client is played alone; comes back as what it returns."""

    flow: "Flow[Any]"
    guard: AbstractContextManager[object]


@dataclass(frozen=True)
class Emit:
    """Hand one item to the caller."""

    item: object


Move = Send | Open | Read | Close | Sleep | Do | Alone | Emit
Flow = Generator[Move, Any, T]


@dataclass(frozen=True)
class Ended:
    """What a flow returned."""

    value: Any


@dataclass
class Result:
    """What came of the last move."""

    value: Any = None
    error: httpx.TransportError | None = None

    def into(self, flow: Flow[Any]) -> Move | Ended:
        """Hand it to the flow, and forget it; the flow's next move."""
        value, error = self.value, self.error
        self.value = self.error = None
        try:
            return flow.send(value) if error is None else flow.throw(error)
        except StopIteration as end:
            return Ended(end.value)
