"""The detector's box losses: 0 for an exact box, and gradients that lead to the target."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from models.detectors.stock import BboxLoss
from models.detectors.yolov8 import build
from models.training.detector.box_loss import ALPHA, BETA, Eq3Loss, detection_loss, eq3


def _boxes(*boxes: tuple[float, float, float, float]) -> torch.Tensor:
    return torch.tensor(boxes, dtype=torch.float32)


def _ciou(boxes: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """ultralytics' box loss of one pair."""
    return _through(BboxLoss(16), boxes, targets)[0]


def _through(loss: BboxLoss, boxes: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    everywhere = torch.ones(1, len(boxes), dtype=torch.bool)
    scores, anchors = torch.ones(1, len(boxes), 1), torch.full((len(boxes), 2), 8.0)
    distances = torch.zeros(1, len(boxes), 64)
    sizes = torch.tensor((64.0, 64.0)), torch.ones(len(boxes), 1)
    return loss(distances, boxes[None], anchors, targets[None], scores, scores.sum(), everywhere, *sizes)


LOSSES = {"ciou": _ciou, "eq3": lambda boxes, targets: eq3(boxes, targets).sum()}


@pytest.fixture(params=LOSSES)
def loss(request: pytest.FixtureRequest) -> Any:
    return LOSSES[request.param]


def test_the_loss_of_equal_boxes_is_zero(loss: Any) -> None:
    box = _boxes((3, 4, 10, 9))
    assert float(loss(box, box)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("start", [(14, 4, 21, 9), (3, 12, 10, 17), (6, 7, 13, 12), (1, 1, 20, 20)])
def test_gradient_descent_moves_a_box_to_its_target(loss: Any, start: tuple[float, ...]) -> None:
    target = _boxes((3, 4, 10, 9))
    box = torch.tensor([start], dtype=torch.float32, requires_grad=True)
    steps = torch.optim.Adam([box], lr=0.3)
    for _ in range(100):
        steps.zero_grad()
        loss(box, target).backward()
        steps.step()
    assert float((box - target).detach().abs().max()) < 1


@pytest.mark.parametrize("shift", [(4.0, 0.0), (0.0, -30.0), (3.0, 2.0), (40.0, 25.0), (-9.0, 70.0)])
def test_the_gradient_points_to_the_target_even_from_a_large_distance(loss: Any, shift: tuple[float, float]) -> None:
    target = _boxes((103, 104, 110, 109))
    moved = torch.tensor(shift, requires_grad=True)
    loss(target + moved.repeat(2)[None], target).backward()
    assert moved.grad is not None
    assert float(moved.grad @ moved.detach()) > 0  # descending the gradient reduces the shift


def test_the_loss_is_symmetric_in_box_and_target(loss: Any) -> None:
    first, second = _boxes((3, 4, 10, 9)), _boxes((5, 1, 11, 12))
    assert float(loss(first, second)) == pytest.approx(float(loss(second, first)), abs=1e-6)


def test_the_angle_counts_only_if_the_centres_differ_in_both_axes() -> None:
    target = _boxes((0, 0, 10, 10))
    for box, off_axis in (((30, 0, 40, 10), False), ((0, 30, 10, 40), False), ((20, 20, 30, 30), True)):
        with_angle = float(eq3(_boxes(box), target, beta=1.0))
        without = float(eq3(_boxes(box), target, beta=0.0))
        assert (with_angle - without > 0.3) is off_axis
        assert off_axis or with_angle == without


def test_equation_3_is_the_sum_of_overlap_distance_and_angle() -> None:
    box, target = _boxes((4, 3, 8, 7)), _boxes((0, 0, 4, 4))
    diagonal, distance, angle = 8**2 + 7**2, 4**2 + 3**2, math.sin(2 * math.atan2(3, 4))
    expected = 1 + (ALPHA + BETA * angle) * distance / diagonal
    assert float(eq3(box, target)) == pytest.approx(expected, abs=1e-6)


def test_the_angle_never_outweighs_the_distance() -> None:
    target = _boxes((0, 0, 10, 10))
    for shift in (1e-3, 0.1, 3.0, 50.0):
        box = target + torch.tensor([[shift, shift, shift, shift]])
        overlap, distance, both = (float(eq3(box, target, *weights)) for weights in ((0, 0), (1, 0), (1, 1)))
        assert both - distance <= distance - overlap + 1e-6


def test_the_chosen_box_loss_replaces_that_of_ultralytics_and_keeps_the_focal_loss() -> None:
    boxes, targets = _boxes((4, 3, 8, 7), (5, 5, 12, 12)), _boxes((0, 0, 4, 4), (5, 5, 11, 12))
    box, focal = _through(Eq3Loss(16, ALPHA, BETA), boxes, targets)
    assert float(box) == pytest.approx(float(eq3(boxes, targets).mean()), abs=1e-6)
    assert torch.equal(focal, _through(BboxLoss(16), boxes, targets)[1])
    network = build("n", "none")
    assert type(detection_loss(network, "ciou").bbox_loss) is BboxLoss
    assert type(detection_loss(network, "eq3").bbox_loss) is Eq3Loss
