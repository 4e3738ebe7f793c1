"""YOLOv8 with CBAM behind its two early stages (Chen, Liu and Wang, Yolo-MLSAM, section 3.1), by ultralytics.

The paper does not say which layers those are; here they are the two C2f blocks at strides 4 and 8 (layers 2 and 4).
The network is ultralytics' own with these two blocks replaced, so its state-dict keys stay and stock weights load.

Importing ultralytics writes a settings file, looks for the network, sets OMP_NUM_THREADS and replaces torch.save. Its
own switches for that are environment variables, which are therefore set here, before the import, and torch.save is
put back. This file and those in `models/training` that import it are the only places that import ultralytics.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torchvision.ops import nms  # type: ignore[import-untyped]

from models.breast import breast_box
from models.detectors.cbam import CBAM
from models.framing import Frame, frame
from models.protocols import OutOfMemory
from models.types import Detection, FindingKind, Mammogram

_SAVE, _LOAD = torch.save, torch.load
with tempfile.TemporaryDirectory(prefix="mammo-node-yolo-") as _folder:
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    os.environ |= {"YOLO_CONFIG_DIR": _folder, "YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"}
    os.environ |= {"YOLO_VERBOSE": "false"}
    from ultralytics.nn.modules.block import DFL, SPPF, Bottleneck, C2f
    from ultralytics.nn.modules.conv import Concat, Conv
    from ultralytics.nn.modules.head import Detect
    from ultralytics.nn.tasks import DetectionModel
torch.save, torch.load = _SAVE, _LOAD

KINDS = (FindingKind.MASS, FindingKind.CALCIFICATION)
"""The network's classes, in the order of its outputs."""
ATTENDED_LAYERS = (2, 4)

Scale = Literal["n", "s"]
"""How wide the network is: YOLOv8's nano or small."""


class AttendedC2f(C2f):
    """A C2f block whose output passes through CBAM; it takes the place, and the weights, of a stock block."""

    cbam: CBAM

    @classmethod
    def around(cls, block: Any) -> None:
        """Turns a stock block into an attended one, in place: ultralytics' bookkeeping on it stays."""
        block.__class__ = cls
        block.cbam = CBAM(block.cv2.conv.out_channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        attended: torch.Tensor = self.cbam(super().forward(features))
        return attended


def build(scale: Scale) -> nn.Module:
    """The untrained network, with one class for each of `KINDS`."""
    network: nn.Module = DetectionModel(f"yolov8{scale}.yaml", nc=len(KINDS), verbose=False)  # type: ignore[no-untyped-call]
    layers: Any = network.model
    for layer in ATTENDED_LAYERS:
        AttendedC2f.around(layers[layer])
    return network


def start_classes() -> tuple[type, ...]:
    """The classes a pickled stock YOLOv8 is made of; reading one may make these and no others."""
    stock = (DetectionModel, Detect, C2f, Bottleneck, SPPF, DFL, Conv, Concat)
    layers = (nn.Sequential, nn.ModuleList, nn.Conv2d, nn.BatchNorm2d, nn.SiLU, nn.MaxPool2d, nn.Upsample)
    return (*stock, *layers, set)


class YoloCbam:
    """The detector: a frame of the breast in, boxes in source-image pixels out. See `models.protocols.Detector`."""

    def __init__(
        self,
        network: nn.Module,
        device: torch.device,
        mixed_precision: bool,
        *,
        input_px: int,
        confidence: float,
        iou: float,
        most: int,
    ) -> None:
        self._network = network.to(device).to(memory_format=torch.channels_last).eval()
        self._device = device
        # Half precision is faster on a GPU alone.
        self._half = mixed_precision and device.type == "cuda"
        self._input_px, self._confidence, self._iou, self._most = input_px, confidence, iou, most

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        """Lesions of each image, most confident first; see the protocol."""
        frames = [frame(image.pixels, breast_box(image.pixels), self._input_px) for image in images]
        # A processor gains nothing by batches, and without them what is found in an image never depends, not by a
        # rounding error, on which others were waiting beside it.
        at_once = max(1, len(frames)) if self._device.type == "cuda" else 1
        outputs = [
            output
            for first in range(0, len(frames), at_once)
            for output in self._outputs(frames[first : first + at_once])
        ]
        return [self._detections(output, one) for output, one in zip(outputs, frames, strict=True)]

    def _outputs(self, frames: Sequence[Frame]) -> torch.Tensor:
        batch = torch.from_numpy(np.stack([one.pixels for one in frames]))[:, None].expand(-1, 3, -1, -1)
        try:
            with torch.inference_mode(), torch.autocast(self._device.type, torch.float16, enabled=self._half):
                outputs, _ = self._network(batch.to(self._device))
        except torch.cuda.OutOfMemoryError as error:
            raise OutOfMemory(f"{len(frames)} images of {self._input_px} pixels did not fit on the device") from error
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


def load(
    weights: Mapping[str, torch.Tensor],
    device: torch.device,
    mixed_precision: bool,
    *,
    scale: Scale,
    input_px: int,
    confidence: float = 0.2,
    iou: float = 0.5,
    most: int = 50,
) -> YoloCbam:
    """Builds the detector from a bundle's weights and settings.

    Args:
        weights: the network's state dict, in any floating-point type.
        device: where it runs.
        mixed_precision: half precision, where the device is a GPU.
        scale: YOLOv8's width, "n" or "s".
        input_px: side of the square that the breast is set in; a multiple of 32.
        confidence: boxes below it are not proposed (0.2 as in the paper).
        iou: of two boxes that overlap by more, the less sure one is dropped.
        most: no more boxes than this an image.

    Raises:
        RuntimeError: the weights are not those of this network.
    """
    network = build(scale)
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return YoloCbam(network, device, mixed_precision, input_px=input_px, confidence=confidence, iou=iou, most=most)
