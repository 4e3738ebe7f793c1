"""Which findings of two views of one breast may be one lesion."""

from __future__ import annotations

from collections.abc import Sequence

from models.types import ReadImage, Tie


def tie_views(images: Sequence[ReadImage]) -> tuple[Tie, ...]:
    """The ties between findings of each breast's views."""
    return ()
