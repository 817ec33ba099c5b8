"""A report as one HTML file that needs nothing else: no script, no host, pictures inside."""

from base64 import b64encode
from html import escape

from radiarch_exporter.report.content import Column, Figure, Report, Section, Table

_STYLE = """
:root { --ink: #16202a; --dim: #5b6875; --line: #dbe1e7; --good: #1a7f37; --fair: #9a6700; --bad: #b42318; }
* { box-sizing: border-box; }
body { margin: 0; background: #eef1f4; color: var(--ink); font: 14px/1.45 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 900px; margin: 24px auto; padding: 28px 40px 40px; background: #fff;
  box-shadow: 0 1px 8px #0002; }
.notice { position: sticky; top: 0; z-index: 1; padding: 7px; background: var(--bad); color: #fff; text-align: center;
  font-weight: 700; letter-spacing: .06em; }
h1 { margin: 0; font-size: 26px; }
.subtitle { margin: 4px 0 18px; color: var(--dim); }
h2 { margin: 30px 0 8px; padding-bottom: 4px; border-bottom: 2px solid var(--ink); font-size: 17px; }
.facts { display: grid; grid-template-columns: repeat(4, 1fr); gap: 10px; margin: 0; }
.facts div { padding: 10px 12px; background: #f5f7f9; border-left: 3px solid var(--ink); }
.facts dt { color: var(--dim); font-size: 12px; }
.facts dd { margin: 0; font-weight: 650; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th { padding: 4px 7px; border-bottom: 1px solid var(--dim); color: var(--dim); text-align: left; font-weight: 600; }
td { padding: 4px 7px; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
.number { text-align: right; }
td.number { white-space: nowrap; }
td strong { color: var(--bad); }
tr { break-inside: avoid; }
img { display: block; width: 100%; height: auto; }
.note { margin: 7px 0 0; color: var(--dim); font-size: 12.5px; }
.verdict { display: inline-block; min-width: 84px; padding: 0 8px; border-radius: 9px; color: #fff; text-align: center;
  font-weight: 600; white-space: nowrap; }
.met { background: var(--good); } .acceptable { background: var(--fair); } .missed { background: var(--bad); }
.warning { margin-top: 22px; padding: 2px 16px 10px; border: 1px solid var(--bad); border-left-width: 5px; }
.warning h2 { margin-top: 8px; border: 0; color: var(--bad); }
.warning p { margin: 3px 0; }
footer { margin-top: 30px; color: var(--dim); font-size: 12px; overflow-wrap: anywhere; }
/* On paper the notice is the head of a table, which browsers repeat on every page. */
@page { size: A4; margin: 10mm 14mm 12mm; }
@media print {
  body { display: table; width: 100%; background: #fff; font-size: 11px; }
  .notice { display: table-header-group; position: static; background: none; break-inside: avoid; }
  .notice div { margin-bottom: 5mm; padding: 2mm; background: var(--bad); }
  main { display: table-row-group; max-width: none; box-shadow: none; }
  .verdict, .facts div, .notice div { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  table { font-size: 10.5px; }
  td, th { padding: 2.5px 6px; }
  .facts div { padding: 6px 10px; }
  .note, footer, .facts dt { font-size: 10px; }
  section { break-inside: avoid; }
  .page { break-before: page; }
  h2 { margin-top: 14px; font-size: 14px; break-after: avoid; }
  .page h2 { margin-top: 0; }
  img { width: auto; max-width: 95%; max-height: 235mm; margin: 0 auto; }
}
"""
_VERDICTS = ("met", "acceptable", "missed")


def report_html(report: Report) -> bytes:
    """The report as HTML, UTF-8."""
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in report.facts)
    sections = "\n".join(_section(section) for section in report.sections)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escape(report.title)}: {escape(report.notice)}</title>
<style>{_STYLE}</style>
</head>
<body>
<div class="notice"><div>{escape(report.notice)}</div></div>
<main>
<div>
<h1>{escape(report.title)}</h1>
<p class="subtitle">{escape(report.subtitle)}</p>
<dl class="facts">{facts}</dl>
{sections}
<footer>{escape(report.foot)}</footer>
</div>
</main>
</body>
</html>
""".encode()


def _section(section: Section) -> str:
    classes = " ".join(name for name in (section.tone, "page" if section.starts_page else "") if name)
    return "\n".join(
        [
            f'<section class="{classes}">',
            f"<h2>{escape(section.title)}</h2>",
            *([_figure(section.figure)] if section.figure else []),
            *(f"<p>{escape(line)}</p>" for line in section.lines),
            *([_table(section.table)] if section.table else []),
            *(f'<p class="note">{escape(note)}</p>' for note in section.notes),
            "</section>",
        ]
    )


def _figure(figure: Figure) -> str:
    kind, data = ("png", figure.png) if figure.svg is None else ("svg+xml", figure.svg)
    return f'<img alt="{escape(figure.says)}" src="data:image/{kind};base64,{b64encode(data).decode()}">'


def _table(table: Table) -> str:
    whole = sum(column.width for column in table.columns)
    sizes = "".join(f'<col style="width:{100 * column.width / whole:.1f}%">' for column in table.columns)
    heads = "".join(f"<th{_side(column)}>{escape(column.head)}</th>" for column in table.columns)
    rows = "\n".join(
        "<tr>"
        + "".join(
            _cell(column, text, (r, c) in table.marked)
            for c, (column, text) in enumerate(zip(table.columns, row, strict=True))
        )
        + "</tr>"
        for r, row in enumerate(table.rows)
    )
    return f"<table><colgroup>{sizes}</colgroup><thead><tr>{heads}</tr></thead><tbody>\n{rows}\n</tbody></table>"


def _cell(column: Column, text: str, marked: bool) -> str:
    shown = f'<span class="verdict {text}">{text}</span>' if text in _VERDICTS else escape(text)
    shown = f"<strong>{shown}</strong>" if marked else shown
    return f"<td{_side(column)}>{shown}</td>"


def _side(column: Column) -> str:
    return ' class="number"' if column.number else ""
