"""Mean average precision of boxes by COCO's rules (torchmetrics with pycocotools)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torchmetrics.detection import MeanAveragePrecision

from models.types.region import Box


@dataclass(frozen=True)
class Boxes:
    """One image's proposals (box, confidence) and the boxes of its lesions. All have the same class, "lesion"."""

    proposals: tuple[tuple[Box, float], ...]
    lesions: tuple[Box, ...]


def mean_average_precision(images: Sequence[Boxes]) -> tuple[float, float]:
    """mAP50 and mAP50-95, each 0..1; NaN if no image has a lesion.

    Masses and calcifications count as one class, because paper B has only one. At most 100 proposals per image count.
    """
    if not any(image.lesions for image in images):
        return float("nan"), float("nan")
    metric = MeanAveragePrecision(box_format="xyxy", iou_type="bbox")
    metric.warn_on_many_detections = False
    metric.update(
        [
            {
                "boxes": _corners([box for box, _ in image.proposals]),
                "scores": torch.tensor([confidence for _, confidence in image.proposals]),
                "labels": torch.zeros(len(image.proposals), dtype=torch.long),
            }
            for image in images
        ],
        [
            {"boxes": _corners(image.lesions), "labels": torch.zeros(len(image.lesions), dtype=torch.long)}
            for image in images
        ],
    )
    figures = metric.compute()
    return float(figures["map_50"]), float(figures["map"])


def _corners(boxes: Sequence[Box]) -> torch.Tensor:
    corners = [(box.left, box.top, box.right, box.bottom) for box in boxes]
    return torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)
