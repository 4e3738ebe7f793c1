"""Scores, probabilities and BI-RADS ranges in reports."""

from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset
from readings import ENCODING, lesion, read_image
from reports import (
    R_CC,
    SHAPE,
    calibrated,
    comments_of,
    groups_of,
    named,
    number,
    report_on,
    some_exam,
    two_view_exam,
    value,
    walk,
    with_spacing,
)

from dicom_io.results.birads_codes import CODES, category_of_code
from dicom_io.results.own_codes import CODED_CATEGORIES, DESIGNATOR
from dicom_io.results.profiles import profile_of
from dicom_io.results.statements import MEASURED
from dicom_io.results.statements_calibration import NO_ASSESSMENT, NOT_CALIBRATED
from models.readings import exam as exams
from models.types.birads import Category
from models.types.exam import ExamReading, UnreadImage


def _about_calibration(comments: list[str]) -> list[str]:
    return [comment for comment in comments if "calibrated" in comment]


def test_a_score_without_calibration_is_never_called_a_probability_and_implies_no_category():
    report = report_on(some_exam())
    for code in ("111047", "111005", "PREVALENCE", "RECALL", "CATEGORY_RANGE"):
        assert named(report, code) == [], code
    assert len(named(report, "SCORE")) == len(groups_of(report)), "it stands in the report all the same"
    assert _about_calibration(comments_of(report)) == [NOT_CALIBRATED]
    assert not any("categor" in comment for comment in comments_of(report) if comment != NOT_CALIBRATED)
    assert not any("%" in comment for comment in comments_of(report) if "score" in comment)


def _lesions(groups: dict[str, Dataset]) -> list[Dataset]:
    return [group for name, group in groups.items() if "mass" in name or "calcifications" in name]


def test_a_calibrated_lesion_breast_and_exam_have_score_probability_and_prevalence():
    groups = groups_of(report_on(calibrated(some_exam())))
    assert len(_lesions(groups)) == 3
    for group in _lesions(groups):
        assert (number(group, "111047"), number(group, "PREVALENCE")) == (31.0, 0.6)
    assert (number(groups["exam"], "111047"), number(groups["exam"], "SCORE")) == (3.1, 0.75)
    assert number(groups["exam"], "RECALL_THRESHOLD") == 2


def test_the_range_that_holds_the_probability_is_written_and_no_coded_category():
    report = report_on(calibrated(some_exam()))
    assert named(report, "111005") == []
    groups = groups_of(report)
    for name, recalled, words in (
        ("exam", "ABOVE", "> 2 to <= 10 %, the range of 4A"),
        ("right breast", "ABOVE", "> 2 to <= 10 %, the range of 4A"),
        ("left breast", "NOT_ABOVE", "<= 0.3 % of a breast, the range of 1 and 2"),
    ):
        assert value(groups[name], "RECALL") == recalled
        (held,) = named(groups[name], "CATEGORY_RANGE")
        code = held.ConceptCodeSequence[0]
        assert code.CodeMeaning == words
        assert category_of_code(code.CodingSchemeDesignator, code.CodeValue) is None, "nobody takes it for a category"
        called = held.ConceptNameCodeSequence[0].CodeMeaning
        assert called == "BI-RADS category whose likelihood range holds this probability"


def test_a_lesion_and_a_single_image_have_neither_range_nor_recall():
    report = report_on(calibrated(some_exam()))
    for group in _lesions(groups_of(report)):
        assert named(group, "RECALL") == named(group, "CATEGORY_RANGE") == named(group, "111005") == []
    of_images = [comment for comment in comments_of(report) if ": read;" in comment]
    assert of_images
    assert not any("range" in comment or "recall" in comment or "BI-RADS" in comment for comment in of_images)


def test_a_setting_adds_the_coded_category_of_breasts_and_exam():
    groups = groups_of(report_on(calibrated(some_exam()), encoding=replace(ENCODING, coded_category=True)))
    assert value(groups["exam"], "111005") == "MA.II.A.5.4A"
    assert value(groups["right breast"], "111005") == "MA.II.A.5.4A"
    code = named(groups["left breast"], "111005")[0].ConceptCodeSequence[0]
    assert (code.CodingSchemeDesignator, code.CodeValue) == (DESIGNATOR, "1-2")
    assert category_of_code(code.CodingSchemeDesignator, code.CodeValue) is None, "neither 1 nor 2"
    assert all(named(group, "111005") == [] for group in _lesions(groups))


