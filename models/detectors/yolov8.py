"""YOLOv8, plain or with attention after early stages (Chen, Liu and Wang, Yolo-MLSAM, section 3.1).

The paper does not name the stages; by default they are the two C2f blocks at strides 4 and 8 (layers 2 and 4), and
`attended` can name others. The network is that of ultralytics with these blocks extended: its state-dict keys are
unchanged, so stock weights can be loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import nn
from torchvision.ops import nms  # type: ignore[import-untyped]

from models.detectors.attention import Attention, make_attention
from models.detectors.stock import C2f, DetectionModel
from models.framing import Frame, Size, breast_framing
from models.runner import Runner
from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind

KINDS = (FindingKind.MASS, FindingKind.CALCIFICATION)
"""The network's classes, in the order of its outputs."""

Stage = Literal[2, 4, 6, 8]
"""ultralytics' numbers of the backbone's C2f blocks, at strides 4, 8, 16 and 32."""
ATTENDED_LAYERS: tuple[Stage, ...] = (2, 4)

Finest = Literal[4, 8]
"""The stride of the head's finest grid: 8 as in YOLOv8; 4 has a fourth grid for small lesions ("P2")."""

Scale = Literal["n", "s", "m", "l", "x"]
"""Width and depth of the network: YOLOv8's nano, small, medium, large, extra large."""

_AT_ONCE = 32
"""Frames that go through the network together."""


class AttendedC2f(C2f):
    """A C2f block followed by attention; it replaces a stock block and uses that block's weights.

    Attributes:
        attention: its kind; also the name of the child module, so that state-dict keys contain the kind.
    """

    attention: Attention

    @classmethod
    def convert(cls, block: Any, attention: Attention) -> None:
        """Converts a stock block in place, so that the attributes which ultralytics sets on it are kept."""
        made = make_attention(attention, block.cv2.conv.out_channels)
        if made is not None:
            block.__class__ = cls
            block.attention = attention
            block.add_module(attention, made)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        attended: torch.Tensor = self.get_submodule(self.attention)(super().forward(features))
        return attended


def build(
    scale: Scale, attention: Attention, attended: Sequence[Stage] = ATTENDED_LAYERS, finest: Finest = 8
) -> nn.Module:
    """The untrained network, with one class for each of `KINDS`.

    Args:
        scale: YOLOv8's size.
        attention: the attention module after each attended stage.
        attended: the stages followed by attention.
        finest: the stride of the head's finest grid.

    Raises:
        ValueError: there is no such scale, attention, stage or head.
    """
    if scale not in get_args(Scale) or attention not in get_args(Attention) or set(attended) - set(get_args(Stage)):
        raise ValueError(f"No YOLOv8 has scale {scale!r} and attention {attention!r} behind layers {attended}.")
    if finest not in get_args(Finest):
        raise ValueError(f"No YOLOv8 has a head whose finest grid has stride {finest}: 4 or 8.")
    head = "-p2" if finest == 4 else ""
    network: nn.Module = DetectionModel(f"yolov8{scale}{head}.yaml", nc=len(KINDS), verbose=False)  # type: ignore[no-untyped-call]
    layers: Any = network.model
    for layer in attended:
        AttendedC2f.convert(layers[layer], attention)
    return network


