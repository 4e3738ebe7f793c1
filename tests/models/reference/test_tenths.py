"""The tenth of a reference set that an exam's score is in: never more than the set's exams bear out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import BUNDLE, read_image

from models.readings.exam import put_together
from models.reference.tenths import (
    ANOTHER_BUNDLE,
    FURTHER_VIEWS,
    NOT_FOUR_VIEWS,
    Reference,
    boundaries_of,
    ranked,
    why_not_compared,
)
from models.types.exam import ExamImage, ExamReading
from models.types.mammogram import Laterality
from models.types.reading import BundleId
from models.types.reference import LEAST_EXAMS, LONGEST_NAME, MOST_EXAMS, ReferenceSet, ReferenceTenth

WARD = ReferenceSet("ward", 100, is_screening=False)
FOUR = [(side, view) for side in Laterality for view in ("CC", "MLO")]

# Few different values: ties are frequent.
some_scores = st.one_of(st.floats(0, 1), st.integers(0, 8).map(lambda eighths: eighths / 8))


def reference(scores: list[float]) -> Reference:
    return Reference(WARD, BUNDLE, "12345678", boundaries_of(scores))


def exam(*images: ExamImage) -> ExamReading:
    return put_together(images, [], [])


def four_views(score: float) -> list[ExamImage]:
    return [
        read_image(f"1.2.{number}", (60, 40), laterality=side, view=view, malignancy=score)
        for number, (side, view) in enumerate(FOUR)
    ]


@given(st.lists(some_scores, min_size=10, max_size=60), some_scores)
def test_a_tenth_is_the_highest_that_the_share_of_exams_with_lower_scores_bears_out(
    scores: list[float], score: float
) -> None:
    lower = sum(other < score for other in scores)
    assert reference(scores).tenth_of(score) == min(10, 1 + 10 * lower // len(scores))


@given(st.lists(some_scores, min_size=10, max_size=60), some_scores, some_scores)
def test_a_higher_score_has_no_lower_tenth_and_equal_scores_have_equal_ones(
    scores: list[float], one: float, other: float
) -> None:
    of = reference(scores)
    low, high = sorted((one, other))
    assert 1 <= of.tenth_of(low) <= of.tenth_of(high) <= 10


def test_without_ties_each_tenth_has_a_tenth_of_the_exams() -> None:
    scores = [number / 200 for number in range(200)]
    tenths = [reference(scores).tenth_of(score) for score in scores]
    assert [tenths.count(tenth) for tenth in range(1, 11)] == [20] * 10


def test_equal_scores_are_in_the_lowest_tenth_that_one_of_them_reaches() -> None:
    of = reference([0.0] * 70 + [0.5 + number / 100 for number in range(30)])
    assert [of.tenth_of(score) for score in (0.0, 0.1, 0.5, 0.6, 0.79)] == [1, 8, 8, 9, 10]


@pytest.mark.parametrize("boundaries", [(), (0.5,) * 8, (0.5,) * 10, (0.5,) * 8 + (0.4,), (0.5,) * 8 + (1.1,)])
def test_boundaries_that_are_not_nine_ascending_scores_are_refused(boundaries: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="nine ascending scores"):
        Reference(WARD, BUNDLE, "", boundaries)


def test_an_exam_of_four_views_is_ranked_by_its_highest_image() -> None:
    images = four_views(0.1)
    images[2] = replace(images[2], reading=replace(images[2].reading, malignancy=0.845))
    of = reference([number / 100 for number in range(100)])
    assert ranked(exam(*images), of).tenth == ReferenceTenth(WARD, 9)


@pytest.mark.parametrize("lacking", range(4))
def test_an_exam_that_lacks_a_view_has_no_tenth_because_its_score_is_of_fewer_images(lacking: int) -> None:
    images = four_views(0.5)
    magnified = replace(images[lacking], extent="spot/magnified")
    of = reference([0.5] * 100)
    for some in ([*images[:lacking], *images[lacking + 1 :]], [*images[:lacking], magnified, *images[lacking + 1 :]]):
        assert ranked(exam(*some), of).tenth == ReferenceTenth(WARD, None, NOT_FOUR_VIEWS)


@pytest.mark.parametrize(
    "further",
    [
        {"extent": "spot/magnified"},
        {"extent": "cleavage"},
        {"view": "ML"},
        {"view": None},
        {"laterality": None},
    ],
)
def test_an_exam_with_a_further_view_has_no_tenth_and_belongs_to_no_set_because_its_score_is_of_more_images(
    further: dict[str, str | None],
) -> None:
    images = [*four_views(0.5), replace(four_views(0.9)[0], sop_instance_uid="1.2.9", **further)]
    assert why_not_compared(exam(*images), BUNDLE) == FURTHER_VIEWS
    assert ranked(exam(*images), reference([0.5] * 100)).tenth == ReferenceTenth(WARD, None, FURTHER_VIEWS)


def test_an_exam_with_one_of_the_four_views_twice_is_ranked() -> None:
    images = [*four_views(0.5), replace(four_views(0.9)[0], sop_instance_uid="1.2.9")]
    assert ranked(exam(*images), reference([0.5] * 100)).tenth == ReferenceTenth(WARD, 10)


def test_an_exam_with_an_image_read_by_another_bundle_has_no_tenth() -> None:
    other = BundleId(BUNDLE.name, "2.0")
    images = [replace(image, reading=replace(image.reading, bundle=other)) for image in four_views(0.5)]
    assert ranked(exam(*images), reference([0.5] * 100)).tenth == ReferenceTenth(WARD, None, ANOTHER_BUNDLE)
    mixed = exam(images[0], *four_views(0.5)[1:])
    assert why_not_compared(mixed, BUNDLE) == ANOTHER_BUNDLE
    assert ranked(mixed, reference([0.5] * 100)).tenth is None, "it has no score"


def test_an_exam_without_a_score_has_no_entry_for_a_tenth() -> None:
    assert ranked(exam(), reference([0.5] * 100)).tenth is None


def test_the_number_is_named_with_its_set_and_whether_that_is_screening() -> None:
    assert str(ReferenceTenth(WARD, 9)) == "9 of 10: tenth of reference set ward (n = 100, not screening)"
    screening = replace(WARD, is_screening=True)
    assert str(ReferenceTenth(screening, 10)) == "10 of 10: tenth of reference set ward (n = 100, screening)"
    assert str(ReferenceTenth(WARD, None, NOT_FOUR_VIEWS)) == (
        "no tenth of reference set ward (n = 100, not screening): not all four standard views of it were read"
    )


def test_the_name_of_the_number_always_fits_into_the_meaning_of_a_code() -> None:
    longest = ReferenceTenth(ReferenceSet("x" * LONGEST_NAME, MOST_EXAMS, is_screening=False), 10)
    assert len(longest.name) == 64, "PS3.5 section 6.2, VR LO"


@pytest.mark.parametrize("name", ["", " ward", "ward ", "x" * (LONGEST_NAME + 1), "Füßen", "a\\b", "a\nb", "(a)"])
def test_a_name_that_does_not_fit_into_a_code_of_any_character_set_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be used: give 1 to 12 letters"):
        ReferenceSet(name, 100, is_screening=False)


@pytest.mark.parametrize("exams", [-1, 0, LEAST_EXAMS - 1, MOST_EXAMS + 1])
def test_a_set_of_too_few_exams_is_refused(exams: int) -> None:
    with pytest.raises(ValueError, match="at least 100"):
        ReferenceSet("ward", exams, is_screening=False)
