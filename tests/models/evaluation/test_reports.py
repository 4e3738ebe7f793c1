"""The contents of an evaluation's report."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from observations import BOX, ELSEWHERE, image, lesion, many

from models.birads.calibration import Calibration, Level, Method
from models.datasets import labels
from models.datasets.labels import worst_birads
from models.evaluation.detection import detection_section
from models.evaluation.malignancy import RECALLED, malignancy_section
from models.evaluation.observations import Observation, Proposal, SeenLesion
from models.evaluation.report import number, page, write_report
from models.evaluation.scored import birads_of
from models.evaluation.segmentation import segmentation_section
from models.evaluation.subgroups import subgroups_section
from models.evaluation.tables import About, Absent, Draws, Report, Row, Section, Table
from models.measures.detection import Figure
from models.types.mammogram import Laterality
from models.types.reading import FindingKind

pytestmark = pytest.mark.slow

DRAWS = Draws(seed=1, resamples=20)
ABOUT = About("made-up 1: evaluation", "made-up 1", ("made-up",), "all images", left_out=(("x.dcm", "No pixels."),))
CALIBRATION = Calibration(Level.IMAGE, Method.TEMPERATURE, {"slope": (1.0,)}, 0.5, 40, 20)


def sections(observations: list[Observation]) -> tuple[Section, ...]:
    return (
        detection_section(observations, DRAWS),
        segmentation_section(observations, DRAWS),
        malignancy_section(observations, None, {Level.IMAGE: CALIBRATION}, DRAWS),
        subgroups_section(observations, DRAWS),
    )


@pytest.fixture(scope="module")
def report() -> Report:
    return Report(ABOUT, sections(many()))


def table(section: Section, name: str) -> Table:
    return next(found for found in section.tables if found.id == name)


def row(of: Table, start: str) -> Row:
    return next(found for found in of.rows if found.name.startswith(start))


def value(cell: object) -> float:
    assert isinstance(cell, Figure)
    return cell.value


def found(observation: Observation, confidence: float = 0.9) -> Observation:
    right = Proposal(BOX, FindingKind.MASS, confidence, 0)
    return replace(observation, proposals=(right, *(observation.proposals or ())))


def exam(patient: str, *lesions: SeenLesion, scores: tuple[float, float] | None = None) -> list[Observation]:
    """Two views of either breast; the lesions are in the left CC, the scores are the left breast's."""
    views = [(side, view) for side in (Laterality.LEFT, Laterality.RIGHT) for view in ("CC", "MLO")]
    plain = [
        replace(image(f"{patient}/{side}{view}", patient), laterality=side, view=view, score=0.1)
        for side, view in views
    ]
    first = image(plain[0].name, patient, *lesions)
    scores = scores or ((0.9, 0.9) if lesions else (0.1, 0.1))
    return [replace(first, score=scores[0]), replace(plain[1], score=scores[1]), *plain[2:]]


def test_a_perfect_detector_is_perfect_in_every_table() -> None:
    section = detection_section([found(image("1", "a", lesion())), image("2", "b")], DRAWS)
    assert [value(cell) for cell in row(table(section, "froc"), "all").cells] == [1] * 6
    assert [value(cell) for cell in row(table(section, "shown"), "confidence").cells] == [1, 0]
    assert [value(cell) for cell in row(table(section, "attention"), "this").cells] == pytest.approx([1] * 5)
    assert [value(cell) for cell in row(table(section, "thresholds"), "0.5").cells][:4] == [1, 0, 1, 1]


def test_a_detector_without_proposals_has_sensitivity_0_and_no_precision() -> None:
    silent = [image("1", "a", lesion(found=False)), image("2", "b")]
    section = detection_section(silent, DRAWS)
    assert value(row(table(section, "froc"), "all").cells[-1]) == 0
    assert isinstance(row(table(section, "attention"), "this").cells[0], Absent)
    segmented = segmentation_section(silent, DRAWS)
    assert isinstance(row(table(segmented, "passes"), "found box").cells[0], Absent)
    assert value(row(table(segmented, "found"), "of all lesions").cells[0]) == 0


def test_table_2_counts_images_and_an_image_without_proposals_has_overlap_0() -> None:
    wrong = Proposal(ELSEWHERE, FindingKind.MASS, 0.35, None)
    images = [found(image("1", "a", lesion()), 0.25), replace(image("2", "b"), proposals=(wrong,)), image("3", "c")]
    section = detection_section(images, DRAWS)
    assert [value(cell) for cell in row(table(section, "thresholds"), "0.2").cells][:4] == [1, 0.5, 2 / 3, 0.5]
    assert [value(cell) for cell in row(table(section, "thresholds"), "0.3").cells][:3] == [0, 0.5, 1 / 3]
    assert value(row(table(section, "thresholds"), "0.3").cells[4]) == 0


