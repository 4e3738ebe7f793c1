"""EfficientNet as a classifier of malignancy, by timm (Guo, Cai and Dungey, the framework's classification section).

As in the paper: ImageNet features, global average pooling, two fully connected layers with ReLU, one sigmoid. The mode
determines the input:

    "mask"             each lesion, masked and centred in 224 × 224 with a margin of 20 pixels. The image's score is the
                       highest of its lesions'; without lesions it is `floor`, not 0, because detectors miss some.
    "whole"            the breast. A lesion's score is its image's.
    "whole+radiomics"  the breast, and the radiomics of one lesion (`models/radiomics`), concatenated to the pooled
                       features. The image's score is the highest of its lesions'; without lesions the radiomics are
                       those of an average lesion.
    "both"             the breast and the lesions through one backbone, with one head each. Not in the paper: with few
                       images the backbone is trained better this way. `lesion_share` is the weight of the worst lesion
                       in the image's score, on the logits; without lesions its score is `floor`.

With `mm_per_px` a lesion is not masked but shown with the tissue around it at that scale: a mass is judged by its
margin, which a mask cuts off, and which nobody drew where only a box is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from scipy.special import expit
from timm.models.efficientnet import EfficientNet
from torch import Tensor, nn

from models.birads.calibration import logit as log_odds
from models.classifiers.pictures import image_picture, lesion_picture, with_surroundings
from models.device import half_type
from models.framing import Frame, Size, breast_framing
from models.prepared import fold_norms, keep_half
from models.protocols import ToScore
from models.radiomics.regions import RegionSettings
from models.radiomics.texture import LENGTH, Radiomics
from models.runner import Runner
from models.types.region import Mask

Mode = Literal["mask", "whole", "whole+radiomics", "both"]

_TRAINED_WITH = {"efficientnet_lite0": ((127 / 255,) * 3, (128 / 255,) * 3)}
"""Mean and standard deviation of the pixels that the ImageNet weights were trained with, where timm's entry is wrong
for them."""
_HIDDEN = (256, 64)
_AT_ONCE = 64
"""Pictures that go through the network together."""


@dataclass(frozen=True)
class Settings:
    """The classifier's settings.

    Attributes:
        mode: see above.
        backbone: timm's name of an EfficientNet, or of any other network that pools features.
        image_px: the input that shows the breast, in pixels: the side of a square, or rows and columns.
        frame_px: both inputs are cut from a frame of this side, so that a classifier cannot use the original size of
            images of at least this size.
        mm_per_px: instead, both are cut from a frame at this scale, without borders and labels
            (`models.framing.scaled_frame`), and lesions are shown with the tissue around them. Not for radiomics.
        floor: the worst lesion's score if there is no lesion, 0..1 exclusive.
        lesion_share: weight of the worst lesion in the image's score in the mode "both", 0..1.
        near_mm, far_mm: the regions that the radiomics compare: see `models.radiomics.regions.RegionSettings`.

    Raises:
        ValueError: a number is out of its range.
    """

    mode: Mode = "whole"
    backbone: str = "efficientnet_b0"
    image_px: Size = 512
    frame_px: int = 512
    mm_per_px: float | None = None
    floor: float = 0.01
    lesion_share: float = 0.0
    near_mm: float = RegionSettings.near_mm
    far_mm: Sequence[float] = RegionSettings.far_mm

    def __post_init__(self) -> None:
        if not (0 < self.floor < 1 and 0 <= self.lesion_share <= 1):
            raise ValueError(f"floor is {self.floor}, lesion_share {self.lesion_share}; give numbers from 0 to 1")
        if self.mm_per_px is not None and not self.mm_per_px > 0:
            raise ValueError(f"mm_per_px is {self.mm_per_px}; give a number above 0")
        if len(self.far_mm) != 2:
            raise ValueError(f"far_mm is {self.far_mm}; give two diameters, the inner one first")
        _ = self.regions  # raises ValueError if the diameters are invalid

    @property
    def scores_images_alone(self) -> bool:
        """Whether an image's score does not depend on its findings."""
        return self.mode == "whole" or (self.mode == "both" and self.lesion_share == 0)

    @property
    def sees_images(self) -> bool:
        return self.mode != "mask"

    @property
    def sees_lesions(self) -> bool:
        return self.mode in ("mask", "both")

    @property
    def regions(self) -> RegionSettings:
        inner, outer = self.far_mm
        return RegionSettings(near_mm=self.near_mm, far_mm=(inner, outer))

    @property
    def uses_radiomics(self) -> bool:
        return self.mode == "whole+radiomics"


