"""The interface of a promptable network: it embeds images, and computes masks from the embedding and prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from models.device import tf32
from models.prepared import fold_norms, keep_half
from models.segmenters.pictures import Picture

Embedded = tuple[Tensor, ...]
"""The image encoder's output for N images: tensors whose first dimension is N."""

PartName = Literal["image_encoder", "prompt_encoder", "mask_decoder", "additions"]


class PromptedNet(nn.Module, ABC):
    """A network like SAM (Kirillov et al., "Segment Anything", ICCV 2023).

    After its weights have changed, call `train()` or `eval()` again: TinyViT caches a table computed from them.

    Attributes:
        picture: the format of its input.
        ENCODERS: prefixes of the names of the image encoder's parameters.
        ADDITIONS: prefixes of the parameters that it has in addition to its base network (HQ-SAM to SAM, …).
    """

    ENCODERS: ClassVar[tuple[str, ...]] = ("image_encoder.",)
    ADDITIONS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        self.picture = picture

    @abstractmethod
    def embed(self, pictures: Tensor) -> Embedded:
        """The embedding of N × 3 × side × side from `picture.prepare`. Uses only the image encoder's parameters."""

    def fold(self) -> None:
        """Makes it read faster on any device, with the same results up to rounding. It must be in eval mode, and cannot
        be trained then."""
        for encoder in self._encoders():
            fold_norms(encoder)

    def keep_half(self, dtype: torch.dtype) -> None:
        """Keeps the encoder's weights in half precision: `embed` then needs autocast of this type, and gives the same
        as under autocast without this."""
        for encoder in self._encoders():
            keep_half(encoder, dtype)

    def fuse(self) -> None:
        """Makes it read faster on a CPU (`models.fused`), with the same results up to rounding; it cannot be trained
        then. Does nothing for an encoder whose layers are not known."""

    def _encoders(self) -> list[nn.Module]:
        return [self.get_submodule(prefix.rstrip(".")) for prefix in self.ENCODERS]

    @abstractmethod
    def decode(
        self,
        embedded: Embedded,
        index: Tensor,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> Tensor:
        """Logits (P × L × L; above 0: lesion) for P prompts; L is 256, four times the side of the embedding.

        Args:
            embedded: of N images.
            index: P integers: the image of each prompt.
            boxes: P × 4: left, top, right, bottom in the input's pixels.
            points: P × 2: x, y in the input's pixels; each is inside the lesion.
            masks: P × L × L: the logits of the previous pass.
        """

    def parts(self) -> dict[PartName, list[nn.Parameter]]:
        """The parameters by part; training freezes whole parts."""
        parts: dict[PartName, list[nn.Parameter]] = {
            "image_encoder": [],
            "prompt_encoder": [],
            "mask_decoder": [],
            "additions": [],
        }
        for name, parameter in self.named_parameters():
            parts[self.part_of(name)].append(parameter)
        return parts

    def part_of(self, name: str) -> PartName:
        """The part of a parameter (given by its name in `state_dict`)."""
        if name.startswith(self.ADDITIONS):
            return "additions"
        if name.startswith(self.ENCODERS):
            return "image_encoder"
        return "prompt_encoder" if name.startswith("prompt_encoder.") else "mask_decoder"

    @property
    def unused(self) -> tuple[str, ...]:
        """Prefixes of the parameters that do not affect the masks with this network's settings."""
        return ()

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Loads weights that may lack this network's additions, which are then not changed: SAM's into HQ-SAM,
        HQ-SAM's into MLSAM.

        Raises:
            RuntimeError: any other weight is missing, or a weight is unknown here or has another shape.
        """
        missing, unexpected = self.load_state_dict(
            {name: weight.float() for name, weight in weights.items()}, strict=False
        )
        missing = [name for name in missing if self.part_of(name) != "additions"]
        if missing or unexpected:
            raise RuntimeError(
                f"These are another network's weights: {len(missing)} are missing ({', '.join(missing[:3])} …), "
                f"{len(unexpected)} are unknown here ({', '.join(unexpected[:3])} …)"
            )


def encode_prompts(
    prompt_encoder: nn.Module, boxes: Tensor | None, points: Tensor | None, masks: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`decode`'s prompts encoded by SAM's prompt encoder: sparse (P × tokens × 256), dense (P × 256 × grid × grid)."""
    labelled = None if points is None else (points[:, None], points.new_ones((len(points), 1)))
    with tf32(False):
        sparse, dense = prompt_encoder(points=labelled, boxes=boxes, masks=None if masks is None else masks[:, None])
    return sparse, dense


def positions_of(prompt_encoder: Any) -> Tensor:
    """The positions of the embedding's cells as SAM's prompt encoder has them: 1 × 256 × grid × grid."""
    with tf32(False):
        positions: Tensor = prompt_encoder.get_dense_pe()
    return positions
