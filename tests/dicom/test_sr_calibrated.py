"""Scores, probabilities and the categories that they imply, as reports tell of them."""

from dataclasses import replace

import numpy as np
import pytest
from readings import lesion, read_image
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
    with_spacing,
)

from dicom_io.results.birads_codes import CODES, category_of_code
from dicom_io.results.own_codes import DESIGNATOR, IMPLIED_CATEGORIES
from dicom_io.results.statements import MEASURED
from dicom_io.results.statements_calibration import NOT_CALIBRATED, ONE_OR_TWO
from models import exam as exams
from models.types import Category


def _about_calibration(comments: list[str]) -> list[str]:
    return [comment for comment in comments if "calibrated" in comment]


def test_a_score_without_calibration_is_never_called_a_probability_and_implies_nothing():
    report = report_on(some_exam())
    for code in ("111047", "111005", "PREVALENCE"):
        assert named(report, code) == [], code
    assert len(named(report, "SCORE")) == len(groups_of(report)), "it stands in the report all the same"
    assert _about_calibration(comments_of(report)) == [NOT_CALIBRATED]
    assert not any("categor" in comment for comment in comments_of(report) if comment != NOT_CALIBRATED)


def test_a_calibrated_lesion_breast_and_exam_have_score_probability_prevalence_and_category():
    groups = groups_of(report_on(calibrated(some_exam())))
    lesions = [group for name, group in groups.items() if "mass" in name or "calcifications" in name]
    assert len(lesions) == 3
    for group in lesions:
        assert (number(group, "111047"), number(group, "PREVALENCE")) == (31.0, 0.6)
        assert value(group, "111005") == "MA.II.A.5.4B"
    assert (number(groups["exam"], "111047"), number(groups["exam"], "SCORE")) == (3.1, 0.75)
    assert value(groups["exam"], "111005") == "MA.II.A.5.4A"
    assert value(groups["right breast"], "111005") == "MA.II.A.5.4A"


def test_a_lesion_comes_with_what_it_is_worth_before_how_sure_it_is_that_there_is_one():
    """OHIF prints a group's numbers in their order."""
    group = next(iter(groups_of(report_on(with_spacing(calibrated(some_exam()), (0.07, 0.08)))).values()))
    names = [item.ConceptNameCodeSequence[0].CodeValue for item in group.ContentSequence if item.ValueType == "NUM"]
    assert names == ["111047", "SCORE", "PREVALENCE", "111012", "103339001"]


def test_below_the_low_cut_off_the_category_is_1_or_2_and_neither_by_its_code():
    report = report_on(calibrated(some_exam()))
    (implied,) = named(groups_of(report)["left breast"], "111005")
    code = implied.ConceptCodeSequence[0]
    assert (code.CodingSchemeDesignator, code.CodeValue) == (DESIGNATOR, "1-2")
    assert category_of_code(code.CodingSchemeDesignator, code.CodeValue) is None
    assert ONE_OR_TWO in comments_of(report)
    assert "Left breast: score 0.125; probability of cancer 0.1 %; implied category 1-2." in comments_of(report)


def test_a_calibrated_report_says_at_which_prevalence_and_by_whose_likelihoods():
    (told,) = _about_calibration(comments_of(report_on(calibrated(some_exam()))))
    assert told.startswith(
        "Probabilities of cancer of lesions, images, breasts and the exam are calibrated at a preval"
    )
    assert "at a prevalence of 0.6 %" in told
    assert "implied by ACR BI-RADS 5th ed. likelihoods" in told
    assert "no radiologist's assessment" in told


def test_levels_with_and_without_calibration_are_told_apart():
    report = report_on(calibrated(some_exam(), lesions=False))
    told, untold = _about_calibration(comments_of(report))
    assert told.startswith("Probabilities of cancer of images, breasts and the exam are calibrated")
    assert untold.startswith("The scores of lesions are not calibrated")
    assert NOT_CALIBRATED not in comments_of(report)
    for name, group in groups_of(report).items():
        assert (
            bool(named(group, "111047"))
            == bool(named(group, "111005"))
            == (name in ("left breast", "right breast", "exam"))
        ), name


def test_images_read_by_two_bundles_of_which_one_is_calibrated_are_told_as_some():
    exam = calibrated(some_exam())
    plain = replace(exam.images[0], reading=replace(exam.images[0].reading, likelihood=None))
    told, untold = _about_calibration(comments_of(report_on(replace(exam, images=(plain, *exam.images[1:])))))
    assert "lesions, some images, breasts and the exam are calibrated" in told
    assert untold.startswith("The scores of some images are not calibrated")


def test_a_level_without_scores_is_not_spoken_of():
    exam = calibrated(exams.put_together([read_image(R_CC, SHAPE)], [], []))
    assert _about_calibration(comments_of(report_on(exam)))[0].startswith(
        "Probabilities of cancer of images, breasts and"
    )


def test_every_prevalence_is_named():
    exam, other = calibrated(some_exam()), calibrated(some_exam(), prevalence=0.25)
    mixed = replace(exam, images=(exam.images[0], *other.images[1:]))
    assert any("at a prevalence of 0.6 % or 25 %" in comment for comment in comments_of(report_on(mixed)))


def test_a_lesion_is_as_long_as_the_longest_way_across_its_outline():
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


def test_lesions_of_two_views_that_may_be_one_are_tied_in_words_and_stay_two():
    report = report_on(two_view_exam())
    in_words = "R CC mass 1 and R MLO mass 1 may be one lesion: distance to the nipple 43 and 47 mm; certainty 0.7."
    assert in_words in comments_of(report)
    (first, first_group), (second, second_group) = list(groups_of(report).items())[:2]
    assert comments_of(first_group)[1:] == [
        f"May be one lesion with {second}: distance to the nipple 43 and 47 mm; certainty 0.7."
    ]
    assert comments_of(second_group)[1].startswith(f"May be one lesion with {first}:")
    assert named(first_group, "112040")[0].UID != named(second_group, "112040")[0].UID


def test_a_lesions_group_says_where_in_the_breast_it_lies_as_far_as_its_view_tells():
    in_cc, in_mlo, *_ = groups_of(report_on(two_view_exam())).values()
    assert comments_of(in_cc)[0] == "Location in this view, estimated: middle depth, 43 mm from the nipple."
    assert comments_of(in_mlo)[0] == (
        "Location in this view, estimated: above the nipple, middle depth, 47 mm from the nipple."
    )


@pytest.mark.parametrize("category", [category for category in Category if category is not Category.ONE_OR_TWO])
def test_every_category_of_a_radiologist_has_a_code_that_is_known_again(category: Category):
    code = CODES[category]
    assert category_of_code(code.scheme_designator, code.value) is category
    assert IMPLIED_CATEGORIES[category] == code


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
def test_codes_of_old_documents_are_known(designator: str, code: str, category: Category | None):
    assert category_of_code(designator, code) is category
