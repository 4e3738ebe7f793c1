"""What a classifier's recipe says in [model] and [task]."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, RootModel, model_validator

from models.classifiers.efficient_net import Mode
from models.classifiers.medsam_mlp import Encoder, Reads, Tuned
from models.radiomics.regions import RegionSettings
from models.training.recipe import Chance, RecipeTable
from models.types.reading import FindingKind

Augmentation = Literal["none", "turn-and-flip", "strong"]
"""How training pictures are changed: not at all; turned and mirrored left to right (Guo, Cai and Dungey); or as other
scanners and other hands would have made them (`models/training/augment.py`)."""


class EfficientNetModel(RecipeTable):
    """EfficientNet (see `models/classifiers/efficient_net.py`).

    Attributes:
        dropout: share of the pooled features left out in training.
        For the others see `models.classifiers.efficient_net.Settings`.
    """

    kind: Literal["efficientnet"]
    mode: Mode
    backbone: str = "efficientnet_b0"
    image_px: int = Field(default=512, ge=32, multiple_of=32)
    frame_px: int = Field(default=512, ge=32)
    floor: float = Field(default=0.01, gt=0, lt=1)
    lesion_share: Chance = 0.0
    near_mm: float = Field(default=RegionSettings.near_mm, gt=0)
    far_mm: tuple[float, float] = RegionSettings.far_mm
    dropout: Chance = 0.0

    @model_validator(mode="after")
    def _regions_are_some(self) -> EfficientNetModel:
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
                'the embedding does not pass the decoder, which cannot learn then: set reads = "tokens" or "upscaled"'
            )
        return self


class Model(RootModel[Annotated[EfficientNetModel | MedSamMlpModel, Field(discriminator="kind")]]):
    """[model]: `root` is one of the two."""


class TaskSettings(RecipeTable):
    """[task].

    Attributes:
        batch: pictures of each sort a step.
        kinds: lesions of these kinds alone are learned from and judge, and of the images those that show one: the rows
            of Guo, Cai and Dungey's Table 1 are of masses. Empty: all of them, and images without a lesion.
        augmentation: see above.
        balanced: half of each batch is malignant, drawn with replacement; False: every picture once an epoch.
        smoothing: labels are this far from 0 and 1: a biopsy is surer than a network of a few hundred pictures.
        backbone_rate: what was trained before learns at this share of the heads' learning rate.
        ellipses: share of outlines that are shown as the ellipse in their box: where benign lesions were drawn with
            another tool than malignant ones, the hand gives the label away.
        normal_pieces: pieces of normal breasts, in the shapes of lesions, stand in for a detector's false positives.
        assumed_spacing_mm: mm a pixel of digital images without a spacing (anatomy/film.py); enters radiomics alone.
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
