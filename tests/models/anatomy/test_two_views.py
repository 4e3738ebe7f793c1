"""Findings of two views equally far from the nipple are matched, with a certainty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from models.anatomy.two_views import LARGEST_DIFFERENCE_MM, tie_views
from models.types.exam import ExamImage, FindingId, Tie
from models.types.mammogram import Laterality
from models.types.reading import BundleId, Finding, FindingKind, ImageReading
from models.types.region import Box, Mask

MASS, CALCIFICATION = FindingKind.MASS, FindingKind.CALCIFICATION
BOTH = FindingKind.MASS_WITH_CALCIFICATIONS
L, R = Laterality.LEFT, Laterality.RIGHT
NIPPLE = (1000, 1500)


def _image(
    view: str,
    distances_mm: Sequence[float],
    *,
    side: Laterality = L,
    kinds: Sequence[FindingKind] = (),
    spacing_mm: tuple[float, float] | None = (0.1, 0.1),
    nipple: tuple[int, int] | None = NIPPLE,
) -> ExamImage:
    """Findings straight behind the nipple, so many millimetres from it."""
    findings = []
    for number, distance in enumerate(distances_mm):
        left = NIPPLE[1] - round(distance * 10)
        box = Box(NIPPLE[0] - 10, left - 10, NIPPLE[0] + 11, left + 11)
        kind = kinds[number] if kinds else MASS
        findings.append(Finding(kind, box, Mask(box, np.ones((21, 21), dtype=np.bool_)), 0.9, 0.5))
    reading = ImageReading(
        tuple(findings), 0.5, (2000, 1600), BundleId("test", "1"), spacing_mm=spacing_mm, nipple=nipple
    )
    return ExamImage(f"{side}.{view}", side, view, reading)


def _numbers(ties: Sequence[Tie]) -> list[tuple[int, int]]:
    return [(tie.findings[0].number, tie.findings[1].number) for tie in ties]


def test_findings_equally_far_from_the_nipple_in_two_views_are_matched_with_their_distances() -> None:
    (tie,) = tie_views([_image("MLO", [46]), _image("CC", [43])])
    assert tie.findings == (FindingId("L.CC", 1), FindingId("L.MLO", 1))
    assert tie.distances_mm == pytest.approx((43, 46))
    assert tie.certainty == pytest.approx(2.4 / 3.4)


def test_a_larger_difference_makes_a_match_less_certain_and_a_too_large_one_prevents_it() -> None:
    near, far = (tie_views([_image("CC", [40]), _image("MLO", [mm])])[0].certainty for mm in (42, 60))
    assert near > far == pytest.approx(0.5)
    assert tie_views([_image("CC", [40]), _image("MLO", [41 + LARGEST_DIFFERENCE_MM])]) == ()


def test_each_finding_has_at_most_one_match_and_the_sum_of_differences_is_smallest() -> None:
    ties = tie_views([_image("CC", [30, 50]), _image("MLO", [52, 33])])
    assert _numbers(ties) == [(1, 2), (2, 1)]


def test_as_many_findings_as_possible_are_matched() -> None:
    # 30 is nearest to 40, but then 60 would have no match: 10 is too far away.
    ties = tie_views([_image("CC", [30, 60]), _image("MLO", [40, 10])])
    assert _numbers(ties) == [(1, 2), (2, 1)]


def test_another_possible_match_makes_a_match_less_certain() -> None:
    (alone,) = tie_views([_image("CC", [40]), _image("MLO", [41])])
    (one_of_two,) = tie_views([_image("CC", [40]), _image("MLO", [41, 44])])
    (beside_a_far_one,) = tie_views([_image("CC", [40]), _image("MLO", [41, 90])])
    assert one_of_two.certainty == pytest.approx(2.4 / 5.8)
    assert one_of_two.certainty < alone.certainty == beside_a_far_one.certainty


def test_findings_of_different_kinds_or_breasts_are_not_matched() -> None:
    cc = _image("CC", [40, 60], kinds=[MASS, CALCIFICATION])
    mlo = _image("MLO", [60, 40], kinds=[MASS, CALCIFICATION])
    assert _numbers(tie_views([cc, mlo])) == [(1, 1), (2, 2)]
    assert tie_views([_image("CC", [40], side=L), _image("MLO", [40], side=R)]) == ()


def test_a_mass_is_matched_with_one_whose_calcifications_show_in_its_view_only() -> None:
    cc = _image("CC", [40, 40], kinds=[BOTH, CALCIFICATION])
    mlo = _image("MLO", [40, 40], kinds=[CALCIFICATION, MASS])
    assert _numbers(tie_views([cc, mlo])) == [(1, 2), (2, 1)]


@pytest.mark.parametrize("view", ["MLO", "LMO", "ML", "LM"])
def test_findings_of_a_view_from_above_are_matched_with_each_side_view(view: str) -> None:
    assert len(tie_views([_image("CC", [40]), _image(view, [40])])) == 1


def test_findings_of_two_views_from_the_same_direction_are_not_matched() -> None:
    assert tie_views([_image("ML", [40]), _image("MLO", [40])]) == ()


def test_without_spacing_or_nipple_no_findings_are_matched() -> None:
    assert tie_views([_image("CC", [40], spacing_mm=None), _image("MLO", [40])]) == ()
    assert tie_views([_image("CC", [40]), _image("MLO", [40], nipple=None)]) == ()


def test_images_without_findings_have_no_matches() -> None:
    assert tie_views([_image("CC", []), _image("MLO", [40])]) == ()
    assert tie_views([]) == ()
