"""The page and the JSON of an evaluation's report."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from evaluation_reports import ABOUT, DRAWS, found, row_of, sections, table_of, value_of
from observations import ELSEWHERE, image, lesion, many

from models.evaluation.observations import Proposal
from models.evaluation.report import number, page, write_report
from models.evaluation.subgroups import subgroups_section
from models.evaluation.tables import Absent, Report
from models.measures.detection import Figure
from models.types.reading import FindingKind

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report() -> Report:
    return Report(ABOUT, sections(many()))


def test_a_small_subgroup_has_no_interval_and_the_json_no_nan(tmp_path: Path) -> None:
    images = [*many(), replace(image("x", "x", lesion()), view="LM")]
    report = Report(ABOUT, sections(images))
    rare = row_of(table_of(report.sections[3], "by-view"), "LM").cells[1]
    assert isinstance(rare, Figure)
    assert rare.bare
    write_report(report, tmp_path)
    parsed = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    (by_view,) = (
        printed_table for printed_table in parsed["sections"][3]["tables"] if printed_table["id"] == "by-view"
    )
    (line,) = (printed_row for printed_row in by_view["rows"] if printed_row["name"] == "LM")
    assert line["cells"][1]["low"] is None
    assert "no interval" in page(report)
    assert "fewer than 5 patients" in page(report)


def test_the_page_shows_warnings_and_the_images_that_were_not_evaluated() -> None:
    about = replace(ABOUT, warnings=("Beware.",), elsewhere=("9 images elsewhere.",), left_out=())
    html = page(Report(about, ()))
    assert '<p class="warning">Beware.</p>' in html
    assert "9 images elsewhere." in html
    assert "Nothing: every image" not in html
    assert "Nothing: every image" in page(Report(replace(ABOUT, left_out=()), ()))


def test_subgroups_take_the_confidence_of_all_images() -> None:
    wrong = Proposal(ELSEWHERE, FindingKind.MASS, 0.5, None)
    cc, mlo = found(image("1", "a", lesion()), 0.6), found(image("2", "b", lesion()), 0.4)
    crowded = replace(image("3", "c"), view="MLO", proposals=(wrong, wrong, wrong, wrong))
    by_view = table_of(subgroups_section([cc, replace(mlo, view="MLO"), crowded], DRAWS), "by-view")
    assert value_of(row_of(by_view, "CC").cells[0]) == 1
    assert value_of(row_of(by_view, "MLO").cells[0]) == 0


def test_a_figure_that_was_not_measured_is_replaced_by_the_reason() -> None:
    alone = replace(image("1", "a"), proposals=None, score=None, by_threshold=(), pathology=None, birads=None)
    for section in sections([alone]):
        for printed in section.tables:
            for line in printed.rows:
                if not line.theirs:
                    cells = [cell for cell in line.cells if cell != ""]
                    assert all(isinstance(cell, Absent) and cell.not_measured for cell in cells), (
                        printed.id,
                        line.name,
                    )


def test_every_measured_row_states_its_number_of_patients(report: Report) -> None:
    for section in report.sections:
        for printed in section.tables:
            for line in printed.rows:
                if any(isinstance(cell, Figure) for cell in line.cells):
                    assert line.counts is not None, (printed.id, line.name)
                    assert line.counts.patients > 0


def test_figures_of_the_paper_are_in_the_same_table_and_marked_as_such(report: Report) -> None:
    theirs = [line for section in report.sections for printed in section.tables for line in printed.rows if line.theirs]
    assert {line.theirs.partition(":")[0] for line in theirs} == {
        "paper A, Figure 4",
        "paper A, Figure 5",
        "paper A, Table 1",
        "paper B, Table 1",
        "paper B, Table 2",
        "paper B, Table 4",
        "paper B, Table 5",
    }
    assert all("theirs, on " in line.theirs for line in theirs)
    assert page(report).count('class="theirs"') == len(theirs)


class Reader(HTMLParser):
    """Addresses that a browser would fetch, and the text of the page's tables."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "img")
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and value and not value.startswith(("#", "data:")):
                self.fetched.append(value)
            if name == "id" and value:
                self.ids.add(value)


def test_the_page_needs_no_network_and_contains_every_section_table_and_plot(report: Report) -> None:
    html = page(report)
    reader = Reader()
    reader.feed(html)
    assert reader.fetched == []
    assert not re.search(r"@import|url\((?!#)", html)
    for section in report.sections:
        assert {section.id, *(f"{section.id}-{table.id}" for table in section.tables)} <= reader.ids
        assert {f"{section.id}-plot-{plot.id}" for plot in section.plots} <= reader.ids
    assert html.count("<svg") == sum(len(section.plots) for section in report.sections) == 7
    assert "Research use only" in html
    assert "x.dcm" in html
    assert "No pixels." in html


def test_the_json_contains_the_numbers_of_the_page(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path)
    html, parsed = (tmp_path / "report.html").read_text(), json.loads((tmp_path / "report.json").read_text())
    assert "NaN" not in (tmp_path / "report.json").read_text()
    assert parsed["about"]["models"] == "made-up 1"
    for section, printed in zip(report.sections, parsed["sections"], strict=True):
        for measured, same in zip(section.tables, printed["tables"], strict=True):
            for line, same_line in zip(measured.rows, same["rows"], strict=True):
                for cell, same_cell in zip(line.cells, same_line["cells"], strict=True):
                    if isinstance(cell, Figure):
                        assert same_cell["value"] == cell.value
                        assert number(same_cell["value"], measured) in html


def test_the_same_observations_give_the_same_page(report: Report) -> None:
    assert page(report) == page(Report(ABOUT, sections(many())))
