"""LiteMedSAM: outlines what a box prompt points at.

Ma et al., "Segment anything in medical images", Nature Communications 15:654 (2024), in its light form: a TinyViT
(Wu et al., ECCV 2022) in place of SAM's ViT, distilled from MedSAM, at 256 × 256. Here it is timm's TinyViT and
segment-anything's prompt encoder and mask decoder; import_lite_medsam.py brings the published weights into this shape.

Small lesions vanish where a whole mammogram is shrunk to 256 pixels: a lesion is shown in a crop, which it shares with
those near it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer  # type: ignore[import-untyped]
from segment_anything.modeling.common import LayerNorm2d  # type: ignore[import-untyped]
from timm.models.tiny_vit import ConvNorm, TinyVit
from torch import Tensor, nn

from models.protocols import OutOfMemory
from models.types import Box, Mammogram, Mask

_SIDE = 256
"""The network's input, pixels."""
_GRID = 64
"""Its embedding: 256 channels × 64 × 64."""


@dataclass(frozen=True)
class Settings:
    """How a lesion is shown to the network.

    Attributes:
        margin_mm: the detector's box is enlarged by this much on each side. Guo, Cai and Dungey expand it "by 1 cm",
            read here as 1 cm in all, hence 5 mm a side.
        context: the crop's side, in lengths of the enlarged box's longer side. On 17 lesions of CDD-CESM at 0.1 mm a
            pixel, with boxes round the truth, mean Dice is .764 at 2.5, .823 at 5, .854 at 8, .844 on whole images.
        smallest_crop_px: no crop has a shorter side (of source pixels), except where the image itself has.
        batch: crops that are embedded at once.
    """

    margin_mm: float = 5.0
    context: float = 8.0
    smallest_crop_px: int = 256
    batch: int = 8


