"""YOLOv8, plain or with attention behind early stages (Chen, Liu and Wang, Yolo-MLSAM, section 3.1).

The paper does not say which stages those are; here they are the two C2f blocks at strides 4 and 8 (layers 2 and 4),
and `attended` names others. The network is ultralytics' own with these blocks extended, so its state-dict keys stay
and stock weights load.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.ops import nms  # type: ignore[import-untyped]

from models.anatomy.breast import breast_box
from models.detectors.attention import Attention, make_attention
from models.detectors.stock import C2f, DetectionModel
from models.framing import Frame, Size, frame, rows_columns
from models.protocols import OutOfMemory
from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind

KINDS = (FindingKind.MASS, FindingKind.CALCIFICATION)
"""The network's classes, in the order of its outputs."""

Stage = Literal[2, 4, 6, 8]
"""The C2f blocks of the backbone, at strides 4, 8, 16 and 32, by ultralytics' numbers."""
ATTENDED_LAYERS: tuple[Stage, ...] = (2, 4)

Scale = Literal["n", "s", "m", "l", "x"]
"""How wide and deep the network is: YOLOv8's nano, small, medium, large, extra large."""


class AttendedC2f(C2f):
    """A C2f block whose output passes through attention; it takes the place, and the weights, of a stock block.

    Attributes:
        attention: which one; it is the block's child of that name, so that state dicts tell them apart.
    """

    attention: Attention

    @classmethod
    def convert(cls, block: Any, attention: Attention) -> None:
        """Turns a stock block into an attended one, in place: ultralytics' bookkeeping on it stays."""
        made = make_attention(attention, block.cv2.conv.out_channels)
        if made is not None:
            block.__class__ = cls
            block.attention = attention
            block.add_module(attention, made)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        attended: torch.Tensor = self.get_submodule(self.attention)(super().forward(features))
        return attended


def build(scale: Scale, attention: Attention, attended: Sequence[Stage] = ATTENDED_LAYERS) -> nn.Module:
    """The untrained network, with one class for each of `KINDS`.

    Args:
        scale: YOLOv8's size.
        attention: what stands behind the attended stages.
        attended: the stages that are.

    Raises:
        ValueError: there is no such scale, attention or stage.
    """
    if scale not in get_args(Scale) or attention not in get_args(Attention) or set(attended) - set(get_args(Stage)):
        raise ValueError(f"No YOLOv8 has scale {scale!r} and attention {attention!r} behind layers {attended}.")
    network: nn.Module = DetectionModel(f"yolov8{scale}.yaml", nc=len(KINDS), verbose=False)  # type: ignore[no-untyped-call]
    layers: Any = network.model
    for layer in attended:
        AttendedC2f.convert(layers[layer], attention)
    return network


class YoloDetector:
    """The detector: a frame of the breast in, boxes in source-image pixels out. See `models.protocols.Detector`."""

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        mixed_precision: bool,
        *,
        input_px: Size,
        confidence: float,
        iou: float,
        most: int,
        mirrored: bool,
    ) -> None:
        self._network = network.to(device).to(memory_format=torch.channels_last).eval()
        self._device = device
        # Half precision is faster on a GPU alone.
        self._half = mixed_precision and device.type == "cuda"
        self._input_px, self._confidence, self._iou, self._most = input_px, confidence, iou, most
        self._mirrored = mirrored

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        """Lesions of each image, most confident first; see the protocol."""
        return self.detect_framed([frame(image.pixels, breast_box(image.pixels), self._input_px) for image in images])

    def detect_framed(self, frames: Sequence[Frame]) -> list[tuple[Detection, ...]]:
        """The same, of images whose breast is framed already in `input_px` pixels."""
        # A processor gains nothing by batches, and without them what is found in an image never depends, not by a
        # rounding error, on which others were waiting beside it.
        at_once = max(1, len(frames)) if self._device.type == "cuda" else 1
        outputs = [
            output
            for first in range(0, len(frames), at_once)
            for output in self._outputs(frames[first : first + at_once])
        ]
        return [self._detections(output, breast) for output, breast in zip(outputs, frames, strict=True)]

    def _outputs(self, frames: Sequence[Frame]) -> torch.Tensor:
        pixels = np.stack([breast.pixels for breast in frames])
        try:
            found = self._run(pixels)
            if self._mirrored:
                found = (found + _mirror(self._run(pixels[..., ::-1].copy()), rows_columns(self._input_px))) / 2
        except torch.cuda.OutOfMemoryError as error:
            raise OutOfMemory(f"{len(frames)} images of {self._input_px} pixels did not fit on the device") from error
        return found

    def _run(self, pixels: NDArray[np.float32]) -> torch.Tensor:
        batch = torch.from_numpy(pixels)[:, None].expand(-1, 3, -1, -1)
        with torch.inference_mode(), torch.autocast(self._device.type, torch.float16, enabled=self._half):
            outputs, _ = self._network(batch.to(self._device))
        found: torch.Tensor = outputs.float().cpu()
        return found

    def _detections(self, output: torch.Tensor, shown: Frame) -> tuple[Detection, ...]:
        """`output` is 4 + classes rows (centre x, y, width, height in frame pixels; scores) × places."""
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
                found.append(Detection(box, KINDS[int(kinds[index])], min(1.0, float(scores[index]))))
        return tuple(found)


def _mirror(outputs: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """What was found in a mirrored frame, each place where it belongs in the frame itself.

    `outputs` is batch × (4 + classes) × places; the places are those of strides 8, 16 and 32, row by row.
    """
    shapes = [(size[0] // stride, size[1] // stride) for stride in (8, 16, 32)]
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
    device: torch.device,
    mixed_precision: bool,
    *,
    scale: Scale,
    input_px: Size,
    attention: Attention = "cbam",
    attended: Sequence[Stage] = ATTENDED_LAYERS,
    confidence: float = 0.2,
    iou: float = 0.5,
    most: int = 50,
    mirrored: bool = False,
) -> YoloDetector:
    """Builds the detector from a bundle's weights and settings.

    Args:
        weights: the network's state dict, in any floating-point type.
        device: where it runs.
        mixed_precision: half precision, where the device is a GPU.
        scale: YOLOv8's size, "n" to "x".
        input_px: of the frame that the breast is set in: a side, or rows and columns; multiples of 32.
        attention: what stands behind the attended stages: "none", "cbam", "se" or "eca".
        attended: which stages those are; see `build`.
        confidence: boxes below it are not proposed (0.2 as in the paper).
        iou: of two boxes that overlap by more, the less sure one is dropped.
        most: no more boxes than this an image.
        mirrored: the breast is shown a second time, mirrored, and what is said of each place is averaged.

    Raises:
        RuntimeError: the weights are not those of this network.
        ValueError: see `build`.
    """
    network = build(scale, attention, attended)
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return YoloDetector(
        network,
        device,
        mixed_precision,
        input_px=input_px,
        confidence=confidence,
        iou=iou,
        most=most,
        mirrored=mirrored,
    )
