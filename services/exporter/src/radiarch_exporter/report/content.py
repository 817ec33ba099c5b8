"""What a report is made of, whatever it is written as: sections of tables, lines and figures."""

from dataclasses import dataclass
from typing import Literal

DASH = "\N{EN DASH}"
"""Between two ends of a range, and where there is no value."""


@dataclass(frozen=True)
class Column:
    """One column: its head, its share of the table's width, and whether it holds numbers."""

    head: str
    width: float
    number: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text, one cell for each column; ``marked`` cells, by row and column, stand out."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Figure:
    """A drawing: pixels for paper, and the same as SVG where it is drawn in lines; ``says`` for who cannot see it."""

    png: bytes
    says: str
    svg: bytes | None = None


@dataclass(frozen=True)
class Section:
    """A part with a title, shown in this order: figure, lines, table, notes.

    ``tone`` is ``warning`` for what a reader must not miss; ``starts_page`` where paper turns the page.
    """

    title: str
    lines: tuple[str, ...] = ()
    table: Table | None = None
    figure: Figure | None = None
    notes: tuple[str, ...] = ()
    tone: Literal["plain", "warning"] = "plain"
    starts_page: bool = False


@dataclass(frozen=True)
class Report:
    """A whole report; ``facts`` are label and value, the few that are read first."""

    title: str
    subtitle: str
    notice: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    foot: str
