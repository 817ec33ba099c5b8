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

    def tell(self, share: float) -> None:
        """Pass on the share done (0..1), a few times a second at most. Raises StoppedError when asked to stop."""
        now = monotonic()
        if now - self._told < _EVERY_S and share < 1.0:
            return
        self._told = now
        spent = now - self._began
        left = spent * (1.0 - share) / share if share > _TRUSTED_SHARE else max(self._expected_s - spent, 0.0)
        self._watch.progress(min(share, 1.0), f"{self._what}: {share:.0%}", left)
