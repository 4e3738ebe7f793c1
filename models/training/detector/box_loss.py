"""The box losses of Yolo-MLSAM (Chen, Liu and Wang, section 3.1), inserted into ultralytics' loss for YOLOv8.

The paper's text names CIoU (Zheng et al. 2020). The formula it prints, eq. 3, is L = 1 − IoU + α·d² + β·v with an
angular term, which is closer to SIoU (Gevorgyan 2022); it gives no α and β. Both losses are available. Eq. 3 is
interpreted as follows:

    d   distance of the two centres, divided by the diagonal of the smallest box around both;
    v   SIoU's angle cost, sin 2φ, times d², where φ is the angle between the line through the centres and an axis: 0 if
        the centres lie on a horizontal or vertical line, d² if they lie on a diagonal. In SIoU too the angle acts only
        through the distance. Alone, the angle term would not shrink with the distance: nearly equal boxes would get
        large gradients, and in small trials networks did not learn to predict any boxes;
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
        boxes: n × 4, left, top, right, bottom, in any unit of length.
        targets: the boxes they should be; n × 4, the same unit.
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
    """ultralytics' box loss with eq. 3 instead of CIoU; its distribution focal loss is unchanged."""

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
    """ultralytics' loss for YOLOv8 on the network's device, with the given box loss.

    Returns:
        A callable that takes the network's training output and the targets, and returns the three losses (box, classes,
        distribution focal), each times the number of images, and the same three losses without gradients.
    """
    network.args = _GAINS  # type: ignore[assignment]  # ultralytics' loss reads its gains from this attribute
    criterion: Any = v8DetectionLoss(network)
    if box_loss == "eq3":
        criterion.bbox_loss = Eq3Loss(criterion.reg_max, alpha, beta).to(criterion.device)
    return criterion
