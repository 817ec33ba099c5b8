"""A report as PDF, A4; the same report gives the same bytes.

Written with fpdf2, which is Python alone: nothing has to be installed beside it. The font is the one that comes with
matplotlib.
"""

from datetime import datetime
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import numpy as np
from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace
from PIL import Image

from radiarch_exporter.legend import drawable
from radiarch_exporter.palette import PAPER
from radiarch_exporter.report.content import Figure, Report, Section, Table

_MARGIN_MM = 15.0
_FONT = "DejaVu"
_LINE_MM = 4.6
_ROW_MM = 6.0
_FOOT_MM = 16.0
_HIGHEST_FIGURE_MM = 235.0
_PADDING_MM = 1.2
_WIDEST_WORD = 0.45
"""Of the page: a column need not be wider than this for a word that does not break, such as a hash."""
_PALE = (245, 247, 249)
_RULE = (219, 225, 231)
_VERDICTS = ("met", "acceptable", "missed")


class _Paper(FPDF):
    """A4 pages with the notice above and, below, what this is and which page."""

    def __init__(self, report: Report, created_at: datetime) -> None:
        super().__init__(format="A4")
        self._report = report
        fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
        self.add_font(_FONT, "", fonts / "DejaVuSans.ttf")
        self.add_font(_FONT, "B", fonts / "DejaVuSans-Bold.ttf")
        self.set_creation_date(created_at)
        self.set_title(f"{report.title}: {report.notice}")
        self.set_margin(_MARGIN_MM)
        self.set_auto_page_break(auto=True, margin=_FOOT_MM)

    def header(self) -> None:
        """The notice, white on red, on every page."""
        self.set_fill_color(PAPER.warning)
        self.rect(0, 0, self.w, 9, style="F")
        self.set_xy(0, 0)
        self.set_font(_FONT, "B", 9)
        self.set_text_color(255)
        self.cell(self.w, 9, self._report.notice, align="C")
        self.set_y(_MARGIN_MM)

    def footer(self) -> None:
        """Which report, and which page of it."""
        self.set_y(-12)
        self.set_font(_FONT, "", 7)
        self.set_text_color(PAPER.dim)
        self.cell(self.epw / 2, 5, drawable(self._report.foot))
        self.cell(0, 5, f"page {self.page_no()} of {{nb}}", align="R")

    def say(self, text: str, size: float, colour: str = PAPER.text, style: str = "", indent_mm: float = 0.0) -> None:
        """Lines of text over the whole width."""
        self.set_font(_FONT, style, size)
        self.set_text_color(colour)
        self.set_x(self.l_margin + indent_mm)
        self.multi_cell(
            self.epw - indent_mm, size * 0.5, drawable(text), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT
        )  # fmt: skip


def report_pdf(report: Report, created_at: datetime) -> bytes:
    """The report as PDF.

    Parameters
    ----------
    created_at
        When the job was asked for: written into the file instead of the time of writing.
    """
    paper = _Paper(report, created_at)
    paper.add_page()
    paper.say(report.title, 20, style="B")
    paper.say(report.subtitle, 9, PAPER.dim)
    paper.ln(3)
    _facts(paper, report)
    for section in report.sections:
        _section(paper, section)
    return bytes(paper.output())


def _facts(paper: _Paper, report: Report) -> None:
    """The few numbers that are read first, side by side."""
    gap = 3.0
    width = (paper.epw - gap * (len(report.facts) - 1)) / len(report.facts)
    top, height = paper.get_y(), 15.0
    for index, (name, value) in enumerate(report.facts):
        left = paper.l_margin + index * (width + gap)
        paper.set_fill_color(_PALE)
        paper.rect(left, top, width, height, style="F")
        paper.set_fill_color(PAPER.text)
        paper.rect(left, top, 0.8, height, style="F")
        for down, size, style, colour, text in ((2.0, 7, "", PAPER.dim, name), (6.2, 9, "B", PAPER.text, value)):
            paper.set_xy(left + 2.5, top + down)
            paper.set_font(_FONT, style, size)
            paper.set_text_color(colour)
            paper.multi_cell(width - 3.5, 4, drawable(text), align="L")
    paper.set_xy(paper.l_margin, top + height)


