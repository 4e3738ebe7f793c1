"""Mean average precision of boxes by COCO's rules (pycocotools)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params

from models.types.region import Box

_LESION = 1
"""The one class."""
_HALF = 0
"""The place of an IoU of 0.5 among COCO's thresholds."""


@dataclass(frozen=True)
class MatchedBoxes:
    """One image's proposals, matched with its lesions.

    Attributes:
        lesions: how many there are.
    """

    lesions: int
    _evaluated: Any = field(repr=False)


def matched_boxes(proposals: Sequence[tuple[Box, float]], lesions: Sequence[Box]) -> MatchedBoxes:
    """Matches an image's proposals (box, confidence) with its lesions at COCO's ten overlaps, the most confident first.

    Masses and calcifications count as one class, because paper B has only one. At most 100 proposals count.
    """
    with redirect_stdout(io.StringIO()):  # it tells of each step
        evaluator = COCOeval(
            _data_set([(box, {"iscrowd": 0}) for box in lesions]),
            _data_set([(box, {"score": confidence}) for box, confidence in proposals]),
            "bbox",
        )
        evaluator.params = _parameters([1])
        evaluator.evaluate()
    return MatchedBoxes(len(lesions), evaluator.evalImgs[0])


def mean_average_precision(images: Sequence[MatchedBoxes]) -> tuple[float, float]:
    """mAP50 and mAP50-95, each 0..1; NaN if no image has a lesion. An image may be there more than once."""
    if not any(image.lesions for image in images):
        return float("nan"), float("nan")
    evaluator = COCOeval(iouType="bbox")
    evaluator.params = evaluator._paramsEval = _parameters(list(range(len(images))))
    evaluator.evalImgs = [image._evaluated for image in images]
    with redirect_stdout(io.StringIO()):
        evaluator.accumulate()
    precision = evaluator.eval["precision"]  # (overlaps, recalls, 1, 1, 1)
    return float(precision[_HALF].mean()), float(precision.mean())


def _parameters(images: list[int]) -> Params:
    """Boxes of all sizes, at most 100 proposals an image."""
    parameters = Params(iouType="bbox")
    parameters.imgIds, parameters.catIds = images, [_LESION]
    parameters.areaRng, parameters.areaRngLbl = parameters.areaRng[:1], parameters.areaRngLbl[:1]
    parameters.maxDets = parameters.maxDets[-1:]
    return parameters


def _data_set(boxes: Sequence[tuple[Box, dict[str, float]]]) -> COCO:
    """COCO's data set of one image."""
    data_set = COCO()
    data_set.dataset = {
        "images": [{"id": 1}],
        "categories": [{"id": _LESION}],
        "annotations": [
            {
                "id": number,
                "image_id": 1,
                "category_id": _LESION,
                "bbox": [box.left, box.top, box.right - box.left, box.bottom - box.top],
                "area": (box.right - box.left) * (box.bottom - box.top),
                **values,
            }
            for number, (box, values) in enumerate(boxes, 1)
        ],
    }
    data_set.createIndex()
    return data_set
