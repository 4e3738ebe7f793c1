"""The box losses of Yolo-MLSAM (Chen, Liu and Wang, section 3.1), set into ultralytics' loss for YOLOv8.

The paper's text names CIoU (Zheng et al. 2020); the formula it prints, eq. 3, is L = 1 − IoU + α·d² + β·v with an
angular term, which is nearer to SIoU (Gevorgyan 2022), and gives no α and β. Both can be chosen; eq. 3 is read so:

    d   distance of the two centres over the diagonal of the smallest box round both;
    v   SIoU's angle cost, sin 2φ, times d², φ being the angle between the line of the centres and an axis: 0 where one
        centre lies straight beside or above the other, d² where they lie cornerwise. In SIoU too the angle acts by
        way of the distance. Alone it would not shrink with the distance: it would push nearly equal boxes about, and in
        small trials it kept networks from learning their first boxes at all;
    α   1, as for the distance in CIoU;
    β   1, so that the angle never outweighs the distance.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.detectors.stock import BboxLoss, v8DetectionLoss

BoxLoss = Literal["ciou", "eq3"]

ALPHA, BETA = 1.0, 1.0
_GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
"""ultralytics' defaults for the three losses."""
_TINY = 1e-7


def eq3(boxes: Tensor, targets: Tensor, alpha: float = ALPHA, beta: float = BETA) -> Tensor:
    """Equation 3 for each pair of boxes: 0 where they are equal, less than 1 + α + β.

    Args:
        boxes: n × 4, left, top, right, bottom.
        targets: the same, of what they should be.
        alpha: weight of the squared distance.
        beta: weight of the angular term.

    Returns:
        n × 1.
    """
    low, high = torch.maximum(boxes[:, :2], targets[:, :2]), torch.minimum(boxes[:, 2:], targets[:, 2:])
    both = (high - low).clamp(min=0).prod(dim=1)
    union = _area(boxes) + _area(targets) - both
    around = torch.maximum(boxes[:, 2:], targets[:, 2:]) - torch.minimum(boxes[:, :2], targets[:, :2])
    diagonal = around.square().sum(dim=1) + _TINY  # squared, as is the distance
    apart = (boxes[:, :2] + boxes[:, 2:] - targets[:, :2] - targets[:, 2:]) / 2
    distance = apart.square().sum(dim=1)
    angle = 2 * apart.prod(dim=1).abs()  # sin 2φ times the squared distance
    loss: Tensor = 1 - both / (union + _TINY) + (alpha * distance + beta * angle) / diagonal
    return loss[:, None]


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)


class Eq3Loss(BboxLoss):
    """ultralytics' box loss with eq. 3 in CIoU's place; the distribution focal loss beside it stays."""

    def __init__(self, bins: int, alpha: float, beta: float) -> None:
        super().__init__(bins)
        self._alpha, self._beta = alpha, beta

    def forward(
        self,
        pred_dist: Tensor,
        pred_bboxes: Tensor,
        anchor_points: Tensor,
        target_bboxes: Tensor,
        target_scores: Tensor,
        target_scores_sum: Tensor,
        fg_mask: Tensor,
        imgsz: Tensor,
        stride: Tensor,
    ) -> tuple[Tensor, Tensor]:
        _, focal = super().forward(
            pred_dist,
            pred_bboxes,
            anchor_points,
            target_bboxes,
            target_scores,
            target_scores_sum,
            fg_mask,
            imgsz,
            stride,
        )
        weight = target_scores[fg_mask].sum(-1, keepdim=True)
        each = eq3(pred_bboxes[fg_mask], target_bboxes[fg_mask], self._alpha, self._beta)
        return (each * weight).sum() / target_scores_sum, focal


def detection_loss(network: nn.Module, box_loss: BoxLoss, alpha: float = ALPHA, beta: float = BETA) -> Any:
    """ultralytics' loss for YOLOv8 on the network's device, with the box loss of one's choice.

    Returns:
        A callable: what the network gives in training and the targets → (three losses times the images, the same
        without gradients by name).
    """
    network.args = _GAINS  # type: ignore[assignment]  # where ultralytics' loss looks for its gains
    criterion: Any = v8DetectionLoss(network)
    if box_loss == "eq3":
        criterion.bbox_loss = Eq3Loss(criterion.reg_max, alpha, beta).to(criterion.device)
    return criterion
