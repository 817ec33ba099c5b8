"""Progress of many processes as one number, with the time left."""

from time import monotonic

from radiarch_common.watch import Watch

_EVERY_S = 0.25
_TRUSTED_SHARE = 0.05


class Pace:
    """Tells a watch the share done and the seconds left: as expected at first, then as measured."""

    def __init__(self, watch: Watch, what: str, expected_s: float) -> None:
        self._watch = watch
        self._what = what
        self._expected_s = expected_s
        self._began = monotonic()
        self._told = 0.0
        self._reached = 0.0
        self._from, self._to = 0.0, 1.0

    def round(self, done: int, now: int, later: int = 0) -> None:
        """Begin a round of ``now`` pieces of work after ``done`` others; ``later`` ones are expected to follow."""
        whole = done + now + later
        self._from, self._to = done / whole, (done + now) / whole

    def tell(self, share: float) -> None:
        """Pass on the share of the round that is done (0..1), a few times a second at most.

        What is told never falls, even when a round turns out not to be the last. Raises StoppedError when asked to
        stop.
        """
        now = monotonic()
        if now - self._told < _EVERY_S and share < 1.0:
            return
        self._told = now
        spent = now - self._began
        share = self._from + (self._to - self._from) * min(share, 1.0)
        self._reached = max(self._reached, share)
        left = spent * (1.0 - share) / share if share > _TRUSTED_SHARE else max(self._expected_s - spent, 0.0)
        self._watch.progress(self._reached, f"{self._what}: {self._reached:.0%}", left)
