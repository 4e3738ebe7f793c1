"""Which outline of one set is which of another, in one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.evaluation.overlap import Overlap
from models.types import Mask

SAME_LESION_IOU = 0.1
"""From this overlap on two outlines are of one lesion: an expert may redraw most of it."""


def same_lesions(ones: Sequence[Mask], others: Sequence[Mask]) -> dict[int, int]:
    """The index in `ones` of each outline in `others` that is of the same lesion: pairs of falling IoU, each outline in
    one pair, of SAME_LESION_IOU at least; in the order of `others`."""
    overlaps = sorted(
        ((overlap(a, b).iou, -one, -other) for one, a in enumerate(ones) for other, b in enumerate(others)),
        reverse=True,
    )
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for iou, one, other in overlaps:
        if iou >= SAME_LESION_IOU and -one not in taken and -other not in partner:
            taken.add(-one)
            partner[-other] = -one
    return dict(sorted(partner.items()))


def overlap(one: Mask, other: Mask) -> Overlap:
    """Two masks of one image, counted within their boxes."""
    top, left = max(one.box.top, other.box.top), max(one.box.left, other.box.left)
    bottom, right = min(one.box.bottom, other.box.bottom), min(one.box.right, other.box.right)
    both = 0
    if top < bottom and left < right:
        cut = [
            mask.crop[
                top - mask.box.top : bottom - mask.box.top,
                left - mask.box.left : right - mask.box.left,
            ]
            for mask in (one, other)
        ]
        both = int(np.count_nonzero(cut[0] & cut[1]))
    extra = one.area_px - both
    return Overlap(both, one.area_px, other.area_px, window=other.area_px + extra, extra=extra)
