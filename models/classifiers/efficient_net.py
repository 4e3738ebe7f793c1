"""EfficientNet as a classifier of malignancy, by timm (Guo, Cai and Dungey, the framework's classification section).

As in the paper: ImageNet features, global average pooling, two fully connected layers with ReLU, one sigmoid; a lesion
is shown masked and centred in 224 × 224 with 20 pixels round it, and the whole image is scored as well. Ours differs
in two things: EfficientNet-Lite0 stands in for B0 (its ImageNet weights can be had), and lesion and image share one
backbone with a head for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import cv2
import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import nn

from models.breast import breast_box
from models.framing import Frame, frame
from models.protocols import OutOfMemory
from models.types import Mammogram, Mask

LESION_PX = 224
PADDING_PX = 20
FRAME_PX = 512
"""Everything is seen through a frame of this side: the classifier cannot tell one size of image from another."""
_MEAN, _DEVIATION = 127 / 255, 128 / 255
"""What the ImageNet weights were trained with."""
_HIDDEN = (256, 64)
_LESIONS_AT_ONCE = 32


class MalignancyNet(nn.Module):
    """One backbone, a head for whole images and one for lesions; both give logits of malignancy."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = timm.create_model("efficientnet_lite0", pretrained=False, num_classes=0)
        features = cast(int, self.backbone.num_features)
        self.image_head = _head(features, dropout)
        self.lesion_head = _head(features, dropout)

    def score_images(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits (batch) of whole images, batch × side × side, 0..1."""
        return self._score(pictures, self.image_head)

    def score_lesions(self, pictures: torch.Tensor) -> torch.Tensor:
        """Logits (batch) of lesion pictures, batch × 224 × 224, 0..1."""
        return self._score(pictures, self.lesion_head)

    def _score(self, pictures: torch.Tensor, head: nn.Module) -> torch.Tensor:
        normalised = ((pictures - _MEAN) / _DEVIATION)[:, None].expand(-1, 3, -1, -1)
        logits: torch.Tensor = head(self.backbone(normalised))
        return logits.squeeze(1).float()


def lesion_picture(pixels: NDArray[np.float32], drawn: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A lesion as the network sees it: 224 × 224, all but the mask 0, its long side 184 pixels, centred.

    Args:
        pixels: a frame's, side × side, 0..1.
        drawn: the lesion in it; where nothing is drawn the picture is 0.
    """
    picture = np.zeros((LESION_PX, LESION_PX), dtype=np.float32)
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    if not rows.size:
        return picture
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    shown = np.where(drawn[part], pixels[part], np.float32(0))
    scale = (LESION_PX - 2 * PADDING_PX) / max(shown.shape)
    height, width = (max(1, round(length * scale)) for length in shown.shape)
    resized = cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (LESION_PX - height) // 2, (LESION_PX - width) // 2
    picture[top : top + height, left : left + width] = resized
    return picture


def image_picture(pixels: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """A frame as the network sees it whole: side × side."""
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA), dtype=np.float32)


def breast_frame(image: Mammogram) -> Frame:
    """The breast in the frame that both sorts of picture are cut from."""
    return frame(image.pixels, breast_box(image.pixels), FRAME_PX)


class EfficientNetClassifier:
    """The classifier. See `models.protocols.Classifier`."""

    def __init__(self, network: MalignancyNet, device: torch.device, mixed_precision: bool, *, image_px: int) -> None:
        self._network = network.to(device).eval()
        self._device = device
        # Half precision is faster on a GPU alone.
        self._half = mixed_precision and device.type == "cuda"
        self._image_px = image_px

    def classify(self, image: Mammogram, masks: Sequence[Mask]) -> tuple[float, list[float]]:
        """The image's score and one a mask; see the protocol."""
        shown = breast_frame(image)
        lesions = [lesion_picture(shown.pixels, shown.draw(mask)) for mask in masks]
        try:
            with torch.inference_mode(), torch.autocast(self._device.type, torch.float16, enabled=self._half):
                whole = self._network.score_images(self._tensor([image_picture(shown.pixels, self._image_px)]))
                parts = [
                    self._network.score_lesions(self._tensor(lesions[first : first + _LESIONS_AT_ONCE]))
                    for first in range(0, len(lesions), _LESIONS_AT_ONCE)
                ]
        except torch.cuda.OutOfMemoryError as error:
            raise OutOfMemory("An image and its lesions did not fit on the device") from error
        return torch.sigmoid(whole).item(), [score for part in parts for score in torch.sigmoid(part).tolist()]

    def _tensor(self, pictures: Sequence[NDArray[np.float32]]) -> torch.Tensor:
        return torch.from_numpy(np.stack(pictures)).to(self._device)


def load(
    weights: Mapping[str, torch.Tensor], device: torch.device, mixed_precision: bool, *, image_px: int
) -> EfficientNetClassifier:
    """Builds the classifier from a bundle's weights and settings.

    Args:
        weights: the network's state dict, in any floating-point type.
        device: where it runs.
        mixed_precision: half precision, where the device is a GPU.
        image_px: side of the square that the whole breast is shown in.

    Raises:
        RuntimeError: the weights are not those of this network.
    """
    network = MalignancyNet()
    network.load_state_dict(
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    )
    return EfficientNetClassifier(network, device, mixed_precision, image_px=image_px)


def _head(features: int, dropout: float) -> nn.Sequential:
    first, second = _HIDDEN
    return nn.Sequential(
        nn.Dropout(dropout),
        nn.Linear(features, first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, 1),
    )
