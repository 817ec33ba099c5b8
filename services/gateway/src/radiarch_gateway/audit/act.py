"""What one request does, gathered while it is answered."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Literal

Action = Literal["C", "R", "U", "D", "E"]
NOBODY: Final = "unknown"

_STUDY: Final = "study_instance_uid"
_SAME_THING: Final = {"job": "plan"}
"""A plan and its one job bear one id."""
_ACTIONS: Final[dict[str, Action]] = {"GET": "R", "HEAD": "R", "PUT": "U", "PATCH": "U", "DELETE": "D"}
_WRONG_FROM: Final = 400
_FAILED_FROM: Final = 500


@dataclass
class Act:
    """One act, in plain words; only keyed hashes of its names are written down.

    Attributes
    ----------
    names
        What it is about, by kind: ``{"plan": ...}``.
    silent
        Tells nothing of a person or a study, and is not written down when it succeeds.
    written
        Its success is in the log already, committed with what it changed.
    """

    actor: str = NOBODY
    clinic_id: str | None = None
    action: Action = "R"
    operation: str = ""
    study_instance_uid: str | None = None
    names: dict[str, str] = field(default_factory=dict[str, str])
    silent: bool = False
    written: bool = False

    def about(self, named: Mapping[str, str]) -> None:
        """Names of what the act is about, as parameters of a route are called: ``plan_id``, ``study_instance_uid``."""
        for parameter, value in named.items():
            if parameter == _STUDY:
                self.study_instance_uid = value
            elif parameter.endswith("_id"):
                kind = parameter.removesuffix("_id")
                self.names[_SAME_THING.get(kind, kind)] = value


_current: ContextVar[Act | None] = ContextVar("act", default=None)


def begin() -> Act:
    """The act of the request that is answered in this context."""
    act = Act()
    _current.set(act)
    return act


def current() -> Act | None:
    """The act of this context."""
    return _current.get()


def about(**named: str) -> None:
    """Add to the act of this context what only its body or its work tells: ``about(study_instance_uid=...)``."""
    act = _current.get()
    if act is not None:
        act.about(named)


def action_of(method: str, *, of_something: bool) -> Action:
    """FHIR's code of a method; a POST to something that is there already executes."""
    if method == "POST":
        return "E" if of_something else "C"
    return _ACTIONS[method]


def outcome_of(status: int | None) -> str:
    """FHIR's code (R4) of an answer: 0 success, 4 minor failure (refused), 8 serious failure."""
    if status is None or status < _WRONG_FROM:
        return "0"
    return "4" if status < _FAILED_FROM else "8"
