"""Objectives of a plan, and which of them contradict each other."""

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from radiarch_common.base import BODY, Model, Name

ObjectiveKind = Literal["DMin", "DMax", "DMean", "DUniform", "DVHMin", "DVHMax"]


class ObjectiveTerms(Model):
    """What every objective says, absolute or relative to the prescription.

    ``DVHMin`` and ``DVHMax`` need ``volume_percent``: at least (at most) that share of the structure shall receive
    the dose. A ``robust`` objective is looked at in every scenario of the plan's robustness.
    """

    structure: Name
    kind: ObjectiveKind
    weight: float = Field(default=1.0, gt=0, le=1e6)
    volume_percent: float | None = Field(default=None, gt=0, lt=100)
    robust: bool = False

    @model_validator(mode="after")
    def _volume_where_it_is_needed(self) -> Self:
        if self.kind.startswith("DVH") != (self.volume_percent is not None):
            needs = "needs a volume_percent" if self.volume_percent is None else "takes no volume_percent"
            raise ValueError(f"an objective {self.kind} {needs}")
        return self


class Objective(ObjectiveTerms):
    """One term of the cost: quadratic, averaged over the structure's volume."""

    dose_gy_rbe: float = Field(ge=0, le=200)

    @property
    def in_words(self) -> str:
        """Such as ``DVHMax 20 Gy(RBE) in 30 % of 'Rectum'``."""
        share = "" if self.volume_percent is None else f" in {self.volume_percent:g} %"
        return f"{self.kind} {self.dose_gy_rbe:g} Gy(RBE){share} of '{self.structure}'"

    @property
    def floor(self) -> "Bound | None":
        """What at least must receive how much, if it asks for that."""
        if self.kind in ("DMin", "DUniform"):
            return Bound(100.0, self.dose_gy_rbe)
        return Bound(self.volume_percent or 0.0, self.dose_gy_rbe) if self.kind == "DVHMin" else None

    @property
    def ceiling(self) -> "Bound | None":
        """What at most may receive more than how much, if it asks for that."""
        if self.kind in ("DMax", "DUniform"):
            return Bound(0.0, self.dose_gy_rbe)
        return Bound(self.volume_percent or 0.0, self.dose_gy_rbe) if self.kind == "DVHMax" else None


class Bound(NamedTuple):
    """A share of a structure's volume, in percent, and a dose in Gy(RBE)."""

    volume_percent: float
    dose_gy_rbe: float


def contradiction(objectives: Sequence[Objective], body: str = BODY) -> str | None:
    """Two objectives that no dose distribution can fulfil both, in words; ``None`` when there are none.

    A floor contradicts a ceiling of the same structure when it wants more dose in more of the volume, and the
    ceiling of a mean when its own volume alone lifts the mean above it. ``DMean`` of 0 is no ceiling: it stands for
    as little as possible. Where BODY is nowhere to receive more than a dose, no structure is, since dose is
    calculated inside BODY alone.

    Parameters
    ----------
    body
        What the objectives call BODY.
    """
    return next(_contradictions(objectives, body), None)


def _contradictions(objectives: Sequence[Objective], body: str) -> Iterator[str]:
    for high, low in permutations(objectives, 2):
        floor, ceiling = high.floor, low.ceiling
        if floor is None:
            continue
        inside = low.structure == high.structure
        if low.kind == "DMean" and inside and 0 < low.dose_gy_rbe < _least_mean(floor):
            yield _both(high, low, f"the first alone makes the mean {_least_mean(floor):g} Gy(RBE)")
        if ceiling is None or floor.dose_gy_rbe <= ceiling.dose_gy_rbe:
            continue
        if inside and floor.volume_percent > ceiling.volume_percent:
            yield _both(high, low, "no dose can fulfil both")
        if low.structure == body and not inside and ceiling.volume_percent == 0:
            yield _both(high, low, f"'{high.structure}' lies in BODY, and no dose can fulfil both")


def _least_mean(floor: Bound) -> float:
    return floor.volume_percent / 100.0 * floor.dose_gy_rbe


def _both(one: Objective, other: Objective, why: str) -> str:
    return f"the objectives {one.in_words} and {other.in_words} contradict each other: {why}"
