"""The tables [model] and [task] of a classifier's recipe."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, RootModel, model_validator

from models.classifiers.efficient_net import Mode
from models.classifiers.medsam_mlp import Encoder, Reads, Tuned
from models.radiomics.regions import RegionSettings
from models.training.recipe import Chance, RecipeTable
from models.types.reading import FindingKind

_Side = Annotated[int, Field(ge=32, multiple_of=32)]
Augmentation = Literal["none", "turn-and-flip", "strong"]
"""Augmentation of the training images: none; rotated and mirrored left to right (Guo, Cai and Dungey); or also scaled,
shifted, and with another scanner's grey scale (`models/training/augment.py`, `scanners.py`)."""


class EfficientNetModel(RecipeTable):
    """EfficientNet (see `models/classifiers/efficient_net.py`).

    Attributes:
        dropout: share of the pooled features that is set to 0 in training.
        For the others see `models.classifiers.efficient_net.Settings`.
    """

    kind: Literal["efficientnet"]
    mode: Mode
    backbone: str = "efficientnet_b0"
    image_px: _Side | tuple[_Side, _Side] = 512
    frame_px: int = Field(default=512, ge=32)
    mm_per_px: float | None = Field(default=None, gt=0)
    floor: float = Field(default=0.01, gt=0, lt=1)
    lesion_share: Chance = 0.0
    near_mm: float = Field(default=RegionSettings.near_mm, gt=0)
    far_mm: tuple[float, float] = RegionSettings.far_mm
    dropout: Chance = 0.0

    @model_validator(mode="after")
    def _settings_are_possible(self) -> EfficientNetModel:
        if self.mm_per_px is not None and self.mode == "whole+radiomics":
            raise ValueError("radiomics are computed at a scale of their own: leave out mm_per_px")
        RegionSettings(near_mm=self.near_mm, far_mm=self.far_mm)
        return self


class MedSamMlpModel(RecipeTable):
    """A perceptron on MedSAM (see `models/classifiers/medsam_mlp.py`)."""

    kind: Literal["medsam-mlp"]
    encoder: Encoder = "medsam-vit-b"
    tuned: Tuned
    reads: Reads

    @model_validator(mode="after")
    def _decoder_is_read(self) -> MedSamMlpModel:
        if self.tuned == "decoder" and self.reads == "embedding":
            raise ValueError(
                'the embedding does not pass the decoder, so it cannot be trained: set reads = "tokens" or "upscaled"'
            )
        return self


class Model(RootModel[Annotated[EfficientNetModel | MedSamMlpModel, Field(discriminator="kind")]]):
    """[model]: `root` is one of the two."""


class TaskSettings(RecipeTable):
    """[task].

    Attributes:
        batch: images per step, and lesions per step.
        kinds: only lesions of these kinds, and images that show one, are used for training and validation: the rows of
            Guo, Cai and Dungey's Table 1 are about masses. Empty: all of them, and images without a lesion.
        augmentation: see above.
        balanced: half of each batch is malignant, within each hospital or set, drawn with replacement, so that the
            origin of an image tells nothing about its label; False: every image once per epoch.
        smoothing: label smoothing: labels are this far from 0 and 1, against overconfidence with few images.
        backbone_rate: the learning rate of pretrained parts, as a share of that of the heads.
        ellipses: share of outlines that are replaced by the ellipse in their box: if benign lesions were drawn with
            another tool than malignant ones, the style of the outline would reveal the label.
        normal_pieces: add pieces of breasts without a lesion, like a detector's false positives: in the shapes of
            lesions, from normal breasts; or, at a scale (`mm_per_px`), windows beside the lesions of every third image
            whose lesions are all drawn.
        assumed_spacing_mm: mm per pixel of digital images without a spacing (anatomy/film.py); used by radiomics and at
            a scale.
    """

    batch: int = Field(default=32, ge=2)
    kinds: tuple[FindingKind, ...] = ()
    augmentation: Augmentation = "none"
    balanced: bool = False
    smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    backbone_rate: float = Field(default=1.0, gt=0)
    ellipses: Chance = 0.0
    normal_pieces: bool = False
    assumed_spacing_mm: float = Field(default=0.1, gt=0)
