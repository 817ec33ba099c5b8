"""The HTTP of uvicorn, with an end to headers that are endless or come drop by drop."""

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEADER_BYTES: Final = 65_536
MOST_HEADERS: Final = 100


class Impatient(HttpToolsProtocol):
    """Waits for a request's line and headers for a while, takes so many of them, and closes the connection else."""

    within_s: ClassVar[float] = 20.0
    _too_slow: asyncio.TimerHandle | None = None
    _taken = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn has it
        """The first request is awaited."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._taken = 0
        self._wait()

    def on_url(self, url: bytes) -> None:
        """Some of the request's line."""
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """All of them."""
        self._came()
        if not self.transport.is_closing():
            super().on_headers_complete()

    def _wait(self) -> None:
        if self._too_slow is None:
            self._too_slow = self.loop.call_later(self.within_s, self._give_up)

    def _came(self) -> None:
        if self._too_slow is not None:
            self._too_slow.cancel()
            self._too_slow = None

    def _count(self, size: int) -> None:
        self._taken += size
        if self._taken > MOST_HEADER_BYTES or len(self.headers) > MOST_HEADERS:
            self._give_up()

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


def http_protocol(within_s: float) -> Any:  # noqa: ANN401 - what uvicorn takes as a protocol
    """The protocol, with its time."""
    return type("ImpatientFor", (Impatient,), {"within_s": within_s})
