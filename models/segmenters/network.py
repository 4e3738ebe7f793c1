"""What a prompted network offers: an embedding of pictures, and masks drawn from it by prompts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor, nn

from models.segmenters.pictures import Picture

Embedded = tuple[Tensor, ...]
"""What the image encoder says of N pictures: tensors whose first dimension is N."""

PartName = Literal["image_encoder", "prompt_encoder", "mask_decoder", "additions"]


class PromptedNet(nn.Module, ABC):
    """A network of SAM's kind (Kirillov et al., "Segment Anything", ICCV 2023).

    After its weights have changed, call `train()` or `eval()` again: TinyViT keeps a table made of them.

    Attributes:
        picture: what its input is.
        ENCODERS: how the names of the image encoder's parameters begin.
        ADDITIONS: how those begin that the network has beyond the one it was built on (HQ-SAM beyond SAM, …).
    """

    ENCODERS: ClassVar[tuple[str, ...]] = ("image_encoder.",)
    ADDITIONS: ClassVar[tuple[str, ...]] = ()

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        self.picture = picture

    @abstractmethod
    def embed(self, pictures: Tensor) -> Embedded:
        """N × 3 × side × side, as `picture.prepare` makes them. Uses the image encoder's parameters alone."""

    @abstractmethod
    def decode(
        self,
        embedded: Embedded,
        index: Tensor,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> Tensor:
        """P prompts to P × L × L logits (above 0: lesion); L is 256, four times the side of the embedding.

        Args:
            embedded: N pictures.
            index: P whole numbers: which picture each prompt is about.
            boxes: P × 4: left, top, right, bottom in the input's pixels.
            points: P × 2: x, y in the input's pixels; each lies in the lesion.
            masks: P × L × L: an earlier pass's logits.
        """

    def parts(self) -> dict[PartName, list[nn.Parameter]]:
        """The parameters by what they belong to, for training: which are frozen and which are not."""
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
        """What a parameter (by its name in `state_dict`) belongs to."""
        if name.startswith(self.ADDITIONS):
            return "additions"
        if name.startswith(self.ENCODERS):
            return "image_encoder"
        return "prompt_encoder" if name.startswith("prompt_encoder.") else "mask_decoder"

    @property
    def unused(self) -> tuple[str, ...]:
        """How the names of those parameters begin that this network's settings leave out of what it draws."""
        return ()

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Takes over weights that may lack this network's additions, which then stay as they are: SAM's into HQ-SAM,
        HQ-SAM's into MLSAM.

        Raises:
            RuntimeError: anything else is missing, or a weight has no place or another shape here.
        """
        missing, unexpected = self.load_state_dict(
            {name: weight.float() for name, weight in weights.items()}, strict=False
        )
        missing = [name for name in missing if self.part_of(name) != "additions"]
        if missing or unexpected:
            raise RuntimeError(
                f"These are another network's weights: {len(missing)} are missing ({', '.join(missing[:3])} …), "
                f"{len(unexpected)} have no place here ({', '.join(unexpected[:3])} …)"
            )


def encode_prompts(
    prompt_encoder: nn.Module, boxes: Tensor | None, points: Tensor | None, masks: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`decode`'s prompts out of SAM's prompt encoder: sparse (P × tokens × 256), dense (P × 256 × grid × grid)."""
    labelled = None if points is None else (points[:, None], points.new_ones((len(points), 1)))
    sparse, dense = prompt_encoder(points=labelled, boxes=boxes, masks=None if masks is None else masks[:, None])
    return sparse, dense