def test_the_recall_threshold_is_set_by_the_site_and_applied_to_the_printed_probability():
    exam = replace(calibrated(some_exam()), recall_threshold=0.031)
    report = report_on(exam)
    assert value(groups_of(report)["exam"], "RECALL") == "NOT_ABOVE", "3.1 is not above 3.1"
    assert any("not above the recall threshold of 3.1 %" in comment for comment in comments_of(report))


def test_a_breast_has_its_score_and_its_probability_each_under_its_name():
    report = report_on(calibrated(some_exam()))
    assert NO_ASSESSMENT in comments_of(report)
    assert (
        "Left breast: score 0.12, probability 0.1 %, not above the recall threshold of 2 % "
        "(<= 0.3 % of a breast, the range of 1 and 2)."
    ) in comments_of(report)


def test_the_word_calibrated_is_always_followed_by_the_calibration_error_of_the_card():
    caveat = "On 32 held-out patients they were too high (about 2.9 times)."
    exam = calibrated(some_exam())
    off = [replace(image, reading=replace(image.reading, caveat=caveat)) for image in exam.images]
    (sentence,) = _about_calibration(comments_of(report_on(replace(exam, images=tuple(off)))))
    assert sentence.endswith(f"are calibrated at a prevalence of 0.6 %. {caveat}")


# What viewers draw (OHIF 3.12): a line for each number that stands in a group on a place, and for its finding site.


def _lines(group: Dataset) -> list[str]:
    """The labels as OHIF makes them: name, value with two digits, code of the unit."""
    lines = []
    for item in group.ContentSequence:
        name = item.ConceptNameCodeSequence[0]
        if item.ValueType == "NUM":
            measured = item.MeasuredValueSequence[0]
            unit = measured.MeasurementUnitsCodeSequence[0].CodeValue
            lines.append(f"{name.CodeMeaning}: {float(measured.NumericValue):.2f} {unit}")
        elif (name.CodingSchemeDesignator, name.CodeValue) == ("SCT", "363698007"):
            lines.append(f"{name.CodeValue}: {item.ConceptCodeSequence[0].CodeMeaning}")
    return lines


def _drawn(report: Dataset) -> list[Dataset]:
    """The groups that OHIF draws: those among the Imaging Measurements."""
    return [group for found in named(report, "126010") for group in found.ContentSequence]


def test_a_viewer_draws_one_short_label_per_lesion_and_none_for_breast_and_exam():
    report = report_on(with_spacing(calibrated(some_exam(), lesions=False), (0.5, 0.5)))
    labels = [_lines(group) for group in _drawn(report)]
    assert [len(lines) for lines in labels] == [1, 1, 1]
    assert labels[0] == ["1 mass, 20 mm, score: 0.62 {score}"]
    assert [line.split()[1] for (line,) in labels] == ["mass,", "mass,", "calcifications,"], "the highest score first"
    for name in ("left breast", "right breast", "exam"):
        assert not any(item.get("ValueType") == "SCOORD" for item in walk(groups_of(report)[name]))


def test_the_label_has_no_size_if_the_spacing_is_unknown():
    assert _lines(_drawn(report_on(some_exam()))[0]) == ["1 mass, score: 0.62 {score}"]


def test_breast_and_exam_are_drawn_for_a_destination_with_that_setting():
    asking = replace(ENCODING, profile=profile_of("ohif", draws_exam=True))
    drawn = [_lines(group) for group in _drawn(report_on(calibrated(some_exam()), encoding=asking))]
    assert drawn[3:] == [
        ["left breast, score: 0.12 {score}", "Probability of cancer: 0.10 %"],
        ["right breast, score: 0.75 {score}", "Probability of cancer: 3.10 %"],
        ["exam, score: 0.75 {score}", "Probability of cancer: 3.10 %"],
    ]


