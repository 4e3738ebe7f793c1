"""What a segmenter's recipe says in [model] and [task]."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from models.segmenters.network import PartName
from models.training.recipe import RecipeTable


class Model(RecipeTable):
    """The network.

    Attributes:
        architecture: a segmenter's name in models/catalog.py.
        settings: what bundle.toml gives its `load`: which network, and how a lesion is shown and prompted.
    """

    architecture: str = "lite-medsam"
    settings: dict[str, Any] = Field(default_factory=dict)


class TaskSettings(RecipeTable):
    """Views, loss and batches.

    Attributes:
        batch: lesions a step.
        trained: the parts that learn; the others stay as they started.
        loss: "dice+bce", of all pixels; "uncertain-points", the same of 112² points that are mostly the least sure
            ones (HQ-SAM's).
        token_only: HQ-SAM and MLSAM: the loss sees the new token's mask alone, as HQ-SAM was trained. The validation
            and the node see SAM's logits added to it, unless [model.settings] says `hq_token_only`.
        views: of each lesion, made once before the training.
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
