"""Average precision by COCO's rules."""

from __future__ import annotations

import math

import pytest

from models.measures.average_precision import Boxes, mean_average_precision
from models.types.region import Box

LESION = Box(10, 10, 50, 50)


def test_average_precision_is_1_for_a_perfect_detector_and_0_for_one_without_proposals() -> None:
    assert mean_average_precision([Boxes(((LESION, 0.9),), (LESION,))]) == pytest.approx((1, 1))
    assert mean_average_precision([Boxes((), (LESION,))]) == pytest.approx((0, 0))


def test_a_box_with_an_overlap_of_five_eighths_counts_at_50_but_not_at_95() -> None:
    half, all_ = mean_average_precision([Boxes(((Box(10, 10, 35, 50), 0.9),), (LESION,))])
    assert half == pytest.approx(1)
    assert all_ == pytest.approx(0.3)  # IoU .625: right at .50, .55 and .60


def test_without_lesions_there_is_no_average_precision() -> None:
    assert all(math.isnan(value) for value in mean_average_precision([Boxes(((LESION, 0.9),), ())]))
