"""Errors that carry the decision: refuse, wait, or try again.

Anything a stage raises that is none of these is a defect: it is tried again, and dead-lettered with
its traceback when it keeps failing.
"""


class RadiarchError(Exception):
    """Base of every error that Radiarch raises on purpose."""


class RefusedError(RadiarchError):
    """The input cannot be planned. Never retried; the user reads it.

    Parameters
    ----------
    reason
        What is wrong, naming the thing that is wrong. No patient data.
    hint
        What the reader can do about it.
    """

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint

    def __str__(self) -> str:
        """Reason and hint as one text."""
        return f"{self.reason} {self.hint}".strip()


class UnavailableError(RadiarchError):
    """A neighbour is down. The job waits, and says for what.

    Parameters
    ----------
    neighbour
        The name users know it by, such as ``PACS 'main'`` or ``object store``.
    detail
        What was seen, for the log.
    """

    def __init__(self, neighbour: str, detail: str = "") -> None:
        super().__init__(f"{neighbour} is not reachable: {detail}" if detail else f"{neighbour} is not reachable")
        self.neighbour = neighbour
        self.detail = detail


class StoppedError(RadiarchError):
    """The work was asked to stop: cancelled, fenced off, or its worker is draining."""
