"""How long work is watched: it reports progress, and stops when it is asked to."""

import threading
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic
from typing import Protocol

from radiarch_common.errors import StoppedError


class Watch(Protocol):
    """What a domain function is handed; safe to use from any thread.

    Attributes
    ----------
    stopping
        Set when the work shall stop (cancelled, fenced, draining). Whoever waits for a child process waits
        on this too, and kills the child's process group when it is set.
    """

    stopping: threading.Event

    def progress(self, fraction: float, message: str, eta_seconds: float | None = None) -> None:
        """Say how far the stage is (0..1) and what it does. Raises StoppedError when asked to stop."""
        ...

    def check(self) -> None:
        """Raise StoppedError when asked to stop."""
        ...

    def timed(self, part: str) -> AbstractContextManager[None]:
        """Count the seconds inside under ``part`` of the stage's timings."""
        ...


class Stopwatch:
    """Seconds by part of the work."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}

    @contextmanager
    def timed(self, part: str) -> Generator[None]:
        """See ``Watch.timed``."""
        start = monotonic()
        try:
            yield
        finally:
            self.timings[part] = self.timings.get(part, 0.0) + monotonic() - start


class QuietWatch(Stopwatch):
    """A watch that nobody looks at; it keeps what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.stopping = threading.Event()
        self.reports: list[tuple[float, str]] = []

    def progress(self, fraction: float, message: str, eta_seconds: float | None = None) -> None:
        """See ``Watch.progress``."""
        self.check()
        self.reports.append((fraction, message))

    def check(self) -> None:
        """See ``Watch.check``."""
        if self.stopping.is_set():
            raise StoppedError


class PartOf:
    """A watch over a part of the work: its 0..1 is ``low``..``high`` of the whole."""

    def __init__(self, whole: Watch, low: float, high: float) -> None:
        self._whole = whole
        self._low = low
        self._high = high
        self.stopping = whole.stopping

    def progress(self, fraction: float, message: str, eta_seconds: float | None = None) -> None:
        """See ``Watch.progress``."""
        self._whole.progress(self._low + (self._high - self._low) * fraction, message, eta_seconds)

    def check(self) -> None:
        """See ``Watch.check``."""
        self._whole.check()

    def timed(self, part: str) -> AbstractContextManager[None]:
        """See ``Watch.timed``."""
        return self._whole.timed(part)