def test_numbers_have_few_digits():
    report = report_on(with_spacing(calibrated(some_exam()), (0.07, 0.0811)))
    numbers = [
        str(item.MeasuredValueSequence[0].NumericValue)
        for group in groups_of(report).values()
        for item in walk(group)
        if item.get("ValueType") == "NUM"
    ]
    assert numbers
    assert all(len(number.partition(".")[2]) <= 2 for number in numbers), numbers


def test_a_report_without_outlines_has_the_title_of_reports_that_viewers_show_as_text():
    report = report_on(exams.put_together([read_image(R_CC, SHAPE)], [], []))
    assert report.ConceptNameCodeSequence[0].CodeValue == "126001"
    assert named(report, "126010") == []
    assert number(groups_of(report)["exam"], "SCORE") == 0.5


def test_the_summary_is_first_and_names_the_report_that_it_replaces():
    report = report_on(calibrated(some_exam()), encoding=replace(ENCODING, revision=3))
    contained = [item for item in report.ContentSequence if item.RelationshipType == "CONTAINS"]
    assert contained[0].ConceptNameCodeSequence[0].CodeMeaning == "Summary"
    assert contained[0].TextValue.split("\r\n")[:3] == [
        "Research use only, not for diagnosis.",
        "This is revision 3: it replaces all earlier reports of this study.",
        "Exam: score 0.75, probability 3.1 %, above the recall threshold of 2 % (> 2 to <= 10 %, the range of 4A).",
    ]


def _summary_of(exam: ExamReading) -> list[str]:
    (summary,) = named(report_on(exam), "121111")
    return str(summary.TextValue).split("\r\n")


def test_the_summary_states_what_the_figures_mean_and_which_images_were_not_read():
    caveat = "On 32 held-out patients they were too high (about 2.9 times)."
    exam = calibrated(some_exam())
    exam = replace(
        exam,
        images=tuple(replace(image, reading=replace(image.reading, caveat=caveat)) for image in exam.images),
        unread=(UnreadImage("1.2.9", "MG image", "Damaged."), UnreadImage("1.2.8", "report", "No image.", True)),
        missing=("right MLO",),
    )
    summary = _summary_of(exam)
    assert summary[-2:] == ["Not read: MG image: Damaged.", "Missing view: right MLO."]
    assert summary[-3].endswith(f"are calibrated at a prevalence of 0.6 %. {caveat}")
    assert NOT_CALIBRATED in _summary_of(some_exam())


def test_reports_of_a_study_are_distinguishable_and_the_newest_names_its_predecessors():
    described = [
        str(report_on(some_exam(), encoding=replace(ENCODING, revision=number)).SeriesDescription)
        for number in (1, 2, 3, 12)
    ]
    assert [words.partition(",")[0] for words in described] == [
        "AI report 1",
        "AI report 2 (replaces 1)",
        "AI report 3 (replaces 1-2)",
        "AI report 12 (replaces 1-11)",
    ]
    assert all(len(words) <= 64 and "research use only" in words for words in described)


def test_a_calibrated_report_states_its_prevalence_and_that_a_range_is_no_assessment():
    (sentence,) = _about_calibration(comments_of(report_on(calibrated(some_exam()))))
    assert sentence.startswith(
        "Probabilities of cancer of lesions, images, breasts and the exam are calibrated at a preval"
    )
    assert "at a prevalence of 0.6 %" in sentence
    for words in ("ACR BI-RADS 5th ed.", "no assessment", "follow a diagnostic work-up", "cannot tell 1 from 2"):
        assert words in NO_ASSESSMENT


def test_levels_with_and_without_calibration_are_distinguished():
    report = report_on(calibrated(some_exam(), lesions=False))
    of_calibrated, of_uncalibrated = _about_calibration(comments_of(report))
    assert of_calibrated.startswith("Probabilities of cancer of images, breasts and the exam are calibrated")
    assert of_uncalibrated.startswith("The scores of lesions are not calibrated")
    assert NOT_CALIBRATED not in comments_of(report)
    for name, group in groups_of(report).items():
        assert (
            bool(named(group, "111047"))
            == bool(named(group, "RECALL"))
            == (name in ("left breast", "right breast", "exam"))
        ), name