def _section(paper: _Paper, section: Section) -> None:
    if section.starts_page or paper.get_y() + _least_mm(paper, section) > paper.page_break_trigger:
        paper.add_page()
    else:
        paper.ln(6)
    warning = section.tone == "warning"
    paper.say(section.title, 11.5, PAPER.warning if warning else PAPER.text, "B")
    paper.set_draw_color(PAPER.warning if warning else PAPER.text)
    paper.set_line_width(0.4)
    paper.line(paper.l_margin, paper.get_y() + 0.8, paper.l_margin + paper.epw, paper.get_y() + 0.8)
    paper.ln(2.4)
    if section.figure:
        _figure(paper, section.figure)
    for line in section.lines:
        paper.say(f"•  {line}" if warning else line, 8.5)
        paper.ln(0.8)
    if section.table:
        _table(paper, section.table)
    for note in section.notes:
        paper.ln(1.2)
        paper.say(note, 7.5, PAPER.dim)


def _least_mm(paper: _Paper, section: Section) -> float:
    """What must fit below: title, figure and notes, or title and a few rows."""
    if section.figure is None:
        return 22.0 + _ROW_MM * min(len(section.table.rows) if section.table else 0, 6)
    return 16.0 + _size_mm(paper, section.figure)[1] + 6.0 * len(section.notes)


def _size_mm(paper: _Paper, figure: Figure) -> tuple[float, float]:
    """Width and height on paper: as wide as the page, unless it would be too high for it."""
    with Image.open(BytesIO(figure.png)) as image:
        width = min(paper.epw, _HIGHEST_FIGURE_MM * image.width / image.height)
        return width, width * image.height / image.width


def _figure(paper: _Paper, figure: Figure) -> None:
    width, _ = _size_mm(paper, figure)
    left = paper.l_margin + (paper.epw - width) / 2
    paper.image(BytesIO(figure.png), x=left, w=width, alt_text=figure.says)
    paper.ln(1.5)


def _table(paper: _Paper, table: Table) -> None:
    """A table with a light rule under each row; verdicts in their colour. Its head comes again on a new page."""
    paper.set_font(_FONT, "", 8)
    paper.set_text_color(PAPER.text)
    paper.set_draw_color(_RULE)
    paper.set_fill_color(255)
    paper.set_line_width(0.2)
    with paper.table(
        col_widths=_widths_mm(paper, table),
        text_align=tuple("RIGHT" if column.number else "LEFT" for column in table.columns),
        headings_style=FontFace(emphasis="BOLD", color=PAPER.dim, fill_color=_PALE),
        borders_layout="HORIZONTAL_LINES",
        line_height=_LINE_MM,
        padding=(0.6, _PADDING_MM),
    ) as drawn:
        head = drawn.row()
        for column in table.columns:
            head.cell(column.head)
        for r, row in enumerate(table.rows):
            line = drawn.row()
            for c, text in enumerate(row):
                line.cell(drawable(text), style=_style_of(text, (r, c) in table.marked))


def _widths_mm(paper: _Paper, table: Table) -> tuple[float, ...]:
    """Widths of the columns: their shares, but none narrower than its longest word where there is room."""
    shares = np.array([column.width for column in table.columns])
    least = np.array([_longest_word_mm(paper, table, c) for c in range(len(shares))])
    least = np.minimum(least, _WIDEST_WORD * paper.epw)
    if least.sum() >= paper.epw:
        return tuple((least * paper.epw / least.sum()).tolist())
    fixed = np.zeros(len(shares), dtype=bool)
    while True:
        room = paper.epw - least[fixed].sum()
        widths = np.where(fixed, least, shares * room / shares[~fixed].sum())
        short = ~fixed & (widths < least)
        if not short.any():
            return tuple(widths.tolist())
        fixed |= short


def _longest_word_mm(paper: _Paper, table: Table, column: int) -> float:
    """Width of the longest word of a column in bold, with the room beside it."""
    texts = (table.columns[column].head, *(row[column] for row in table.rows))
    paper.set_font(style="B")
    widest = max(paper.get_string_width(drawable(word)) for text in texts for word in (text.split() or [""]))
    paper.set_font(style="")
    return widest + 2 * _PADDING_MM + 0.3


def _style_of(text: str, marked: bool) -> FontFace | None:
    """Verdicts in their colour, marked cells in the warning's; both bold."""
    if text in _VERDICTS:
        return FontFace(emphasis="BOLD", color=PAPER.of_verdict(text))
    return FontFace(emphasis="BOLD", color=PAPER.warning) if marked else None
