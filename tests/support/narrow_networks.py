"""Networks with the structure of published ones, so small that a training takes seconds."""

from __future__ import annotations

import pytest
from torch import nn

from models.segmenters import lite_medsam


def narrow_lite_medsam(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiteMedSAM with a single convolution as encoder: patches of 4 × 4 pixels give its 64 × 64 embedding."""
    monkeypatch.setattr(lite_medsam, "tiny_vit", lambda: nn.Conv2d(3, 320, kernel_size=4, stride=4))