def test_if_only_one_of_two_bundles_is_calibrated_the_report_states_it_of_some_images():
    exam = calibrated(some_exam())
    plain = replace(exam.images[0], reading=replace(exam.images[0].reading, likelihood=None))
    of_calibrated, of_uncalibrated = _about_calibration(
        comments_of(report_on(replace(exam, images=(plain, *exam.images[1:]))))
    )
    assert "lesions, some images, breasts and the exam are calibrated" in of_calibrated
    assert of_uncalibrated.startswith("The scores of some images are not calibrated")


def test_a_level_without_scores_is_not_mentioned():
    exam = calibrated(exams.put_together([read_image(R_CC, SHAPE)], [], []))
    assert _about_calibration(comments_of(report_on(exam)))[0].startswith(
        "Probabilities of cancer of images, breasts and"
    )


def test_every_prevalence_is_named():
    exam, other = calibrated(some_exam()), calibrated(some_exam(), prevalence=0.25)
    mixed = replace(exam, images=(exam.images[0], *other.images[1:]))
    assert any("at a prevalence of 0.6 % or 25 %" in comment for comment in comments_of(report_on(mixed)))


def test_the_length_of_a_lesion_is_the_largest_diameter_of_its_outline():
    square = lesion(20, 30, np.ones((40, 30), dtype=np.bool_))
    exam = with_spacing(exams.put_together([read_image(R_CC, SHAPE, square)], [], []), (0.1, 0.2))
    group = next(iter(groups_of(report_on(exam)).values()))
    (axis,) = named(group, "103339001")
    assert number(group, "103339001") == pytest.approx((4.0**2 + 6.0**2) ** 0.5, abs=0.15), "rows 0.1, columns 0.2 mm"
    assert axis.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "mm"
    assert MEASURED in comments_of(report_on(exam))


def test_without_a_spacing_nothing_is_measured():
    report = report_on(some_exam())
    assert named(report, "103339001") == []
    assert MEASURED not in comments_of(report)


def test_lesions_of_two_views_that_may_be_the_same_are_related_in_words_and_stay_separate():
    report = report_on(two_view_exam())
    in_words = "R CC mass 1 and R MLO mass 1 may be one lesion: distance to the nipple 43 and 47 mm; certainty 0.7."
    assert in_words in comments_of(report)
    (first, first_group), (second, second_group) = list(groups_of(report).items())[:2]
    assert comments_of(first_group)[1:] == [
        f"May be one lesion with {second}: distance to the nipple 43 and 47 mm; certainty 0.7."
    ]
    assert comments_of(second_group)[1].startswith(f"May be one lesion with {first}:")
    assert named(first_group, "112040")[0].UID != named(second_group, "112040")[0].UID


def test_a_lesions_group_states_its_location_in_the_breast_as_far_as_the_view_shows_it():
    in_cc, in_mlo, *_ = groups_of(report_on(two_view_exam())).values()
    assert comments_of(in_cc)[0] == "Location in this view, estimated: middle depth, 43 mm from the nipple."
    assert comments_of(in_mlo)[0] == (
        "Location in this view, estimated: above the nipple, middle depth, 47 mm from the nipple."
    )


@pytest.mark.parametrize("category", [category for category in Category if category is not Category.ONE_OR_TWO])
def test_every_category_of_a_radiologist_has_a_code_that_is_read_back(category: Category):
    code = CODES[category]
    assert category_of_code(code.scheme_designator, code.value) is category
    assert CODED_CATEGORIES[category] == code


@pytest.mark.parametrize(
    ("designator", "code", "category"),
    [
        ("SRT", "F-037BB", Category.ZERO),
        ("SNM3", "F-037BF", Category.THREE),
        ("SRT ", "F-037C1", Category.FIVE),
        ("BI", "II.AC.a", Category.ZERO),
        ("BI", "II.AC.b.4", Category.FOUR),
        ("SCT", "F-037BB", None),
        ("DCM", "397138000", None),
    ],
)
def test_codes_of_old_documents_are_recognised(designator: str, code: str, category: Category | None):
    assert category_of_code(designator, code) is category