def test_the_best_pass_is_marked_as_chosen_by_the_truth(report: Report) -> None:
    passes = table(report.sections[1], "passes")
    oracles = [oracle for oracle in passes.rows if oracle.oracle]
    assert [oracle.name for oracle in oracles] == ["true box, best pass", "found box, best pass"]
    assert all(value(row(passes, "true box, pass 1").cells[0]) <= value(oracle.cells[0]) for oracle in oracles[:1])
    assert "true box, best pass (oracle)" in page(report)


def test_breasts_and_exams_have_the_highest_score_and_the_worst_pathology() -> None:
    ill, well = exam("a", lesion(), scores=(0.2, 0.9)), exam("b", scores=(0.5, 0.5))
    areas = table(malignancy_section([*ill, *well], None, {}, DRAWS), "areas")
    assert value(row(areas, "images").cells[0]) < 1
    breasts, exams = row(areas, "breasts"), row(areas, "exams")
    assert value(exams.cells[0]) == 1
    assert exams.counts is not None
    assert exams.counts.images == 2
    assert breasts.name == "breasts (1 malignant, 3 not)"


@pytest.mark.parametrize("changed", [{"label_is_fair": False}, {"pathology": None}, {"score": None}])
def test_an_exam_whose_malignant_image_is_not_scored_does_not_count_as_healthy(changed: dict[str, object]) -> None:
    images = [*exam("a", lesion()), *exam("b"), *exam("c", lesion())]
    images[0] = replace(images[0], **changed)
    areas = table(malignancy_section(images, None, {}, DRAWS), "areas")
    assert row(areas, "exams").name == "exams (1 malignant, 1 not)"
    assert row(areas, "breasts").name == "breasts (1 malignant, 4 not)"


def test_a_single_view_does_not_count_as_a_breast_nor_a_single_breast_as_an_exam() -> None:
    images = [seen for seen in (*exam("a", lesion()), *exam("b")) if seen.view == "CC"]
    areas = table(malignancy_section(images, None, {}, DRAWS), "areas")
    assert isinstance(row(areas, "breasts").cells[0], Absent)
    assert isinstance(row(areas, "exams").cells[0], Absent)
    left = [seen for seen in (*exam("a", lesion()), *exam("b")) if seen.laterality is Laterality.LEFT]
    areas = table(malignancy_section(left, None, {}, DRAWS), "areas")
    assert value(row(areas, "breasts").cells[0]) == 1
    assert isinstance(row(areas, "exams").cells[0], Absent)


def test_dice_by_size_is_given_for_true_and_for_found_boxes() -> None:
    images = [image("1", "a", lesion(found=True)), image("2", "b", lesion(found=False))]
    sizes = table(segmentation_section(images, DRAWS), "diameter")
    true, found = row(sizes, "true box, DSC, 10"), row(sizes, "found box, DSC, 10")
    assert value(true.cells[0]) == value(found.cells[0]) == pytest.approx(0.8)
    assert true.counts is not None
    assert found.counts is not None
    assert (true.counts.lesions, found.counts.lesions) == (2, 1)
    assert "was found" in row(sizes, "found box, DSC, below").cells[0].not_measured


def test_images_whose_format_reveals_the_label_are_not_scored() -> None:
    images = [replace(image(str(at), str(at)), label_is_fair=False) for at in range(3)]
    section = malignancy_section(images, None, {}, DRAWS)
    assert isinstance(row(table(section, "areas"), "image").cells[0], Absent)
    assert "Left out: 3 images whose" in section.text


def test_category_0_of_a_radiologist_counts_as_a_recall_and_6_is_left_out() -> None:
    categories = {"0": True, "3": False, "4A": True, "6": None, "2": False}
    images = [
        replace(image(birads, birads, *([lesion()] if recalled else [])), birads=birads)
        for birads, recalled in categories.items()
    ]
    radiologists = row(table(malignancy_section(images, None, {}, DRAWS), "decisions"), "BI-RADS")
    assert value(radiologists.cells[0]) == 1
    assert radiologists.counts is not None
    assert radiologists.counts.images == 4


