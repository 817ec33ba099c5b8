"""The report is looked at by people; here what must hold on every page: notice, numbers, privacy, sameness."""

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import BytesIO

import pytest
from pypdf import PdfReader
from radiarch_common.case import Case
from radiarch_common.messages import ExportResult
from radiarch_common.result import Result
from radiarch_exporter.report.build import plan_report
from radiarch_exporter.report.content import Report
from radiarch_exporter.report.html import report_html
from radiarch_exporter.report.pdf import report_pdf

VOID = {"meta", "img", "col", "br"}


class Page(HTMLParser):
    """What a browser would show, and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


@pytest.fixture
def report(job: ExportResult, case: Case, result: Result) -> Report:
    return plan_report(job, case, result)


def read(html: bytes) -> Page:
    page = Page()
    page.feed(html.decode())
    assert page.open == []
    return page


def pages(pdf: bytes) -> list[str]:
    return [re.sub(r"\s+", " ", page.extract_text()) for page in PdfReader(BytesIO(pdf)).pages]


def test_every_page_says_what_it_is_not_for(report: Report, job: ExportResult) -> None:
    found = pages(report_pdf(report, job.created_at))
    assert len(found) >= 3
    for number, text in enumerate(found, start=1):
        assert "RESEARCH - NOT FOR CLINICAL USE" in text
        assert f"page {number} of {len(found)}" in text
    assert "RESEARCH - NOT FOR CLINICAL USE" in read(report_html(report)).words


@pytest.mark.parametrize(("position", "words"), [("HFS", "head first, supine"), ("FFDL", "feet first, left side down")])
def test_the_position_that_the_angles_are_meant_for_is_said(
    job: ExportResult, case: Case, result: Result, position: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case, "manifest", case.manifest.model_copy(update={"patient_position": position}))
    (beams,) = [section for section in plan_report(job, case, result).sections if section.title == "Beams"]
    assert f"Patient position {position} ({words})" in " ".join(beams.notes)


def test_both_say_the_same_numbers(report: Report, job: ExportResult) -> None:
    """Goals with limits and verdicts, indices, beams with and without a time, origins, warnings, provenance."""
    paper = " ".join(pages(report_pdf(report, job.created_at)))
    screen = " ".join(read(report_html(report)).words)
    for text in (
        "D95%[Gy] ≥ 51.3", "52.40", "V20Gy[cc] ≤ 900", "≤ 1200", "acceptable", "0.662", "4.634", "30°", "165.0",
        "38 s", "3 ms for each spot", "deployment", "54 Gy(RBE)", "generic-pencil-beam", "1.7 %", "MCsquare_linux",
        "4711", "Three voxels were padding and became air.", "The machine is not commissioned.", job.job_id,
    ):  # fmt: skip
        assert text in paper, text
        assert text in screen, text


def test_both_tell_what_errors_leave_of_a_plan(job: ExportResult, case: Case, robust: Result) -> None:
    """Fails when a scenario, its worst goal, a DVH objective, a range shifter, LET or the end caps are left out."""
    report = plan_report(job, case, robust)
    paper = " ".join(pages(report_pdf(report, job.created_at)))
    screen = " ".join(read(report_html(report)).words)
    for text in (
        "51.00, worst 46.10 Gy(RBE)", "in scenario", "setup y -4 mm", "46.10", "1234", "missed", "density -3.5 %",
        "0, -4, 0", "2.6 %", "worst case", "DVHMax", "30 %", "all (robust)", "rs-40, 46.2 mm", "2.31", "11.87",
        "keV/µm", "half a plane spacing", "x ±3, y ±4, z ±5 mm, density ±3.5 %", "400000 protons", "1.5 %",
        "Objective 120.5 at the start",
    ):  # fmt: skip
        assert text in paper, text
        assert text in screen, text


def test_the_worst_scenario_is_marked(job: ExportResult, case: Case, robust: Result) -> None:
    """Lowest where much is wanted, highest where little is; nothing is marked where all scenarios are alike."""
    sections = {section.title: section.table for section in plan_report(job, case, robust).sections}
    marked: dict[str, set[tuple[str, str]]] = {}
    for title in ("Robustness", "Goals in each scenario"):
        table = sections[title]
        assert table is not None
        marked[title] = {(table.columns[column].head, table.rows[row][column]) for row, column in table.marked}
    assert marked["Robustness"] == {("D98%", "44.60"), ("D95%", "46.10"), ("Max", "62.40")}
    assert marked["Goals in each scenario"] == {("y -4", "46.10"), ("dens. -3.5", "1234")}


def test_nominal_plans_have_no_columns_of_scenarios(report: Report) -> None:
    titles = [section.title for section in report.sections]
    assert "Robustness" not in titles
    goals = next(section.table for section in report.sections if section.title == "Goals")
    assert goals is not None
    assert [column.head for column in goals.columns][-1] == "Verdict"
    assert len(goals.columns) == 6


def test_an_objective_without_a_course_has_no_drawing(job: ExportResult, case: Case, result: Result) -> None:
    """An optimum at once, or an objective of nothing, which a logarithm cannot show."""
    for course in ((), (3.0,), (0.0, 0.0)):
        manifest = result.manifest.model_copy(update={"objective_course": course})
        report = plan_report(job, case, Result(result._objects, result.key, manifest))  # pyright: ignore[reportPrivateUsage]
        assert next(s.figure for s in report.sections if s.title == "Optimisation") is None


def test_long_tables_go_on_under_their_head(job: ExportResult, case: Case, result: Result) -> None:
    """A head and neck case has forty structures: no row is lost between two pages."""
    body, target = result.manifest.dvh
    more = tuple(body.model_copy(update={"structure": f"Organ_{k}_{'x' * 40}", "number": 20 + k}) for k in range(60))
    manifest = result.manifest.model_copy(update={"dvh": (body, target, *more)})
    report = plan_report(job, case, Result(result._objects, result.key, manifest))  # pyright: ignore[reportPrivateUsage]
    found = pages(report_pdf(report, job.created_at))
    assert all(f"Organ_{k}_" in " ".join(found) for k in range(60))
    assert sum("cm³ D98% D95%" in text for text in found) >= 2


def test_a_structure_that_nobody_drew_is_said(job: ExportResult, case: Case, result: Result) -> None:
    first, second = result.manifest.dvh
    derived = second.model_copy(update={"structure": "Ring", "derived": "Rectum minus PTV, on the voxels of the CT"})
    manifest = result.manifest.model_copy(update={"dvh": (first, derived)})
    report = plan_report(job, case, Result(result._objects, result.key, manifest))  # pyright: ignore[reportPrivateUsage]
    said = "Ring is derived: Rectum minus PTV, on the voxels of the CT."
    assert said in " ".join(pages(report_pdf(report, job.created_at)))
    assert said in read(report_html(report)).words


def test_the_html_fetches_nothing(report: Report) -> None:
    """A hospital's machine may have no line to anywhere; and nobody is told that a report was opened."""
    page = read(report_html(report))
    assert [source[:15] for source in page.fetched] == ["data:image/png;", "data:image/svg+", "data:image/svg+"]


