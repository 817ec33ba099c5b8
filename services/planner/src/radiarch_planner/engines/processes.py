"""Engine processes: one thread each, several at once, none left behind."""

import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TypeVar

from radiarch_common.errors import RadiarchError, StoppedError
from radiarch_common.watch import Watch

from radiarch_planner.engines.build import Build

T = TypeVar("T")

_GUARD = Path(__file__).with_name("guard.py")
_POLL_S = 0.05
_ERROR = re.compile(r"^\W*(fatal |internal )?error\b.*", re.IGNORECASE | re.MULTILINE)
_PERCENT = re.compile(r"^\s*(\d+(?:\.\d+)?) %", re.MULTILINE)
_BEAMLET = re.compile(r"^Simulation of beamlet (\d+)/(\d+)", re.MULTILINE)
_TAIL = 2000


class EngineFailedError(RadiarchError):
    """The engine ended badly, or said "Error"; its output is in the message. There is no dose."""


@dataclass(frozen=True)
class EngineRun:
    """One run of the engine in ``folder``, which holds its ``config.txt``; killed after ``limit_s``.

    ``materials`` is the material database it reads; ``None`` for the build's own, which is whole.
    """

    folder: Path
    limit_s: float
    materials: Path | None = None


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_engine(build: Build, run: EngineRun, stop: threading.Event, tell: Callable[[float], None]) -> str:
    """Run the engine to its end and return its output.

    Must be called from a thread that lives until the engine ends: the kernel kills the engine at the death of
    the thread that started it.

    Raises
    ------
    StoppedError
        If ``stop`` was set; the engine is dead by then.
    EngineFailedError
        If it ended with an error, spoke of one, or took longer than its limit.
    """
    log = run.folder / "engine.log"
    command = [sys.executable, "-I", "-S", str(_GUARD), str(os.getpid()), str(build.binary), "config.txt"]
    environment = {
        "MCsquare_Materials_Dir": str(run.materials or build.materials),
        "OMP_NUM_THREADS": "1",
        "LC_ALL": "C",
    }
    ends = monotonic() + run.limit_s
    with log.open("wb") as out, log.open("rb") as back:
        process = subprocess.Popen(  # noqa: S603  # the command is ours, nothing of a request is in it
            command,
            cwd=run.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while not _ended(process, _POLL_S):
                _check(stop, ends, run)
                back.seek(0)
                tell(progress_of(back.read().decode(errors="replace")))
        finally:
            _kill(process)
    _check(stop, ends, run)
    text = log.read_text(encoding="utf-8", errors="replace")
    if process.returncode != 0 or _ERROR.search(text):
        raise EngineFailedError(f"MCsquare ended with code {process.returncode}: {text[-_TAIL:].strip()}")
    tell(1.0)
    return text


def _ended(process: "subprocess.Popen[bytes]", within_s: float) -> bool:
    """Whether a process ends within some time.

    ``Popen.wait`` with a time-out looks twenty times a second at best; the kernel tells at once, and a plan has
    dozens of processes.
    """
    if process.poll() is not None:
        return True
    if not hasattr(os, "pidfd_open"):
        with suppress(subprocess.TimeoutExpired):
            process.wait(within_s)
        return process.poll() is not None
    handle = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(1000.0 * within_s)
    finally:
        os.close(handle)
    return process.poll() is not None


def progress_of(text: str) -> float:
    """How far a run is, 0..1, by what it has printed."""
    if beamlets := _BEAMLET.findall(text):
        done, total = beamlets[-1]
        return (int(done) - 1) / int(total)
    percents = _PERCENT.findall(text)
    return min(float(percents[-1]) / 100.0, 1.0) if percents else 0.0


class ProcessPool:
    """Runs pieces of work, each of which runs one engine process, ``size`` at once."""

    def __init__(self, build: Build, size: int) -> None:
        self.build = build
        self.size = size or usable_cores()

    def run(
        self,
        pieces: Sequence[Callable[["Runner"], T]],
        watch: Watch,
        tell: Callable[[float], None],
        take: Callable[[int, T], None],
        work: Sequence[float] | None = None,
    ) -> int:
        """Run all pieces and hand their results to ``take`` in the order of the pieces.

        ``take`` and ``tell`` (with the share done, 0..1) are called from this thread. The first error stops
        every other process. ``work`` is what each piece takes, in any unit, the same for all when left out: the
        longest are begun first, so that no core waits long for the last.

        Returns
        -------
        How many pieces needed no engine. They are no part of the share done, which tells the time left.
        """
        stop = threading.Event()
        parts = list(work) if work is not None else [1.0] * len(pieces)
        shares = [0.0] * len(pieces)
        spared: set[int] = set()

        def share_done() -> float:
            running = [(parts[n], shares[n]) for n in range(len(pieces)) if n not in spared]
            return sum(part * share for part, share in running) / sum(part for part, _ in running) if running else 1.0

        with ThreadPoolExecutor(self.size, thread_name_prefix="engine") as threads:
            order = sorted(range(len(pieces)), key=lambda number: -parts[number])
            begun = {n: threads.submit(pieces[n], Runner(self.build, stop, shares, spared, n)) for n in order}
            waiting = deque(begun.pop(number) for number in range(len(pieces)))
            try:
                self._collect(waiting, watch, lambda: tell(share_done()), take)
            finally:
                stop.set()
                for future in waiting:
                    future.cancel()
        return len(spared)

    @staticmethod
    def _collect(
        waiting: "deque[Future[T]]", watch: Watch, report: Callable[[], None], take: Callable[[int, T], None]
    ) -> None:
        taken = 0
        while waiting:
            running = [future for future in waiting if not future.done()]
            if running:
                wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            watch.check()
            for future in waiting:
                if future.done():
                    future.result()
            while waiting and waiting[0].done():
                take(taken, waiting.popleft().result())
                taken += 1
            report()


@dataclass(frozen=True)
class Runner:
    """What a piece of work runs its engine with."""

    build: Build
    stop: threading.Event
    shares: list[float]
    spared: set[int]
    number: int

    def __call__(self, run: EngineRun) -> str:
        """See ``run_engine``."""
        if self.stop.is_set():
            raise StoppedError
        return run_engine(self.build, run, self.stop, self._tell)

    def spare(self) -> None:
        """Say that this piece needs no engine, since what it gives is known."""
        self.spared.add(self.number)

    def _tell(self, share: float) -> None:
        self.shares[self.number] = share


def _check(stop: threading.Event, ends: float, run: EngineRun) -> None:
    if stop.is_set():
        raise StoppedError
    if monotonic() > ends:
        raise EngineFailedError(f"MCsquare did not end within {run.limit_s:.0f} s and was stopped.")


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill whatever is left of the process' own session."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