def test_a_breast_with_lesions_of_0_and_3_was_recalled_and_a_known_cancer_hides_no_new_finding() -> None:
    """A single order of severity wherever several categories are combined (models.types.birads.SEVERITY)."""

    def of(*categories: str) -> str | None:
        lesions = (replace(lesion(), birads=category) for category in categories)
        return birads_of(replace(image("1", "1", *lesions), birads=None))

    assert (of("0", "3"), of("3", "0"), of("6", "4"), of("2", "6"), of("4", "4A")) == ("0", "0", "4", "6", "4")
    assert labels.birads_of("3$0") == worst_birads(["0", None, "3"]) == "0"
    assert "0" in RECALLED


def test_models_and_radiologists_are_compared_on_the_same_images() -> None:
    images = [replace(image(str(at), str(at), *([lesion()] if at % 2 else [])), birads="5") for at in range(8)]
    images[0] = replace(images[0], label_is_fair=False)
    images[1] = replace(images[1], birads="6")
    images[2] = replace(images[2], score=None)
    decisions = table(malignancy_section(images, None, {}, DRAWS), "decisions")
    ours = row(decisions, "these models, images with a BI-RADS")
    theirs = row(decisions, "BI-RADS > 3 = malignant (0 a recall), the same")
    assert ours.counts == theirs.counts
    assert ours.counts is not None
    assert ours.counts.images == 5


def test_a_recall_counts_as_above_3_by_the_rule_of_the_node_and_as_below_4_by_that_of_the_paper() -> None:
    images = [replace(image(str(at), str(at), lesion()), birads="0" if at else "5") for at in range(4)]
    decisions = table(malignancy_section([*images, image("x", "x")], None, {}, DRAWS), "decisions")
    recalls = {
        rule: [
            value(row(decisions, f"BI-RADS > 3 = malignant ({rule}), {whose}").cells[3]) for whose in ("the", "those")
        ]
        for rule in ("0 a recall", "0 below 4, as in the paper")
    }
    assert recalls == {"0 a recall": [1, 1], "0 below 4, as in the paper": [0.25, 0.25]}
    assert any("0.74" in note and "0.51" in note for note in decisions.notes)


def test_a_small_subgroup_has_no_interval_and_the_json_no_nan(tmp_path: Path) -> None:
    images = [*many(), replace(image("x", "x", lesion()), view="LM")]
    report = Report(ABOUT, sections(images))
    rare = row(table(report.sections[3], "by-view"), "LM").cells[1]
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


def test_the_fixed_threshold_is_chosen_on_validation_patients_if_there_are_any() -> None:
    test = [replace(image(str(at), str(at), *([lesion()] if at % 2 else [])), score=at / 10) for at in range(10)]
    validation = [replace(image("v", "v", lesion()), score=0.55), replace(image("w", "w"), score=0.1)]
    other = table(malignancy_section(test, validation, {}, DRAWS), "fixed-sensitivity")
    assert other.rows[0].cells[0] == 0.55
    assert [value(cell) for cell in other.rows[0].cells[1:]] == [2 / 5, 3 / 5]
    same = table(malignancy_section(test, None, {}, DRAWS), "fixed-sensitivity")
    assert "too good" in same.notes[0]


def test_a_threshold_chosen_by_few_malignant_patients_has_no_interval_and_by_none_no_figure() -> None:
    """For any number of others: a sample without the malignant ones has no threshold and no specificity."""
    well = [replace(image(str(at), str(at)), score=at / 30) for at in range(20)]
    for ill in range(7):
        images = [*well, *(replace(image(f"ill {at}", f"ill {at}", lesion()), score=0.5) for at in range(ill))]
        _, recall, specificity = table(malignancy_section(images, None, {}, DRAWS), "fixed-sensitivity").rows[0].cells
        if not ill:
            assert isinstance(recall, Absent)
            assert isinstance(specificity, Absent)
            continue
        assert isinstance(recall, Figure)
        assert isinstance(specificity, Figure)
        assert (recall.bare, specificity.bare) == (ill < 5, ill < 5)
        assert value(specificity) == 15 / 20


def test_subgroups_take_the_confidence_of_all_images() -> None:
    wrong = Proposal(ELSEWHERE, FindingKind.MASS, 0.5, None)
    cc, mlo = found(image("1", "a", lesion()), 0.6), found(image("2", "b", lesion()), 0.4)
    crowded = replace(image("3", "c"), view="MLO", proposals=(wrong, wrong, wrong, wrong))
    by_view = table(subgroups_section([cc, replace(mlo, view="MLO"), crowded], DRAWS), "by-view")
    assert value(row(by_view, "CC").cells[0]) == 1
    assert value(row(by_view, "MLO").cells[0]) == 0


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
