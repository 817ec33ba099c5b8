"""``dose.png``: the dose over the CT in three planes through the target, drawn for people."""

from io import BytesIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from radiarch_common.case import Case
from radiarch_common.messages import ExportResult
from radiarch_common.result import Result

from radiarch_exporter.legend import draw_legend
from radiarch_exporter.palette import DPI, EDGE_PX, LEFT_PX, SCREEN, TITLE_PX, Theme
from radiarch_exporter.panels import draw_panel, scene_of
from radiarch_exporter.planes import AXIAL, CORONAL, SAGITTAL

_WIDTH_PX = 1500.0
# Room for the numbers of an axis below a panel, and for the title above it.
_BELOW_PX, _ABOVE_PX = 62.0, 40.0


def dose_png(job: ExportResult, case: Case, result: Result, theme: Theme = SCREEN) -> bytes:
    """The picture as PNG; the same result gives the same bytes. It names no patient."""
    scene = scene_of(case, result)
    x_mm, y_mm, z_mm = (high - low for low, high in scene.shown_mm)
    px_per_mm = (_WIDTH_PX - 2 * LEFT_PX - 2 * EDGE_PX) / (x_mm + y_mm)
    height_px = TITLE_PX + (y_mm + z_mm) * px_per_mm + 2 * (_BELOW_PX + _ABOVE_PX)
    figure = Figure(figsize=(_WIDTH_PX / DPI, height_px / DPI), dpi=DPI, facecolor=theme.background)
    canvas = FigureCanvasAgg(figure)

    def place(left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
        return left / _WIDTH_PX, 1 - (top + height) / height_px, width / _WIDTH_PX, height / height_px

    wide, narrow = x_mm * px_per_mm, y_mm * px_per_mm
    tall, low = y_mm * px_per_mm, z_mm * px_per_mm
    right = 2 * LEFT_PX + EDGE_PX + wide
    upper = TITLE_PX + _ABOVE_PX
    lower = upper + tall + _BELOW_PX + _ABOVE_PX
    draw_panel(figure.add_axes(place(LEFT_PX, upper, wide, tall)), AXIAL, scene, theme)
    draw_panel(figure.add_axes(place(LEFT_PX, lower, wide, low)), CORONAL, scene, theme)
    draw_panel(figure.add_axes(place(right, lower, narrow, low)), SAGITTAL, scene, theme)
    draw_legend(figure, place(right, upper, narrow, tall), scene.scale, job, result.manifest, theme)
    out = BytesIO()
    canvas.print_png(out, metadata={"Software": None, "Description": "Research only, not for clinical use"})
    return out.getvalue()
