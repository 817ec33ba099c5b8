"""The course of the optimiser's objective, drawn on white."""

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from radiarch_exporter.palette import PAPER
from radiarch_exporter.report.content import Figure
from radiarch_exporter.report.drawing import drawn, dress

_SIZE_IN = (7.3, 2.3)
_LINE = "#1f77b4"


def course_figure(course: tuple[float, ...]) -> Figure | None:
    """The objective by iteration, on a logarithmic scale; nothing where there is no course to draw.

    A logarithm has no zero: an objective that is met to the last bit ends the line before it.
    """
    if len(course) < 2 or max(course) <= 0:
        return None
    canvas = Canvas(figsize=_SIZE_IN, facecolor=PAPER.background)
    axes = canvas.add_axes((0.105, 0.2, 0.87, 0.74))
    known = [(k, value) for k, value in enumerate(course) if value > 0]
    axes.semilogy([k for k, _ in known], [value for _, value in known], color=_LINE, linewidth=1.8)
    axes.plot(*known[-1], marker="o", markersize=4.5, color=_LINE)
    axes.set_xlim(0, 1.02 * (len(course) - 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    dress(axes, "iteration", "objective")
    return drawn(
        canvas, f"Objective of the optimiser over {len(course)} values, from {course[0]:.4g} to {course[-1]:.4g}"
    )
