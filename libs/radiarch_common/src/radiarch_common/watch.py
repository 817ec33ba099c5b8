"""How long work is watched: it reports progress, and stops when it is asked to."""

import threading
from collections.abc import Generator, Iterator, Sequence
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


class OneOfSeveral(PartOf):
    """A watch over one of several parts of the work that take about as long each.

    Its messages name the part; the seconds left include ``later_s``, those of the parts to come.
    """

    def __init__(self, whole: Watch, number: int, names: Sequence[str], later_s: float) -> None:
        super().__init__(whole, number / len(names), (number + 1) / len(names))
        self._name = f"{names[number]} ({number + 1} of {len(names)})"
        self._later_s = later_s

    def progress(self, fraction: float, message: str, eta_seconds: float | None = None) -> None:
        """See ``Watch.progress``."""
        left = None if eta_seconds is None else eta_seconds + self._later_s
        super().progress(fraction, f"{self._name}: {message}", left)


def one_by_one(whole: Watch, names: Sequence[str], expected_s: float) -> Iterator[Watch]:
    """A watch for each of several parts of the work, in turn; ``expected_s`` is how long one is expected to take."""
    began = monotonic()
    for number in range(len(names)):
        each_s = (monotonic() - began) / number if number else expected_s
        yield OneOfSeveral(whole, number, names, each_s * (len(names) - 1 - number))