class MalignancyNet(nn.Module):
    """A backbone and the heads that its mode needs; their outputs are logits of malignancy."""

    mean: Tensor
    deviation: Tensor
    texture_mean: Tensor
    texture_deviation: Tensor

    def __init__(self, mode: Mode, backbone: str, dropout: float = 0.0) -> None:
        super().__init__()
        settings = Settings(mode=mode, backbone=backbone)
        self.backbone = timm.create_model(backbone, pretrained=False, num_classes=0)
        features = cast(int, self.backbone.num_features)
        timms = cast(Mapping[str, Sequence[float]], self.backbone.pretrained_cfg)
        mean, deviation = _TRAINED_WITH.get(backbone) or (timms["mean"], timms["std"])
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None], persistent=False)
        if settings.sees_images:
            self.image_head = _head(features + (LENGTH if settings.uses_radiomics else 0), dropout)
        if settings.sees_lesions:
            self.lesion_head = _head(features, dropout)
        if settings.uses_radiomics:
            self.register_buffer("texture_mean", torch.zeros(LENGTH))
            self.register_buffer("texture_deviation", torch.ones(LENGTH))

    def features(self, pictures: Tensor) -> Tensor:
        """Pooled features (batch × features) of inputs (batch × side × side, 0..1)."""
        seen = (pictures[:, None] - self.mean) / self.deviation
        # On a CPU a step of training takes two thirds of the time with the channels last.
        pooled: Tensor = self.backbone(seen.contiguous(memory_format=torch.channels_last))
        return pooled

    def score_images(self, pictures: Tensor) -> Tensor:
        """Logits (batch) of whole images (batch × side × side, 0..1). Not for the mode "whole+radiomics"."""
        return _logits(self.image_head, self.features(pictures))

    def score_lesions(self, pictures: Tensor) -> Tensor:
        """Logits (batch) of lesions (batch × 224 × 224, 0..1)."""
        return _logits(self.lesion_head, self.features(pictures))

    def score_with_texture(self, features: Tensor, textures: Tensor) -> Tensor:
        """Logits (batch) of pooled features with the radiomics of a lesion (batch × LENGTH).

        A row of NaN means an image without a lesion: it is replaced by the average of the training lesions.
        """
        standard = torch.nan_to_num((textures - self.texture_mean) / self.texture_deviation, nan=0.0)
        return _logits(self.image_head, torch.cat((features, standard.to(features.dtype)), dim=1))


