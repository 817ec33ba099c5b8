"""One attempt of one job, as the stage's own code sees it."""

import threading
from collections.abc import Mapping
from typing import Literal

from radiarch_common.errors import RefusedError, StoppedError
from radiarch_common.messages import JobMessage, Progressed, StageName, utc_now
from radiarch_common.objects import ObjectStore
from radiarch_common.pacs import Pacs
from radiarch_common.settings import Settings
from radiarch_common.watch import Stopwatch

StopReason = Literal["cancelled", "fenced", "draining", "late"]


class Run(Stopwatch):
    """What a stage is handed beside its job; a ``Watch``, safe to use from any thread.

    Attributes
    ----------
    attempt
        Counts from 1 within one run of the job's stage.
    stopping
        Set when the work shall stop; ``stop_reason`` says why.
    timings
        Seconds by part, as ``timed`` counted them.
    """

    def __init__(
        self,
        stage: StageName,
        job: JobMessage,
        attempt: int,
        token: int,
        objects: ObjectStore,
        pacs: Mapping[str, Pacs],
        settings: Settings,
    ) -> None:
        super().__init__()
        self.stage: StageName = stage
        self.job = job
        self.attempt = attempt
        self.token = token
        self.objects = objects
        self.settings = settings
        self.stopping = threading.Event()
        self.stop_reason: StopReason | None = None
        self._pacs = pacs
        self._lock = threading.Lock()
        self._latest: Progressed | None = None
        self._farthest = 0.0

    @property
    def pacs(self) -> Pacs:
        """The PACS that the job names. Raises RefusedError when this deployment has none of that name."""
        try:
            return self._pacs[self.job.pacs]
        except KeyError:
            known = ", ".join(sorted(self._pacs)) or "none"
            raise RefusedError(f"There is no PACS '{self.job.pacs}' here.", f"Configured are: {known}.") from None

    def output_key(self, kind: str) -> str:
        """A key that no other attempt writes under: ``<kind>/<job>/<run>-<attempt>-<token>``."""
        return f"{kind}/{self.job.job_id}/{self.job.run}-{self.attempt}-{self.token}"

    def stop(self, reason: StopReason) -> None:
        """Ask the work to stop; the first reason counts."""
        with self._lock:
            if self.stop_reason is None:
                self.stop_reason = reason
        self.stopping.set()

    def check(self) -> None:
        """See ``Watch.check``."""
        if self.stopping.is_set():
            raise StoppedError(self.stop_reason or "")

    def progress(self, fraction: float, message: str, eta_seconds: float | None = None) -> None:
        """See ``Watch.progress``; the latest word is published, at most once a second, and how far it is never falls.

        A part that has to be done again stands still until it is farther than before.
        """
        self.check()
        self._farthest = max(self._farthest, min(max(fraction, 0.0), 1.0))
        event = Progressed(
            job_id=self.job.job_id,
            run=self.job.run,
            stage=self.stage,
            attempt=self.attempt,
            at=utc_now(),
            progress=self._farthest,
            message=message,
            eta_seconds=eta_seconds,
        )
        with self._lock:
            self._latest = event

    def take_progress(self) -> Progressed | None:
        """The latest word that was not published yet."""
        with self._lock:
            latest, self._latest = self._latest, None
        return latest
