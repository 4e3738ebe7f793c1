"""Logits come back to the pixels of their crop as torch's own bilinear interpolation brings them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from models.segmenters.pictures import LiteMedSamPicture, MedSamPicture, Picture, SamPicture


def bilinear(logits: Tensor, shape: tuple[int, int]) -> Tensor:
    return functional.interpolate(logits[None, None], shape, mode="bilinear", align_corners=False)[0, 0]


def as_published(picture: Picture, logits: Tensor, shape: tuple[int, int]) -> Tensor:
    """SAM's postprocess_masks; MedSAM's and LiteMedSAM's interpolation."""
    rows, columns = (max(1, int(side * picture.side / max(shape) + 0.5)) for side in shape)
    if isinstance(picture, SamPicture):
        return bilinear(bilinear(logits, (picture.side, picture.side))[:rows, :columns], shape)
    return bilinear(logits[:rows, :columns] if isinstance(picture, LiteMedSamPicture) else logits, shape)


@pytest.mark.parametrize("picture", [SamPicture(128), MedSamPicture(128), LiteMedSamPicture(64)])
@pytest.mark.parametrize("shape", [(300, 190), (70, 260), (64, 64), (30, 17), (1, 1), (5, 400)])
@pytest.mark.parametrize("drawn", ["everywhere", "a spot", "nowhere"])
def test_an_outline_is_where_the_interpolated_logits_are_above_0(
    picture: Picture, shape: tuple[int, int], drawn: str
) -> None:
    torch.manual_seed(1)
    cells = 64 if isinstance(picture, LiteMedSamPicture) else 32
    logits = torch.randn(cells, cells)
    if drawn != "everywhere":
        logits = -logits.abs()
    if drawn == "a spot":
        logits[3:6, 2:4] = 4.0
    wanted = as_published(picture, logits, shape)
    torch.testing.assert_close(picture.restore(logits, shape), wanted, atol=1e-5, rtol=1e-5)
    differ = (picture.drawn(logits, shape) != (wanted > 0).numpy()) & (wanted.abs() > 1e-5).numpy()
    assert not differ.any()
