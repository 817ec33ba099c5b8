"""The legend of the picture: what it shows, of which plan, in which colours, and what it is not for."""

from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from radiarch_common.messages import ExportResult
from radiarch_common.result import ResultManifest

from radiarch_exporter.palette import BODY, EDGE_PX, LEFT_PX, TARGET, WASH, DoseScale, Theme
from radiarch_exporter.record import NOTICE

_WORST_FIRST = ("missed", "acceptable", "met")
_LINE_PX = 25.0
_LINE_LENGTH = 36
_MOST_BEAMS = 4
_MOST_GOALS = 4
_NAME_LENGTH = 26


def draw_legend(
    figure: Figure,
    place: tuple[float, float, float, float],
    scale: DoseScale,
    job: ExportResult,
    result: ResultManifest,
    theme: Theme,
) -> None:
    """Draw title, notice, facts and colour bar; ``place`` is the legend's box in figure coordinates."""
    _draw_title(figure, result, theme)
    left, bottom, width, height = place
    box = figure.add_axes(place)
    box.set_axis_off()
    box.set_xlim(0, 1)
    box.set_ylim(height * figure.bbox.height / _LINE_PX, 0)
    _draw_facts(box, scale, job, result, theme)
    bar = figure.add_axes((left + 0.80 * width, bottom + 0.02 * height, 0.055 * width, 0.94 * height))
    _draw_bar(figure, bar, scale, theme)


def _draw_title(figure: Figure, result: ResultManifest, theme: Theme) -> None:
    wanted = result.resolved.spec.prescription
    title = f"{wanted.dose_gy_rbe:g} Gy(RBE) in {wanted.fractions} fractions to {_short(wanted.target)}"
    width, height = figure.bbox.width, figure.bbox.height
    y = 1 - 34 / height
    style: dict[str, Any] = {"va": "center", "fontweight": "bold", "parse_math": False}
    figure.text(LEFT_PX / width, y, drawable(title), color=theme.text, fontsize=16, **style)
    notice = f"RESEARCH  ·  {NOTICE}"
    figure.text(1 - EDGE_PX / width, y, notice, color=theme.warning, fontsize=13, ha="right", **style)


def _draw_facts(box: Axes, scale: DoseScale, job: ExportResult, result: ResultManifest, theme: Theme) -> None:
    spec = result.resolved.spec
    row = 0.6
    for colour, style, words in (
        (TARGET, "-", _short(spec.prescription.target)),
        (BODY, "-", "Body"),
        (theme.text, (0, (4, 2)), f"95 % = {scale.line_gy_rbe:.1f} Gy(RBE)"),
    ):
        box.plot([0.0, 0.085], [row, row], color=colour, linewidth=2.2, linestyle=style)
        box.text(0.12, row, drawable(words), color=theme.text, fontsize=10.5, va="center", parse_math=False)
        row += 1.1
    row += 0.4
    for words, colour in [*_facts(scale, job, result, theme), *_indices(result, theme), *_goals(result, theme)]:
        for line in wrap(words, _LINE_LENGTH):
            box.text(0.0, row, drawable(line), color=colour, fontsize=9.5, va="center", parse_math=False)
            row += 0.95


def _facts(scale: DoseScale, job: ExportResult, result: ResultManifest, theme: Theme) -> list[tuple[str, str]]:
    beams = [
        (f"{b.name}: gantry {b.gantry_angle_deg:g}°, couch {b.couch_angle_deg:g}°", theme.text)
        for b in result.beams[:_MOST_BEAMS]
    ]
    more = len(result.beams) - len(beams)
    return [
        *beams,
        *([(f"and {more} more beams", theme.text)] if more else []),
        (f"highest dose {scale.highest_gy_rbe:.1f} Gy(RBE)", theme.dim),
        (f"constant RBE {result.resolved.spec.rbe:g}, dose to {result.provenance.dose_to}", theme.dim),
        (f"uncertainty {result.uncertainty.percent:.1f} % (1 sigma), {result.uncertainty.voxels}", theme.dim),
        (f"machine {result.resolved.machine.id}", theme.dim),
        (f"job {job.job_id}", theme.dim),
    ]


def _indices(result: ResultManifest, theme: Theme) -> list[tuple[str, str]]:
    found = result.indices
    if found is None:
        return []
    known = (("HI", found.homogeneity), ("CI", found.conformity), ("GI", found.gradient))
    return [("   ".join(f"{name} {value:.2f}" for name, value in known if value is not None), theme.text)]


def _goals(result: ResultManifest, theme: Theme) -> list[tuple[str, str]]:
    """What the plan is judged by, the missed ones first; the whole list is in the report."""
    lines = [
        (
            f"{g.verdict}: {_short(g.goal.structure)} {g.goal.metric} {g.achieved:.4g} ({g.goal.op} {g.goal.value:g})",
            theme.of_verdict(g.verdict),
        )
        for g in sorted(result.goals, key=lambda g: (_WORST_FIRST.index(g.verdict), g.goal.priority))
    ]
    more = len(lines) - _MOST_GOALS
    return [*lines[:_MOST_GOALS], *([(f"and {more} more goals", theme.dim)] if more > 0 else [])]


def _draw_bar(figure: Figure, bar: Axes, scale: DoseScale, theme: Theme) -> None:
    """Doses in Gy(RBE) on the right; the prescription is marked."""
    colours = figure.colorbar(ScalarMappable(scale.norm, WASH), cax=bar)
    colours.outline.set_edgecolor(theme.dim)  # pyright: ignore[reportCallIssue]
    colours.set_label("Gy(RBE)", color=theme.text, fontsize=10.5)
    bar.tick_params(colors=theme.text, labelsize=9, length=3)
    bar.axhline(scale.prescription_gy_rbe, color=theme.background, linewidth=2.0)
    bar.text(
        -0.25, scale.prescription_gy_rbe, "100 %", color=theme.text, fontsize=8.5, ha="right", va="center",
        transform=bar.get_yaxis_transform(),
    )  # fmt: skip


def _short(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"


def drawable(text: str) -> str:
    """The text with '?' for characters that the picture's font does not have."""
    characters = FT2Font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap()
    return "".join(c if ord(c) in characters else "?" for c in text)
