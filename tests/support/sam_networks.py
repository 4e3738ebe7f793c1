"""Small networks of the SAM family with seeded, arbitrary weights, and what they draw."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.segmenters.hq_encoders import HqTinyVit, HqVit
from models.segmenters.hq_sam import HqSamNet
from models.segmenters.mlsam import Branches, MlsamNet
from models.segmenters.network import PromptedNet
from models.segmenters.pictures import SamPicture
from models.segmenters.sam import SamNet
from models.segmenters.vit import Vit

CPU = torch.device("cpu")
Net = TypeVar("Net", bound=nn.Module)
SIDE = 256
SMALL = Vit(width=48, depth=4, heads=2, global_blocks=(0, 1, 2, 3))
WINDOWED = replace(SMALL, global_blocks=(1, 3))
BOX = (60.0, 90.0, 140.0, 170.0)
POINT = (100.0, 120.0)


def seeded(net: Net) -> Net:
    """With distinct weights, buffers and batch statistics, none of them zero."""
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in net.state_dict().items():
            if weight.dtype.is_floating_point:
                drawn = torch.randn(weight.shape, generator=draw)
                scale = name.endswith((".weight", "running_var"))
                if weight.ndim > 1:
                    weight.copy_(drawn * weight[0].numel() ** -0.5)
                else:
                    weight.copy_(drawn.abs() / 2 + 0.5 if scale else drawn / 5)
    return net.eval()


def photograph(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Smooth grey values with a bright spot; the darkest and brightest pixel are 3 and 250."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    rows, columns = shape
    waves = np.sin(9 * y / rows) * np.cos(7 * x / columns) + np.cos(23 * (x / columns + y / rows)) / 3
    blob = 3 * np.exp(-(((y / rows - 0.5) / 0.1) ** 2 + ((x / columns - 0.4) / 0.12) ** 2))
    grey = waves + blob
    shown: NDArray[np.uint8] = np.round(3 + 247 * (grey - grey.min()) / (grey.max() - grey.min())).astype(np.uint8)
    return shown


def ours(
    net: PromptedNet,
    photo: NDArray[np.uint8],
    box: tuple[float, ...] | None,
    point: tuple[float, float] | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Logits as drawn, and at the photograph's size; prompts in the photograph's pixels (x, y)."""
    down, across = net.picture.scale(photo.shape)
    with torch.inference_mode():
        embedded = net.embed(net.picture.prepare(photo.astype(np.float32) / np.float32(255))[None])
        logits = net.decode(
            embedded,
            torch.tensor([0]),
            boxes=None if box is None else torch.tensor([box]) * torch.tensor([across, down, across, down]),
            points=None if point is None else torch.tensor([point]) * torch.tensor([across, down]),
            masks=mask,
        )
        return logits, net.picture.restore(logits[0], photo.shape)


def assert_close(found: Tensor, expected: NDArray[np.float32] | Tensor, tolerance: float) -> None:
    expected = torch.as_tensor(expected)
    assert found.shape == expected.shape
    spread = float(expected.std())
    assert spread > 1e-3, "nothing is compared"
    assert float((found - expected).abs().max()) <= tolerance * spread


def hq_encoder(name: str) -> HqVit | HqTinyVit:
    return HqTinyVit(SIDE) if name == "tiny" else HqVit(SMALL, SIDE)


def small(kind: str) -> PromptedNet:
    """A network of this name: "sam", "hq", "tiny" (HQ-SAM with TinyViT) or "mlsam"."""
    match kind:
        case "sam":
            return SamNet(WINDOWED, SamPicture(SIDE))
        case "hq" | "tiny":
            return HqSamNet(hq_encoder(kind), SamPicture(SIDE))
    return MlsamNet(HqVit(SMALL, SIDE), SamPicture(SIDE), Branches())