class EfficientNetClassifier:
    """The classifier. See `models.protocols.Classifier`, and the module's docstring for the scores of each mode."""

    def __init__(self, network: MalignancyNet, runner: Runner, settings: Settings) -> None:
        runner.place(network)
        self._network, self._runner, self._settings = network, runner, settings
        self._features, self._score_images, self._score_lesions = (
            runner.recorded(call, network) for call in (network.features, network.score_images, network.score_lesions)
        )
        self._radiomics = Radiomics(settings.regions) if settings.uses_radiomics else None
        self._framed = breast_framing(settings.frame_px, settings.mm_per_px)

    @property
    def scores_images_alone(self) -> bool:
        """See the protocol."""
        return self._settings.scores_images_alone

    def classify(self, images: Sequence[ToScore]) -> list[tuple[float, list[float]]]:
        """Each image's score and one score per mask; see the protocol.

        Raises:
            OutOfMemory: not even a single picture fits on the device.
            ValueError: with radiomics or at a scale: an image has no spacing; the pipeline fills in a missing one.
        """
        seen = [self._pictures(each) for each in images]
        if self._radiomics is not None:
            textures = [self._radiomics.textures(each.image, each.masks) for each in images]
            vectors = [[texture.vector for texture in of_image] for of_image in textures]
            return self._with_textures([whole for whole, _ in seen], vectors)
        lesions = self._lesion_scores([pictures for _, pictures in seen])
        if not self._settings.sees_images:
            return [(max(scores, default=self._settings.floor), scores) for scores in lesions]
        logits = self._scores(self._score_images, [whole for whole, _ in seen])
        return [
            self._joined(logit, scores, len(each.masks))
            for logit, scores, each in zip(logits, lesions, images, strict=True)
        ]

    def _pictures(self, asked: ToScore) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """The inputs that show the image and its lesions; of lesions none if the mode does not see them."""
        shown = self._framed(asked.image)
        whole = image_picture(shown.pixels, self._settings.image_px)
        return whole, [self._lesion(shown, mask) for mask in asked.masks] if self._settings.sees_lesions else []

    def _lesion(self, shown: Frame, mask: Mask) -> NDArray[np.float32]:
        if self._settings.mm_per_px is None:
            return lesion_picture(shown.pixels, shown.draw(mask))
        return with_surroundings(shown.pixels, shown.box_of(mask))

    def _lesion_scores(self, pictures: Sequence[Sequence[NDArray[np.float32]]]) -> list[list[float]]:
        """The scores of each image's lesions."""
        logits = iter(self._scores(self._score_lesions, [picture for some in pictures for picture in some]))
        return [[float(expit(next(logits))) for _ in some] for some in pictures]

    def _joined(self, logit: float, lesions: list[float], masks: int) -> tuple[float, list[float]]:
        """An image's score and its lesions' by the logit of the whole and, if the mode sees them, the lesions' own."""
        if not self._settings.sees_lesions:
            return float(expit(logit)), [float(expit(logit))] * masks
        share, worst = self._settings.lesion_share, max(lesions, default=self._settings.floor)
        return float(expit((1 - share) * logit + share * log_odds(worst))), lesions

    def _with_textures(
        self, wholes: Sequence[NDArray[np.float32]], textures: Sequence[Sequence[NDArray[np.float32]]]
    ) -> list[tuple[float, list[float]]]:
        features = self._runner.each(self._features, wholes, _AT_ONCE)
        found = []
        for feature, vectors in zip(features, textures, strict=True):
            rows = vectors or [np.full(LENGTH, np.nan, dtype=np.float32)]
            with self._runner.fitting("the features of an image"):
                pooled = feature.to(self._runner.device).expand(len(rows), -1)
                logits = self._network.score_with_texture(pooled, self._runner.upload(rows))
            scores = torch.sigmoid(logits).tolist()
            found.append((max(scores), scores[: len(vectors)]))
        return found

    def _scores(self, score: Callable[[Tensor], Tensor], pictures: Sequence[NDArray[np.float32]]) -> list[float]:
        return [float(logit) for logit in self._runner.each(score, pictures, _AT_ONCE)]


def load(weights: Mapping[str, Tensor], runner: Runner, **settings: Any) -> EfficientNetClassifier:
    """Builds the classifier from a bundle's weights and settings.

    Args:
        weights: the network's state dict, in any floating-point type.
        runner: how it is run.
        settings: see `Settings`.

    Raises:
        RuntimeError: the weights do not fit this network, or timm does not have the backbone.
        TypeError, ValueError: a setting is unknown or out of its range.
    """
    chosen = Settings(**settings)
    network = MalignancyNet(chosen.mode, chosen.backbone)
    network.load_state_dict(
        {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    )
    network.eval()
    if isinstance(network.backbone, EfficientNet):
        fold_norms(network.backbone)
    if runner.half:  # radiomics go through a head that is run in float32
        keep_half(network.backbone if chosen.uses_radiomics else network, half_type(runner.device))
    return EfficientNetClassifier(network, runner, chosen)


def _logits(head: nn.Module, features: Tensor) -> Tensor:
    logits: Tensor = head(features)
    return logits.squeeze(1).float()


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
