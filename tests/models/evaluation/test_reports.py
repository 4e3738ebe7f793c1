"""The tables of an evaluation's report."""

from __future__ import annotations

from dataclasses import replace

import pytest
from evaluation_reports import ABOUT, DRAWS, found, row_of, sections, table_of, value_of
from observations import ELSEWHERE, image, lesion, many

from models.datasets import labels
from models.datasets.labels import worst_birads
from models.evaluation.detection import detection_section
from models.evaluation.malignancy import malignancy_section
from models.evaluation.observations import Observation, Proposal, SeenLesion
from models.evaluation.radiologists import RECALLED
from models.evaluation.report import page
from models.evaluation.scored import birads_of
from models.evaluation.segmentation import segmentation_section
from models.evaluation.tables import Absent, Report
from models.measures.detection import Figure
from models.types.mammogram import Laterality
from models.types.reading import FindingKind

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report() -> Report:
    return Report(ABOUT, sections(many()))


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
    assert [value_of(cell) for cell in row_of(table_of(section, "froc"), "all").cells] == [1] * 6
    assert [value_of(cell) for cell in row_of(table_of(section, "shown"), "confidence").cells] == [1, 0]
    assert [value_of(cell) for cell in row_of(table_of(section, "attention"), "this").cells] == pytest.approx([1] * 5)
    assert [value_of(cell) for cell in row_of(table_of(section, "thresholds"), "0.5").cells][:4] == [1, 0, 1, 1]


def test_a_detector_without_proposals_has_sensitivity_0_and_no_precision() -> None:
    silent = [image("1", "a", lesion(found=False)), image("2", "b")]
    section = detection_section(silent, DRAWS)
    assert value_of(row_of(table_of(section, "froc"), "all").cells[-1]) == 0
    assert isinstance(row_of(table_of(section, "attention"), "this").cells[0], Absent)
    segmented = segmentation_section(silent, DRAWS)
    assert isinstance(row_of(table_of(segmented, "passes"), "found box").cells[0], Absent)
    assert value_of(row_of(table_of(segmented, "found"), "of all lesions").cells[0]) == 0


def test_table_2_counts_images_and_an_image_without_proposals_has_overlap_0() -> None:
    wrong = Proposal(ELSEWHERE, FindingKind.MASS, 0.35, None)
    images = [found(image("1", "a", lesion()), 0.25), replace(image("2", "b"), proposals=(wrong,)), image("3", "c")]
    section = detection_section(images, DRAWS)
    assert [value_of(cell) for cell in row_of(table_of(section, "thresholds"), "0.2").cells][:4] == [1, 0.5, 2 / 3, 0.5]
    assert [value_of(cell) for cell in row_of(table_of(section, "thresholds"), "0.3").cells][:3] == [0, 0.5, 1 / 3]
    assert value_of(row_of(table_of(section, "thresholds"), "0.3").cells[4]) == 0


def test_the_best_pass_is_marked_as_chosen_by_the_truth(report: Report) -> None:
    passes = table_of(report.sections[1], "passes")
    oracles = [oracle for oracle in passes.rows if oracle.oracle]
    assert [oracle.name for oracle in oracles] == ["true box, best pass", "found box, best pass"]
    assert all(
        value_of(row_of(passes, "true box, pass 1").cells[0]) <= value_of(oracle.cells[0]) for oracle in oracles[:1]
    )
    assert "true box, best pass (oracle)" in page(report)


def test_breasts_and_exams_have_the_highest_score_and_the_worst_pathology() -> None:
    ill, well = exam("a", lesion(), scores=(0.2, 0.9)), exam("b", scores=(0.5, 0.5))
    areas = table_of(malignancy_section([*ill, *well], None, {}, DRAWS), "areas")
    assert value_of(row_of(areas, "images").cells[0]) < 1
    breasts, exams = row_of(areas, "breasts"), row_of(areas, "exams")
    assert value_of(exams.cells[0]) == 1
    assert exams.counts is not None
    assert exams.counts.images == 2
    assert breasts.name == "breasts (1 malignant, 3 not)"


@pytest.mark.parametrize("changed", [{"label_is_fair": False}, {"pathology": None}, {"score": None}])
def test_an_exam_whose_malignant_image_is_not_scored_does_not_count_as_healthy(changed: dict[str, object]) -> None:
    images = [*exam("a", lesion()), *exam("b"), *exam("c", lesion())]
    images[0] = replace(images[0], **changed)
    areas = table_of(malignancy_section(images, None, {}, DRAWS), "areas")
    assert row_of(areas, "exams").name == "exams (1 malignant, 1 not)"
    assert row_of(areas, "breasts").name == "breasts (1 malignant, 4 not)"


