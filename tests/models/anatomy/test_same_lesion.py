"""Nested findings are a single lesion."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.anatomy.same_lesion import NESTED, innermost
from models.types.region import Box, Mask

SMALL, AROUND, BESIDE = Box(40, 40, 60, 60), Box(10, 10, 90, 90), Box(40, 61, 60, 81)


@pytest.mark.parametrize(
    ("places", "staying"),
    [
        ([AROUND, SMALL], [1]),
        ([SMALL, AROUND], [0]),
        ([SMALL, SMALL], [0]),
        ([SMALL, BESIDE], [0, 1]),
        ([AROUND, SMALL, BESIDE], [1, 2]),
        ([Box(40, 49, 60, 69), SMALL], [0]),
        ([Box(40, 51, 60, 71), SMALL], [0, 1]),
        ([Box(0, 0, 100, 100), AROUND, SMALL], [2]),
        ([], []),
    ],
    ids=["after", "before", "equal", "beside", "two in one", "more than half", "less than half", "three deep", "none"],
)
def test_of_nested_findings_only_the_smallest_is_kept(places: list[Box], staying: list[int]) -> None:
    assert innermost(places) == staying
    assert innermost([_filled(box) for box in places]) == staying


def test_only_findings_of_the_same_kind_are_compared() -> None:
    """With a detector for each kind, a calcification inside a mass is a separate finding."""
    assert innermost([AROUND, SMALL], ["mass", "calcification"]) == [0, 1]
    assert innermost([AROUND, SMALL, AROUND], ["mass", "calcification", "calcification"]) == [0, 1]


def test_masks_are_compared_by_their_pixels_and_not_by_their_boxes() -> None:
    ring = np.ones((80, 80), dtype=np.bool_)
    ring[20:60, 20:60] = False
    assert innermost([Mask(AROUND, ring), _filled(SMALL)]) == [0, 1]


def _filled(box: Box) -> Mask:
    return Mask(box, np.ones((box.height, box.width), dtype=np.bool_))


boxes = st.builds(
    lambda top, left, rows, columns: Box(top, left, top + rows, left + columns),
    *(st.integers(0, 40),) * 2,
    *(st.integers(1, 40),) * 2,
)


@settings(max_examples=60)
@given(st.lists(boxes, max_size=8))
def test_no_two_kept_findings_are_nested_and_every_removed_finding_contains_a_kept_one(found: list[Box]) -> None:
    staying = [found[number] for number in innermost(found)]

    def lies_in(inner: Box, outer: Box) -> bool:
        shared = np.count_nonzero(_filled(inner).full((80, 80)) & _filled(outer).full((80, 80)))
        return bool(shared >= NESTED * inner.area_px)

    for pair in combinations(staying, 2):
        assert not lies_in(*sorted(pair, key=lambda box: box.area_px))
    for gone in found:
        assert any(lies_in(kept, gone) and kept.area_px <= gone.area_px for kept in staying)
