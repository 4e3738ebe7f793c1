"""When a study is complete: every rule of the ladder."""

from __future__ import annotations

from dataclasses import replace

from models.types.mammogram import Laterality
from node.studies.completeness import Arrivals, Close, Ladder, Wait, closing

LADDER = Ladder(four_views_quiet_s=5, quiet_s=60, deadline_s=1800)
ALL = frozenset((side, view) for side in Laterality for view in ("CC", "MLO"))
LEFT = frozenset((Laterality.LEFT, view) for view in ("CC", "MLO"))
TWO_LEFT = Arrivals(views=LEFT, count=2, expected=None, opened_at=1000, last_at=1010)


def test_four_views_close_after_a_short_time_without_new_images() -> None:
    four = replace(TWO_LEFT, views=ALL, count=4)
    assert isinstance(closing(four, LADDER, 1014), Wait)
    assert closing(four, LADDER, 1015) == Close("four views are there")


def test_two_views_wait_for_the_quiet_period() -> None:
    assert isinstance(closing(TWO_LEFT, LADDER, 1069), Wait)
    assert closing(TWO_LEFT, LADDER, 1070) == Close("nothing more has come in the quiet period")


def test_the_image_count_of_the_source_closes_a_unilateral_exam_early() -> None:
    assert isinstance(closing(replace(TWO_LEFT, expected=2), LADDER, 1015), Close)


def test_a_study_with_more_images_at_the_source_is_not_closed_by_the_quiet_period() -> None:
    waiting = closing(replace(TWO_LEFT, expected=3), LADDER, 1500)
    assert waiting == Wait("2 of the 3 instances that the source holds have come", until=2800)


def test_a_waiting_study_states_when_it_closes_without_new_images() -> None:
    arrivals = [TWO_LEFT, replace(TWO_LEFT, expected=2), replace(TWO_LEFT, views=ALL), replace(TWO_LEFT, expected=9)]
    for entry in [*arrivals, *(replace(arrival, last_at=2798) for arrival in arrivals)]:
        wait = closing(entry, LADDER, entry.last_at)
        assert isinstance(wait, Wait)
        assert isinstance(closing(entry, LADDER, wait.until - 0.5), Wait)
        assert isinstance(closing(entry, LADDER, wait.until), Close)


def test_the_deadline_closes_an_incomplete_study() -> None:
    assert closing(replace(TWO_LEFT, expected=4, last_at=2799), LADDER, 2800) == Close("the deadline has passed")