class LiteMedSamNet(nn.Module):
    """Crops and one box for each to mask logits."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder = _encoder()
        self.neck = nn.Sequential(
            nn.Conv2d(320, 256, kernel_size=1, bias=False),
            LayerNorm2d(256),
            nn.Conv2d(256, 256, kernel_size=3, padding=1, bias=False),
            LayerNorm2d(256),
        )
        self.prompt_encoder = PromptEncoder(256, (_GRID, _GRID), (_SIDE, _SIDE), mask_in_chans=16)
        self.mask_decoder = MaskDecoder(
            transformer_dim=256, transformer=TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048)
        )

    def embed(self, crops: Tensor) -> Tensor:
        """N × 3 × 256 × 256, float32 in 0..1, to N × 256 × 64 × 64."""
        embedded: Tensor = self.neck(self.image_encoder(crops))
        return embedded

    def decode(self, embedded: Tensor, boxes: Tensor) -> Tensor:
        """Embeddings and a box for each (N × 4: left, top, right, bottom; pixels of 256) to N × 256 × 256 logits."""
        sparse, dense = self.prompt_encoder(points=None, boxes=boxes, masks=None)
        # The decoder pairs each embedding with every prompt. Ours come one to one: as dense prompts, to which the
        # decoder adds the embedding it is given, here nothing.
        logits, _ = self.mask_decoder(
            image_embeddings=torch.zeros_like(embedded[:1]),
            image_pe=self.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=embedded + dense,
            multimask_output=False,
        )
        masks: Tensor = logits[:, 0]
        return masks


class LiteMedSam:
    """The segmenter (models.protocols.Segmenter)."""

    def __init__(self, net: LiteMedSamNet, device: torch.device, mixed_precision: bool, settings: Settings) -> None:
        self.net = net
        self._device = device
        self._mixed = mixed_precision and device.type == "cuda"
        self._settings = settings

    def segment(self, image: Mammogram, boxes: Sequence[Box]) -> list[Mask | None]:
        """See models.protocols.Segmenter.

        Raises:
            ValueError: the image has no spacing, and the margin is in millimetres; the pipeline fills in a missing one.
        """
        if image.spacing_mm is None:
            raise ValueError("The segmenter needs spacing_mm to enlarge a box by millimetres")
        prompts = _sharing([_Prompt.of(box, image.shape, image.spacing_mm, self._settings) for box in boxes])
        crops = list(dict.fromkeys(prompt.crop for prompt in prompts))
        masks: dict[int, Mask | None] = {}
        for start in range(0, len(crops), self._settings.batch):
            some = crops[start : start + self._settings.batch]
            shown = {index: prompt for index, prompt in enumerate(prompts) if prompt.crop in some}
            logits = self._logits(image, some, list(shown.values()))
            for (index, prompt), one in zip(shown.items(), logits, strict=True):
                masks[index] = _mask(prompt, _at_crop_size(one, prompt.crop))
        return [masks[index] for index in range(len(prompts))]

    def _logits(self, image: Mammogram, crops: Sequence[Box], prompts: Sequence[_Prompt]) -> NDArray[np.float32]:
        """Mask logits of each prompt (N × 256 × 256), shown in its crop, which is one of `crops`."""
        grey = np.stack([_network_input(image.pixels[crop.slices]) for crop in crops])
        boxes = np.stack([prompt.in_network() for prompt in prompts])
        pictures = [crops.index(prompt.crop) for prompt in prompts]
        try:
            with torch.inference_mode():
                pixels = torch.from_numpy(grey).to(self._device)[:, None].expand(-1, 3, -1, -1)
                # Positions of boxes do not bear half precision: the encoder alone is worth it.
                with torch.autocast(self._device.type, torch.float16, enabled=self._mixed):
                    embedded = self.net.embed(pixels.contiguous(memory_format=torch.channels_last)).float()
                logits = self.net.decode(embedded[pictures], torch.from_numpy(boxes).to(self._device))
                return np.asarray(logits.cpu().numpy(), dtype=np.float32)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise OutOfMemory(f"{len(prompts)} boxes in {len(crops)} crops do not fit on {self._device}") from error


@dataclass(frozen=True)
class _Prompt:
    """A detector's box, the same enlarged, and the crop in which it is shown; all in source pixels."""

    box: Box
    large: Box
    crop: Box

    @classmethod
    def of(cls, box: Box, shape: tuple[int, int], spacing_mm: tuple[float, float], settings: Settings) -> _Prompt:
        rows, columns = shape
        margin_rows, margin_columns = (round(settings.margin_mm / mm) for mm in spacing_mm)
        large = Box(
            max(0, box.top - margin_rows),
            max(0, box.left - margin_columns),
            min(rows, box.bottom + margin_rows),
            min(columns, box.right + margin_columns),
        )
        side = max(settings.smallest_crop_px, round(settings.context * _longer(large)))
        top, bottom = _window((large.top + large.bottom) // 2, side, rows)
        left, right = _window((large.left + large.right) // 2, side, columns)
        return cls(box, large, Box(top, left, bottom, right))

    def in_network(self) -> NDArray[np.float32]:
        """The enlarged box as the network is told it: left, top, right, bottom in its input's pixels."""
        crop, large = self.crop, self.large
        corners = [large.left - crop.left, large.top - crop.top, large.right - crop.left, large.bottom - crop.top]
        return np.array(corners, dtype=np.float32) * np.float32(_SIDE / _longer(crop))

    def fits(self, crop: Box) -> bool:
        """Whether another lesion's crop shows this one well enough: whole, and at no less than half the size."""
        large = self.large
        return (
            crop.top <= large.top
            and crop.left <= large.left
            and large.bottom <= crop.bottom
            and large.right <= crop.right
            and _longer(crop) <= 2 * _longer(self.crop)
        )


def _sharing(prompts: Sequence[_Prompt]) -> list[_Prompt]:
    """The prompts with few crops among them: to embed one is what takes the time."""
    crops: list[Box] = []
    for prompt in sorted(prompts, key=lambda one: -_longer(one.crop)):
        if not any(prompt.fits(crop) for crop in crops):
            crops.append(prompt.crop)
    return [replace(prompt, crop=next(crop for crop in crops if prompt.fits(crop))) for prompt in prompts]


def _longer(box: Box) -> int:
    return max(box.height, box.width)


def _window(middle: int, side: int, length: int) -> tuple[int, int]:
    """`side` pixels round `middle`, shifted into 0..length; all of it where it is shorter."""
    side = min(side, length)
    start = min(max(0, middle - side // 2), length - side)
    return start, start + side


def _network_input(crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """The crop with its longer side at 256, its greys spread over 0..1, black below or right of it."""
    scale = _SIDE / max(crop.shape)
    rows, columns = _scaled(crop.shape)
    small = cv2.resize(crop, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    low, high = float(small.min()), float(small.max())
    whole = np.zeros((_SIDE, _SIDE), dtype=np.float32)
    whole[:rows, :columns] = (small - low) / max(high - low, 1e-8)
    return whole


def _at_crop_size(logits: NDArray[np.float32], crop: Box) -> NDArray[np.float32]:
    """256 × 256 logits without the padding, at the size of the crop."""
    rows, columns = _scaled((crop.height, crop.width))
    large = cv2.resize(logits[:rows, :columns], (crop.width, crop.height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, dtype=np.float32)


def _scaled(shape: tuple[int, ...]) -> tuple[int, int]:
    scale = _SIDE / max(shape)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _mask(prompt: _Prompt, logits: NDArray[np.float32]) -> Mask | None:
    """Of what was drawn (probability above one half), the largest component that touches the detector's box."""
    drawn = (logits > 0).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(drawn, connectivity=8)
    box, crop = prompt.box, prompt.crop
    inside = labels[box.top - crop.top : box.bottom - crop.top, box.left - crop.left : box.right - crop.left]
    touching = [int(label) for label in np.unique(inside) if label]
    if not touching:
        return None
    label = max(touching, key=lambda one: stats[one, cv2.CC_STAT_AREA])
    left, top, width, height = (int(value) for value in stats[label, :4])
    whole = np.equal(labels[top : top + height, left : left + width], label)
    return Mask(Box(crop.top + top, crop.left + left, crop.top + top + height, crop.left + left + width), whole)


def _encoder() -> nn.Module:
    """timm's TinyViT 5M without its head: N × 3 × 256 × 256 to N × 320 × 64 × 64.

    Patches are single pixels, and the last stage keeps its resolution (as in MobileSAM).
    """
    encoder = TinyVit(
        num_classes=0,
        global_pool="",
        embed_dims=(64, 128, 160, 320),
        depths=(2, 2, 6, 2),
        num_heads=(2, 4, 5, 10),
        window_sizes=(7, 7, 14, 7),
        drop_path_rate=0.0,
    )
    encoder.patch_embed.conv1, encoder.patch_embed.conv2 = ConvNorm(3, 32), ConvNorm(32, 64)
    last: Any = encoder.stages[3]
    last.downsample.conv2.conv.stride = (1, 1)
    return nn.Sequential(encoder.patch_embed, encoder.stages)


def load(weights: Mapping[str, Tensor], device: torch.device, mixed_precision: bool, **settings: Any) -> LiteMedSam:
    """The segmenter out of its weights.

    Raises:
        RuntimeError: the weights are not this network's.
        TypeError: a setting is unknown.
    """
    net = LiteMedSamNet()
    net.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    net = net.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    return LiteMedSam(net, device, mixed_precision, Settings(**settings))
