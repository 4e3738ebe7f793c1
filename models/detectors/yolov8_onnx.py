"""A YOLOv8 that ultralytics exported to ONNX (`yolo export format=onnx`, without `nms`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from models.detectors.yolov8 import YoloDetector
from models.framing import Size
from models.onnx_network import OnnxNetwork
from models.runner import Runner
from models.types.reading import FindingKind


class _OnnxYolo(torch.nn.Module):
    """In the shape in which `YoloDetector` knows its network."""

    stride: tuple[int, ...] = ()
    """Of the grids; only needed for mirrored looks, which a network from elsewhere is not given."""

    def __init__(self, network: OnnxNetwork) -> None:
        super().__init__()
        self._network = network

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, None]:
        return self._network(pictures[:, 0]), None


def load(
    weights: object,
    runner: Runner,
    *,
    input_px: Size,
    mm_per_px: float | None = None,
    kinds: Sequence[str] = ("mass", "calcification"),
    confidence: float = 0.2,
    iou: float = 0.5,
    most: int = 50,
) -> YoloDetector:
    """Builds the detector from a file and settings.

    Args:
        weights: the content of the ONNX file; its output is batch × (4 + classes) × cells: centre x, y, width and
            height in pixels of the input, then a score of each class.
        input_px, mm_per_px, confidence, iou, most: as of models/detectors/yolov8.py.
        kinds: what its classes are, in order; see models.types.reading.FindingKind.

    Raises:
        ValueError: the file is not of this form, or a setting does not fit it.
    """
    network = OnnxNetwork(weights, runner.device)
    network.takes(None if mm_per_px is not None else input_px)
    shape = network.output_shape()
    if len(shape) != 3 or (isinstance(shape[1], int) and shape[1] != 4 + len(kinds)):
        raise ValueError(
            f"its output is {' × '.join(map(str, shape))}, which is no YOLOv8's with the classes {', '.join(kinds)}: "
            f"batch × {4 + len(kinds)} × cells"
        )
    unrecorded = replace(runner, capture=None)  # ONNX Runtime's calls cannot be recorded
    return YoloDetector(
        _OnnxYolo(network), unrecorded, input_px=input_px, mm_per_px=mm_per_px, confidence=confidence, iou=iou,
        most=most, mirrored=False, kinds=[FindingKind(kind) for kind in kinds],
    )  # fmt: skip
