"""Average precision by COCO's rules."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.detection import MeanAveragePrecision

from models.measures.average_precision import matched_boxes, mean_average_precision
from models.types.region import Box

LESION = Box(10, 10, 50, 50)
Image = tuple[list[tuple[Box, float]], list[Box]]
"""Its proposals, and its lesions."""


def precision(*images: Image) -> tuple[float, float]:
    return mean_average_precision([matched_boxes(*image) for image in images])


def test_average_precision_is_1_for_a_perfect_detector_and_0_for_one_without_proposals() -> None:
    assert precision(([(LESION, 0.9)], [LESION])) == pytest.approx((1, 1))
    assert precision(([], [LESION])) == pytest.approx((0, 0))


def test_a_box_with_an_overlap_of_five_eighths_counts_at_50_but_not_at_95() -> None:
    half, all_ = precision(([(Box(10, 10, 35, 50), 0.9)], [LESION]))
    assert half == pytest.approx(1)
    assert all_ == pytest.approx(0.3)  # IoU .625: right at .50, .55 and .60


def test_without_lesions_there_is_no_average_precision() -> None:
    assert all(math.isnan(value) for value in precision(([(LESION, 0.9)], [])))


def boxes() -> st.SearchStrategy[Box]:
    sides = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(5, 30), st.integers(5, 30))
    return sides.map(lambda at: Box(at[0], at[1], at[0] + at[2], at[1] + at[3]))


def images() -> st.SearchStrategy[Image]:
    proposals = st.lists(st.tuples(boxes(), st.integers(1, 20).map(lambda twentieth: twentieth / 20)), max_size=6)
    return st.tuples(proposals, st.lists(boxes(), max_size=4))


@given(st.lists(images(), min_size=1, max_size=4), st.data())
def test_images_that_are_drawn_again_give_what_torchmetrics_gives_for_all_of_them(
    some: list[Image], data: st.DataObject
) -> None:
    """A draw of the bootstrap has images twice, and matches none anew."""
    matched = [matched_boxes(*image) for image in some]
    draw = data.draw(st.lists(st.integers(0, len(some) - 1), min_size=1, max_size=6))
    expected = by_torchmetrics([some[index] for index in draw])
    assert mean_average_precision([matched[index] for index in draw]) == pytest.approx(expected, abs=1e-6, nan_ok=True)


def by_torchmetrics(some: Sequence[Image]) -> tuple[float, float]:
    if not any(lesions for _, lesions in some):
        return math.nan, math.nan
    metric = MeanAveragePrecision(box_format="xyxy", iou_type="bbox")
    metric.update(
        [
            {
                "boxes": corners([box for box, _ in proposals]),
                "scores": torch.tensor([confidence for _, confidence in proposals]),
                "labels": torch.zeros(len(proposals), dtype=torch.long),
            }
            for proposals, _ in some
        ],
        [{"boxes": corners(lesions), "labels": torch.zeros(len(lesions), dtype=torch.long)} for _, lesions in some],
    )
    figures = metric.compute()
    return float(figures["map_50"]), float(figures["map"])


def corners(some: Sequence[Box]) -> torch.Tensor:
    return torch.tensor([(box.left, box.top, box.right, box.bottom) for box in some]).reshape(-1, 4).float()
