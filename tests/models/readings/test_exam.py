"""An exam states what was read, what was not, what is missing, and a score for each breast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from models.readings.exam import put_together
from models.types.birads import Category, Likelihood
from models.types.exam import ExamImage, UnreadImage
from models.types.mammogram import Laterality
from models.types.reading import BundleId, ImageReading

L, R = Laterality.LEFT, Laterality.RIGHT
FOUR = [(L, "CC"), (L, "MLO"), (R, "CC"), (R, "MLO")]


def _image(side: Laterality | None, view: str | None, malignancy: float = 0.1, *warnings: str) -> ExamImage:
    reading = ImageReading((), malignancy, (100, 80), BundleId("test", "1"), warnings=warnings)
    return ExamImage(f"1.2.{side}.{view}", side, view, reading)


def test_a_breast_has_the_score_of_its_worst_image_and_the_exam_that_of_its_worst_breast() -> None:
    exam = put_together([_image(L, "CC", 0.2), _image(L, "MLO", 0.7), _image(R, "CC", 0.4)], [], FOUR)
    assert [(breast.laterality, breast.malignancy) for breast in exam.breasts] == [(L, 0.7), (R, 0.4)]
    assert exam.malignancy == 0.7


def test_four_views_are_expected_if_both_breasts_are_present() -> None:
    arrived = [(L, "CC"), (L, "MLO"), (R, "CC")]
    assert put_together([_image(*view) for view in arrived], [], arrived).missing == ("right MLO",)
    assert put_together([_image(*view) for view in FOUR], [], FOUR).missing == ()


def test_a_unilateral_exam_has_no_missing_breast() -> None:
    assert put_together([_image(L, "CC"), _image(L, "MLO")], [], [(L, "CC"), (L, "MLO")]).missing == ()
    assert put_together([_image(R, "CC")], [], [(R, "CC")]).missing == ("right MLO",)


def test_a_magnified_view_is_read_but_replaces_no_standard_view() -> None:
    exam = put_together([_image(L, "CC"), _image(L, "MLO", 0.9)], [], [(L, "CC")])
    assert exam.missing == ("left MLO",)
    assert exam.malignancy == 0.9


def test_a_received_view_that_could_not_be_read_is_unread_and_not_missing() -> None:
    broken = UnreadImage("1.2.3", "for-presentation", "Its pixels cannot be decoded.")
    exam = put_together([_image(L, "CC")], [broken], [(L, "CC"), (L, "MLO")])
    assert exam.missing == ()
    assert exam.unread == (broken,)


def test_an_exam_without_a_read_image_has_no_score() -> None:
    exam = put_together([], [UnreadImage("1.2.3", "tomosynthesis", "Tomosynthesis is not read yet.")], [])
    assert exam.malignancy is None
    assert exam.breasts == ()


def test_a_warning_is_given_once_with_the_images_it_is_about() -> None:
    exam = put_together(
        [_image(L, "CC", 0.1, "No spacing.", "Implant."), _image(L, "MLO", 0.1, "No spacing.")], [], FOUR[:2]
    )
    assert exam.warnings == ("left CC, left MLO: No spacing.", "left CC: Implant.")


def test_an_image_of_an_unknown_breast_counts_for_the_exam_with_a_warning() -> None:
    exam = put_together([_image(None, "MLO", 0.8), _image(L, "CC", 0.1)], [], [(L, "CC")])
    assert exam.malignancy == 0.8
    assert [breast.malignancy for breast in exam.breasts] == [0.1]
    assert exam.warnings[0].startswith("unknown side MLO: ")


def _calibrated(side: Laterality, view: str, probability: float) -> ExamImage:
    worth = Likelihood(probability, Category.THREE)
    image = _image(side, view, probability)
    return replace(image, reading=replace(image.reading, as_breast=worth, as_exam=worth, prevalence=0.006))


UNREAD = UnreadImage("1.2.3", "for-presentation", "Damaged.", laterality=R, view="CC")


def test_nothing_negative_is_stated_of_a_breast_or_an_exam_while_an_image_of_it_is_not_read() -> None:
    images = [_calibrated(*view, 0.001) for view in FOUR]
    assert put_together(images, [], FOUR).withheld == {}
    exam = put_together(images, [UNREAD], FOUR)
    assert set(exam.withheld) == {R, None}
    assert exam.withheld[R] == exam.withheld[None] == "these images were not read: R CC"
    assert [breast.likelihood is None for breast in exam.breasts] == [False, True]
    assert exam.likelihood is None


def test_what_is_above_the_threshold_stands_whatever_was_not_read() -> None:
    exam = put_together([_calibrated(R, "MLO", 0.05), _calibrated(L, "CC", 0.001)], [UNREAD], FOUR)
    assert (exam.withheld, exam.likelihood) == ({}, Likelihood(0.05, Category.THREE))
    assert put_together(exam.images, [UNREAD], FOUR, recall_threshold=0.06).withheld.keys() == {R, None}


def test_an_unread_image_of_an_unknown_breast_may_be_of_either() -> None:
    exam = put_together([_calibrated(L, "CC", 0.001)], [replace(UNREAD, laterality=None)], [(L, "CC")])
    assert set(exam.withheld) == {L, None}


@pytest.mark.parametrize("spared", [replace(UNREAD, on_purpose=True), replace(UNREAD, may_show_lesion=False)])
def test_a_copy_of_an_image_that_was_read_and_an_image_of_no_breast_withhold_nothing(spared: UnreadImage) -> None:
    exam = put_together([_calibrated(R, "CC", 0.001)], [spared], [(R, "CC")])
    assert exam.withheld == {}
    assert exam.likelihood is not None


def _by(image: ExamImage, version: str, score: float) -> ExamImage:
    return replace(image, reading=replace(image.reading, bundle=BundleId("test", version), malignancy=score))


def test_scores_of_two_bundles_do_not_decide_and_a_probability_above_the_threshold_stands() -> None:
    old, new = _by(_calibrated(L, "CC", 0.001), "1", 0.8), _by(_calibrated(R, "CC", 0.079), "2", 0.3)
    exam = put_together([old, new], [], FOUR)
    assert [(breast.laterality, breast.malignancy) for breast in exam.breasts] == [(R, 0.3)]
    assert (exam.malignancy, exam.likelihood) == (0.3, Likelihood(0.079, Category.THREE))
    assert exam.withheld == {
        L: "these images were read by different models or at different prevalences: "
        "L CC (test 1, 0.6 %), R CC (test 2, 0.6 %)"
    }


def _of_a_part(image: ExamImage) -> ExamImage:
    return replace(image, extent="spot/magnified")


def _synthetic(image: ExamImage) -> ExamImage:
    return replace(image, reading=replace(image.reading, calibration_holds=False))


@pytest.mark.parametrize("other", [_of_a_part, _synthetic])
def test_an_image_for_which_calibration_was_not_shown_to_hold_raises_neither_breast_nor_exam(
    other: Callable[[ExamImage], ExamImage],
) -> None:
    high = other(_calibrated(L, "CC", 0.95))
    exam = put_together([_calibrated(L, "CC", 0.001), _calibrated(L, "MLO", 0.002), high], [], FOUR)
    assert (exam.malignancy, [breast.malignancy for breast in exam.breasts]) == (0.002, [0.002])
    assert exam.likelihood is None
    assert set(exam.withheld) == {L, None}
    assert exam.withheld[L].startswith("these images give no probability: L CC")
    assert exam.images[2].reading.as_exam is None
    alone = put_together([high], [], FOUR)
    assert (alone.malignancy, alone.likelihood, set(alone.withheld)) == (0.95, None, {L, None})


def test_a_probability_of_other_images_above_the_threshold_stands_beside_such_an_image() -> None:
    exam = put_together([_calibrated(L, "CC", 0.05), _of_a_part(_calibrated(L, "CC", 0.95))], [], FOUR)
    assert (exam.likelihood, exam.withheld) == (Likelihood(0.05, Category.THREE), {})
