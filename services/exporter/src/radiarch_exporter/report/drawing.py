"""Drawings of a report: pixels for paper, lines for the screen; the same bytes every time."""

from io import BytesIO

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

from radiarch_exporter.palette import PAPER
from radiarch_exporter.report.content import Figure

_PRINT_DPI = 220


def drawn(canvas: Canvas, says: str) -> Figure:
    """A canvas as it is put into a report; ``says`` for who cannot see it."""
    return Figure(_png(canvas), says, _svg(canvas))


def dress(axes: Axes, across: str, up: str) -> None:
    """Labels, a light grid, and no frame above and on the right."""
    axes.set_xlabel(across, color=PAPER.text, fontsize=9)
    axes.set_ylabel(up, color=PAPER.text, fontsize=9)
    axes.grid(color="#e3e8ed", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=PAPER.dim, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(PAPER.dim)


def _png(canvas: Canvas) -> bytes:
    out = BytesIO()
    canvas.set_dpi(_PRINT_DPI)
    FigureCanvasAgg(canvas).print_png(out, metadata={"Software": None})
    return out.getvalue()


def _svg(canvas: Canvas) -> bytes:
    """The same bytes every time: no date, and ids from a fixed salt."""
    out = BytesIO()
    canvas.set_dpi(72)
    with rc_context({"svg.hashsalt": "radiarch", "svg.fonttype": "path"}):
        FigureCanvasSVG(canvas).print_svg(out, metadata={"Date": None, "Creator": None})
    return out.getvalue()
