"""The tables [model] and [task] of a segmenter's recipe."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from models.segmenters.network import PartName
from models.training.recipe import RecipeTable


class Model(RecipeTable):
    """The network.

    Attributes:
        architecture: a segmenter's name in models/catalog.py.
        settings: its settings as in bundle.toml, such as crop and prompt.
    """

    architecture: str = "lite-medsam"
    settings: dict[str, Any] = Field(default_factory=dict)


class TaskSettings(RecipeTable):
    """Views, loss and batches.

    Attributes:
        batch: lesions per step.
        trained: the parts that are trained; the others are frozen.
        loss: "dice+bce": of all pixels; "uncertain-points": the same of 112² points, mostly the most uncertain ones
            (HQ-SAM's).
        token_only: for HQ-SAM and MLSAM: the loss uses only the new token's mask, as in HQ-SAM's training. Validation
            and the node add SAM's logits to it, unless [model.settings] has `hq_token_only`.
        views: augmented views per lesion, made once before the training.
        jitter: a box's sides are moved by up to this share of its height and width.
        assumed_spacing_mm: of digital images without a spacing (models/anatomy/film.py).
    """

    batch: int = Field(default=8, ge=1)
    trained: tuple[PartName, ...] = ("mask_decoder",)
    loss: Literal["dice+bce", "uncertain-points"] = "dice+bce"
    token_only: bool = False
    views: int = Field(default=4, ge=1)
    jitter: float = Field(default=0.1, ge=0, lt=0.5)
    assumed_spacing_mm: float = Field(default=0.1, gt=0)
