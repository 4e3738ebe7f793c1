"""Losses of masks: Dice and cross-entropy, of all pixels or of the most uncertain ones."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_POINTS = 112 * 112
_OVERSAMPLED = 3
_UNSURE = 0.75
"""HQ-SAM's sampling (Ke et al., NeurIPS 2023: 112² points from three times as many candidates, three quarters of them
the most uncertain), which is PointRend's (Kirillov et al., CVPR 2020, section 3.1)."""


def dice_and_cross_entropy(logits: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Dice loss, 0..1, and binary cross-entropy, each a mean over masks.

    Args:
        logits: masks × anything.
        drawn: the same shape, 0..1.
    """
    found, truth = logits.sigmoid().flatten(1), drawn.flatten(1)
    dice = 1 - (2 * (found * truth).sum(dim=1) + 1) / (found.sum(dim=1) + truth.sum(dim=1) + 1)
    return dice.mean(), functional.binary_cross_entropy_with_logits(logits, drawn)


def uncertain_points(logits: Tensor, drawn: Tensor, points: int = _POINTS) -> tuple[Tensor, Tensor]:
    """Logits and truth (masks × points each) at random points (torch's global generator), most of them uncertain ones.

    Args:
        logits: masks × rows × columns; a point is more uncertain the closer its logit is to 0.
        drawn: masks × rows × columns, 0..1.
        points: the number per mask.
    """
    unsure = int(points * _UNSURE)
    with torch.no_grad():
        tried = torch.rand(len(logits), points * _OVERSAMPLED, 2, device=logits.device)
        chosen = (-_at(logits, tried).abs()).topk(unsure, dim=1).indices
        places = torch.cat(
            (
                tried.gather(1, chosen[:, :, None].expand(-1, -1, 2)),
                torch.rand(len(logits), points - unsure, 2, device=logits.device),
            ),
            dim=1,
        )
        truth = _at(drawn, places)
    return _at(logits, places), truth


def _at(pictures: Tensor, places: Tensor) -> Tensor:
    """Values of maps (N × rows × columns) at points (N × P × 2; x, y in 0..1): N × P."""
    sampled = functional.grid_sample(pictures[:, None], places[:, :, None] * 2 - 1, align_corners=False)
    return sampled[:, 0, :, 0]