class YoloDetector:
    """The detector: a frame of the breast in, boxes in source-image pixels out. See `models.protocols.Detector`."""

    def __init__(
        self,
        network: nn.Module,
        runner: Runner,
        *,
        input_px: Size,
        mm_per_px: float | None,
        confidence: float,
        iou: float,
        most: int,
        mirrored: bool,
        kinds: Sequence[FindingKind] = KINDS,
    ) -> None:
        runner.place(network)
        self._network, self._runner = network, runner
        self._run = runner.recorded(self._outputs, network)
        self._strides = [int(stride) for stride in network.stride]  # type: ignore[union-attr]
        self._framed, self._kinds = breast_framing(input_px, mm_per_px), kinds
        self._confidence, self._iou, self._most, self._mirrored = confidence, iou, most, mirrored

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        """Lesions of each image, most confident first; see the protocol."""
        return self.detect_framed([self._framed(image) for image in images])

    def detect_framed(self, frames: Sequence[Frame]) -> list[tuple[Detection, ...]]:
        """The same, for images that are already framed as this detector frames them."""
        outputs = self._runner.each(self._run, [shown.pixels for shown in frames], _AT_ONCE)
        return [self._detections(output, shown) for output, shown in zip(outputs, frames, strict=True)]

    def _outputs(self, pixels: torch.Tensor) -> torch.Tensor:
        """Frames in (batch × rows × columns), outputs as in `_detections`; the average of both looks if mirrored."""
        found = self._look(pixels)
        if not self._mirrored:
            return found
        turned = self._look(pixels.flip(-1))
        return (found + _mirror(turned, pixels.shape[-2:], self._strides)) / 2

    def _look(self, pixels: torch.Tensor) -> torch.Tensor:
        outputs, _ = self._network(pixels[:, None].expand(-1, 3, -1, -1))
        found: torch.Tensor = outputs.float()
        return found

    def _detections(self, output: torch.Tensor, shown: Frame) -> tuple[Detection, ...]:
        """`output` is 4 + classes rows (centre x, y, width, height in frame pixels; scores) × grid cells."""
        scores, kinds = output[4:].max(dim=0)
        sure = scores >= self._confidence
        centres, sizes = output[:2, sure].T, output[2:4, sure].T
        boxes, scores, kinds = torch.cat((centres - sizes / 2, centres + sizes / 2), dim=1), scores[sure], kinds[sure]
        # One lesion has one kind: boxes of different kinds suppress each other too.
        kept = nms(boxes, scores, self._iou)[: self._most].tolist()
        found = []
        for index in kept:
            box = shown.to_source(*boxes[index].tolist())
            if box is not None:
                found.append(Detection(box, self._kinds[int(kinds[index])], min(1.0, float(scores[index]))))
        return tuple(found)


def _mirror(outputs: torch.Tensor, size: tuple[int, ...], strides: Sequence[int]) -> torch.Tensor:
    """The network's output for a mirrored frame, mirrored back.

    `outputs` is batch × (4 + classes) × grid cells; the cells are those of each stride, row by row.
    """
    shapes = [(size[0] // stride, size[1] // stride) for stride in strides]
    grids = torch.split(outputs, [rows * columns for rows, columns in shapes], dim=-1)
    turned = torch.cat(
        [
            grid.reshape(*grid.shape[:-1], *shape).flip(-1).flatten(-2)
            for grid, shape in zip(grids, shapes, strict=True)
        ],
        dim=-1,
    )
    return torch.cat((size[1] - turned[:, :1], turned[:, 1:]), dim=1)


def load(
    weights: Mapping[str, torch.Tensor],
    runner: Runner,
    *,
    scale: Scale,
    input_px: Size,
    mm_per_px: float | None = None,
    attention: Attention = "cbam",
    attended: Sequence[Stage] = ATTENDED_LAYERS,
    finest: Finest = 8,
    confidence: float = 0.2,
    iou: float = 0.5,
    most: int = 50,
    mirrored: bool = False,
) -> YoloDetector:
    """Builds the detector from a bundle's weights and settings.

    Args:
        weights: the network's state dict, in any floating-point type.
        runner: how it is run.
        scale: YOLOv8's size, "n" to "x".
        input_px: size of the frame that shows the breast: the side of a square, or rows and columns; multiples of 32.
        mm_per_px: if given, each breast has a frame of its own size at this scale, and `input_px` is the size of the
            windows onto such frames that the network was trained on.
        attention: the attention module after each attended stage: "none", "cbam", "se" or "eca".
        attended: those stages; see `build`.
        finest: the stride of the head's finest grid.
        confidence: boxes below it are not proposed (0.2 as in the paper).
        iou: of two boxes that overlap by more, the less confident one is dropped.
        most: the maximum number of boxes per image.
        mirrored: the network also runs on the mirrored breast, and the two outputs are averaged.

    Raises:
        RuntimeError: the weights do not fit this network.
        ValueError: see `build`.
    """
    network = build(scale, attention, attended, finest)
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    runner.prepare(network)
    return YoloDetector(
        network,
        runner,
        input_px=input_px,
        mm_per_px=mm_per_px,
        confidence=confidence,
        iou=iou,
        most=most,
        mirrored=mirrored,
    )
