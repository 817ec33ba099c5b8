"""The dose-volume histogram of a report, drawn on white."""

import re

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure as Canvas
from radiarch_common.result import GoalResult, ResultManifest

from radiarch_exporter.legend import drawable
from radiarch_exporter.palette import PAPER
from radiarch_exporter.report.content import Figure
from radiarch_exporter.report.drawing import drawn, dress

_SIZE_IN = (7.3, 3.2)
_TARGET = "#c2188f"
_BODY = "#7a8794"
_COLOURS = tuple(to_hex(colormaps["tab10"](k)) for k in (0, 1, 2, 4, 5, 8, 9, 3))
_MOST_NAMED = 18
_NAME_LENGTH = 22
_ON_CURVE = re.compile(r"D(?P<volume>[0-9.]+)%\[Gy\]|V(?P<dose>[0-9.]+)Gy\[%\]")


def dvh_figure(result: ResultManifest, body: str) -> Figure:
    """Cumulative curves of all structures, the prescription, and the goals that lie on a curve.

    Parameters
    ----------
    body
        Name of the body's outline, drawn in grey.
    """
    canvas = Canvas(figsize=_SIZE_IN, facecolor=PAPER.background)
    axes = canvas.add_axes((0.075, 0.14, 0.70, 0.795))
    colours = _colours(result, body)
    for curve in result.dvh:
        wide = curve.structure == result.resolved.spec.prescription.target
        axes.plot(
            curve.dose_gy_rbe,
            curve.volume_percent,
            color=colours[curve.structure],
            linewidth=2.4 if wide else 1.5,
            label=drawable(_short(curve.structure)),
        )
    for goal in result.goals:
        _mark(axes, goal, colours)
    _frame(axes, result)
    return drawn(canvas, f"Dose-volume histogram of {len(result.dvh)} structures")


def _colours(result: ResultManifest, body: str) -> dict[str, str]:
    fixed = {body: _BODY, result.resolved.spec.prescription.target: _TARGET}
    others = [c.structure for c in result.dvh if c.structure not in fixed]
    return fixed | {name: _COLOURS[k % len(_COLOURS)] for k, name in enumerate(others)}


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"


def _mark(axes: Axes, result: GoalResult, colours: dict[str, str]) -> None:
    """A goal as a triangle that points to where the curve should lie; filled when it is met."""
    found = _ON_CURVE.fullmatch(result.goal.metric)
    if found is None:
        return
    by_dose = found["volume"] is not None
    place = (result.goal.value, float(found["volume"])) if by_dose else (float(found["dose"]), result.goal.value)
    wanted_up = result.goal.op == ">="
    marker = (">" if wanted_up else "<") if by_dose else ("^" if wanted_up else "v")
    colour = colours.get(result.goal.structure, PAPER.text)
    face = colour if result.met else PAPER.background
    axes.plot(*place, marker=marker, markersize=7, color=colour, markerfacecolor=face, linestyle="none", zorder=5)


def _frame(axes: Axes, result: ResultManifest) -> None:
    highest = max((max(curve.dose_gy_rbe) for curve in result.dvh), default=1.0)
    prescribed = result.resolved.spec.prescription.dose_gy_rbe
    axes.axvline(prescribed, color=PAPER.dim, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.text(prescribed, 103.5, f"{prescribed:g} Gy(RBE)", color=PAPER.dim, fontsize=7.5, ha="center")
    axes.set_xlim(0, 1.02 * max(highest, prescribed))
    axes.set_ylim(0, 102)
    dress(axes, "dose / Gy(RBE)", "volume / %")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[:_MOST_NAMED], labels[:_MOST_NAMED], loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False,
        fontsize=8, handlelength=1.5, borderaxespad=0.0,
    )  # fmt: skip