def test_a_single_view_does_not_count_as_a_breast_nor_a_single_breast_as_an_exam() -> None:
    images = [seen for seen in (*exam("a", lesion()), *exam("b")) if seen.view == "CC"]
    areas = table_of(malignancy_section(images, None, {}, DRAWS), "areas")
    assert isinstance(row_of(areas, "breasts").cells[0], Absent)
    assert isinstance(row_of(areas, "exams").cells[0], Absent)
    left = [seen for seen in (*exam("a", lesion()), *exam("b")) if seen.laterality is Laterality.LEFT]
    areas = table_of(malignancy_section(left, None, {}, DRAWS), "areas")
    assert value_of(row_of(areas, "breasts").cells[0]) == 1
    assert isinstance(row_of(areas, "exams").cells[0], Absent)


def test_dice_by_size_is_given_for_true_and_for_found_boxes() -> None:
    images = [image("1", "a", lesion(found=True)), image("2", "b", lesion(found=False))]
    sizes = table_of(segmentation_section(images, DRAWS), "diameter")
    true, found = row_of(sizes, "true box, DSC, 10"), row_of(sizes, "found box, DSC, 10")
    assert value_of(true.cells[0]) == value_of(found.cells[0]) == pytest.approx(0.8)
    assert true.counts is not None
    assert found.counts is not None
    assert (true.counts.lesions, found.counts.lesions) == (2, 1)
    assert "was found" in row_of(sizes, "found box, DSC, below").cells[0].not_measured


def test_images_whose_format_reveals_the_label_are_not_scored() -> None:
    images = [replace(image(str(at), str(at)), label_is_fair=False) for at in range(3)]
    section = malignancy_section(images, None, {}, DRAWS)
    assert isinstance(row_of(table_of(section, "areas"), "image").cells[0], Absent)
    assert "Left out: 3 images whose" in section.text


def test_category_0_of_a_radiologist_counts_as_a_recall_and_6_is_left_out() -> None:
    categories = {"0": True, "3": False, "4A": True, "6": None, "2": False}
    images = [
        replace(image(birads, birads, *([lesion()] if recalled else [])), birads=birads)
        for birads, recalled in categories.items()
    ]
    radiologists = row_of(table_of(malignancy_section(images, None, {}, DRAWS), "decisions"), "BI-RADS")
    assert value_of(radiologists.cells[0]) == 1
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
    decisions = table_of(malignancy_section(images, None, {}, DRAWS), "decisions")
    ours = row_of(decisions, "these models, images with a BI-RADS")
    theirs = row_of(decisions, "BI-RADS > 3 = malignant (0 a recall), the same")
    assert ours.counts == theirs.counts
    assert ours.counts is not None
    assert ours.counts.images == 5


def test_a_recall_counts_as_above_3_by_the_rule_of_the_node_and_as_below_4_by_that_of_the_paper() -> None:
    images = [replace(image(str(at), str(at), lesion()), birads="0" if at else "5") for at in range(4)]
    decisions = table_of(malignancy_section([*images, image("x", "x")], None, {}, DRAWS), "decisions")
    recalls = {
        rule: [
            value_of(row_of(decisions, f"BI-RADS > 3 = malignant ({rule}), {whose}").cells[3])
            for whose in ("the", "those")
        ]
        for rule in ("0 a recall", "0 below 4, as in the paper")
    }
    assert recalls == {"0 a recall": [1, 1], "0 below 4, as in the paper": [0.25, 0.25]}
    assert any("0.74" in note and "0.51" in note for note in decisions.notes)


def test_the_fixed_threshold_is_chosen_on_validation_patients_if_there_are_any() -> None:
    test = [replace(image(str(at), str(at), *([lesion()] if at % 2 else [])), score=at / 10) for at in range(10)]
    validation = [replace(image("v", "v", lesion()), score=0.55), replace(image("w", "w"), score=0.1)]
    other = table_of(malignancy_section(test, validation, {}, DRAWS), "fixed-sensitivity")
    assert other.rows[0].cells[0] == 0.55
    assert [value_of(cell) for cell in other.rows[0].cells[1:]] == [2 / 5, 3 / 5]
    same = table_of(malignancy_section(test, None, {}, DRAWS), "fixed-sensitivity")
    assert "too good" in same.notes[0]


def test_a_threshold_chosen_by_few_malignant_patients_has_no_interval_and_by_none_no_figure() -> None:
    """For any number of others: a sample without the malignant ones has no threshold and no specificity."""
    well = [replace(image(str(at), str(at)), score=at / 30) for at in range(20)]
    for ill in range(7):
        images = [*well, *(replace(image(f"ill {at}", f"ill {at}", lesion()), score=0.5) for at in range(ill))]
        _, recall, specificity = (
            table_of(malignancy_section(images, None, {}, DRAWS), "fixed-sensitivity").rows[0].cells
        )
        if not ill:
            assert isinstance(recall, Absent)
            assert isinstance(specificity, Absent)
            continue
        assert isinstance(recall, Figure)
        assert isinstance(specificity, Figure)
        assert (recall.bare, specificity.bare) == (ill < 5, ill < 5)
        assert value_of(specificity) == 15 / 20