def test_names_are_text_and_no_markup(job: ExportResult, case: Case, result: Result) -> None:
    """A structure's name comes from whoever drew it."""
    first, second = result.manifest.dvh
    hostile = second.model_copy(update={"structure": '<script src="x">1</script> & 腫瘍'})
    manifest = result.manifest.model_copy(update={"dvh": (first, hostile)})
    report = plan_report(job, case, Result(result._objects, result.key, manifest))  # pyright: ignore[reportPrivateUsage]
    page = read(report_html(report))
    assert hostile.structure in page.words
    assert len(page.fetched) == 3
    # The paper's font has no such characters: it says so by '?', and does not fail.
    assert "& ??" in " ".join(pages(report_pdf(report, job.created_at)))


def test_the_same_result_gives_the_same_bytes(job: ExportResult, case: Case, result: Result) -> None:
    """A second attempt, on another day and slower."""
    slower = result.manifest.model_copy(update={"timings": {"beamlets": 999.0}})
    first, second = (
        plan_report(job, case, Result(result._objects, result.key, manifest))  # pyright: ignore[reportPrivateUsage]
        for manifest in (result.manifest, slower)
    )
    assert report_html(first) == report_html(second)
    pdf = report_pdf(first, job.created_at)
    assert pdf == report_pdf(second, job.created_at)
    created = PdfReader(BytesIO(pdf)).metadata
    assert created is not None
    assert created.creation_date == datetime(2026, 3, 14, 23, 30, 15, tzinfo=UTC)


def test_it_names_no_patient(report: Report, job: ExportResult) -> None:
    said = " ".join([*pages(report_pdf(report, job.created_at)), *read(report_html(report)).words])
    assert not [name for name in ("Yamada", "太郎", "RA-0001", "19700101", "ACC 1") if name in said]


def test_a_result_from_before_there_were_indices_has_a_report(job: ExportResult, case: Case, result: Result) -> None:
    older = result.manifest.model_copy(update={"indices": None, "beam_statistics": (), "goals": ()})
    report = plan_report(job, case, Result(result._objects, result.key, older))  # pyright: ignore[reportPrivateUsage]
    assert "none asked" in " ".join(pages(report_pdf(report, job.created_at)))
    assert "none is estimated" in " ".join(read(report_html(report)).words)
