"""The DVH as SVG paths: from a plan's ``dvh.json`` to coordinates. Pure."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel
from radiarch_common.result import GoalResult

WIDTH: Final = 720
HEIGHT: Final = 420
LEFT: Final = 64
RIGHT: Final = 16
TOP: Final = 14
BOTTOM: Final = 64
COLOURS: Final = 8
"""Classes ``c0`` to ``c7`` of the style sheet; a ninth structure has the first's colour and another dash."""

_TICKS: Final = 8
_DOSE_AT_VOLUME: Final = re.compile(r"^D(\d+(?:\.\d+)?)%\[Gy\]$")
_VOLUME_AT_DOSE: Final = re.compile(r"^V(\d+(?:\.\d+)?)Gy\[%\]$")


class Curve(BaseModel):
    """What is read of a curve."""

    structure: str
    dose_gy_rbe: list[float]
    volume_percent: list[float]


class Curves(BaseModel):
    """What is read of ``dvh.json``."""

    curves: list[Curve]


@dataclass(frozen=True)
class Line:
    """A drawn curve; ``dash`` and ``colour`` are numbers of classes."""

    structure: str
    path: str
    colour: int
    dash: int


@dataclass(frozen=True)
class Mark:
    """A goal in the diagram: a triangle that points to where the curve should be."""

    path: str
    words: str


@dataclass(frozen=True)
class Tick:
    """A place on an axis."""

    at: float
    words: str


@dataclass(frozen=True)
class Chart:
    """All of it, in pixels of a ``WIDTH`` by ``HEIGHT`` view box."""

    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    doses: tuple[Tick, ...]
    volumes: tuple[Tick, ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def chart(curves: Sequence[Curve], goals: Sequence[GoalResult]) -> Chart:
    """The diagram of these curves; goals on dose at a volume or volume at a dose are marked."""
    highest = max((dose for curve in curves for dose in curve.dose_gy_rbe), default=1.0)
    step = _step(highest)
    top_gy_rbe = math.ceil(highest / step) * step
    doses = [number * step for number in range(round(top_gy_rbe / step) + 1)]
    return Chart(
        lines=tuple(
            Line(curve.structure, _path(curve, top_gy_rbe), number % COLOURS, number // COLOURS % 3)
            for number, curve in enumerate(curves)
        ),
        marks=tuple(mark for goal in goals if (mark := _mark(goal, top_gy_rbe)) is not None),
        doses=tuple(Tick(_x(dose, top_gy_rbe), f"{dose:g}") for dose in doses),
        volumes=tuple(Tick(_y(float(volume)), str(volume)) for volume in range(0, 101, 20)),
    )


def _step(highest: float) -> float:
    """A round step, 1, 2 or 5 times a power of ten, of which about ``_TICKS`` make the axis."""
    rough = max(highest, 1e-6) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def _path(curve: Curve, top_gy_rbe: float) -> str:
    """Points that lie on the line between their neighbours at this resolution are left out."""
    points = [
        (round(_x(dose, top_gy_rbe), 1), round(_y(volume), 1))
        for dose, volume in zip(curve.dose_gy_rbe, curve.volume_percent, strict=True)
    ]
    kept = [
        point
        for number, point in enumerate(points)
        if number in (0, len(points) - 1) or not points[number - 1][1] == point[1] == points[number + 1][1]
    ]
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in kept)


def _mark(result: GoalResult, top_gy_rbe: float) -> Mark | None:
    goal = result.goal
    place = _place(goal.metric, goal.value)
    if place is None or place[0] > top_gy_rbe:
        return None
    x, y = _x(place[0], top_gy_rbe), _y(place[1])
    way = -10 if goal.op == ">=" else 10
    path = f"M{x:.1f} {y + way:.1f}L{x - 8:.1f} {y:.1f}L{x + 8:.1f} {y:.1f}Z"
    return Mark(path, f"{goal.structure} {goal.metric} {goal.op} {goal.value:g}: {result.verdict}")


def _place(metric: str, value: float) -> tuple[float, float] | None:
    """Dose and volume of a goal; none for metrics that are no point of the diagram."""
    if found := _DOSE_AT_VOLUME.match(metric):
        return value, float(found[1])
    if found := _VOLUME_AT_DOSE.match(metric):
        return float(found[1]), value
    return None


def _x(dose_gy_rbe: float, top_gy_rbe: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * dose_gy_rbe / top_gy_rbe


def _y(volume_percent: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - volume_percent / 100.0)
