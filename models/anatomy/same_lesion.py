"""Decides which outlines of one image belong to the same lesion: within one set of outlines, and between two sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.measures.overlap import Overlap
from models.types.reading import Detection, FindingKind
from models.types.region import Box, Mask

SAME_LESION_IOU = 0.1
"""The least overlap of two outlines of the same lesion: an expert may redraw most of an outline."""


NESTED = 0.5
"""If at least this share of a finding lies inside a larger one, both are the same lesion. Measured on the detector's
boxes: docs/detector.md."""


def groups_of(found: Sequence[Detection], kinds_apart: bool) -> list[FindingKind | None]:
    """The group of each finding for `innermost`: masses or calcifications if each have a detector of their own, else
    one for all."""
    return [detection.kind.basic if kinds_apart else None for detection in found]


def innermost(places: Sequence[Box] | Sequence[Mask], groups: Sequence[object] | None = None) -> list[int]:
    """The ascending indices of the findings that are kept: of nested findings, only the smallest.

    A finding is removed if `NESTED` or more of a smaller one that is kept lies inside it; of two equal ones the first
    is kept. Boxes are compared by their rectangles, masks by their pixels.

    Args:
        places: the findings.
        groups: the group of each finding: only findings of the same group are compared. None: all are one group.
    """
    groups = [None] * len(places) if groups is None else groups
    sizes = [place.area_px for place in places]
    kept: list[int] = []
    for number in sorted(range(len(places)), key=sizes.__getitem__):
        others = [other for other in kept if groups[other] == groups[number]]
        if all(_shared(places[number], places[smaller]) < NESTED * sizes[smaller] for smaller in others):
            kept.append(number)
    return sorted(kept)


def _shared(first: Box | Mask, second: Box | Mask) -> int:
    """The number of pixels in both; the two have the same type."""
    if isinstance(first, Mask) and isinstance(second, Mask):
        return overlap(first, second).both
    a, b = (place.box if isinstance(place, Mask) else place for place in (first, second))
    rows = min(a.bottom, b.bottom) - max(a.top, b.top)
    columns = min(a.right, b.right) - max(a.left, b.left)
    return max(0, rows) * max(0, columns)


def same_lesions(first: Sequence[Mask], second: Sequence[Mask]) -> dict[int, int]:
    """For each outline in `second` that has one of the same lesion in `first`: its index → the index in `first`.

    Pairs are formed in the order of falling IoU (at least SAME_LESION_IOU), each outline in one pair at most. The
    result is in the order of `second`.
    """
    overlaps = sorted(
        ((overlap(a, b).iou, -i, -j) for i, a in enumerate(first) for j, b in enumerate(second)),
        reverse=True,
    )
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for iou, i, j in overlaps:
        if iou >= SAME_LESION_IOU and -i not in taken and -j not in partner:
            taken.add(-i)
            partner[-j] = -i
    return dict(sorted(partner.items()))


def overlap(drawn: Mask, true: Mask) -> Overlap:
    """The overlap of two masks of one image; false positives are counted in the union of the two."""
    top, left = max(drawn.box.top, true.box.top), max(drawn.box.left, true.box.left)
    bottom, right = min(drawn.box.bottom, true.box.bottom), min(drawn.box.right, true.box.right)
    both = 0
    if top < bottom and left < right:
        cut = [
            mask.crop[
                top - mask.box.top : bottom - mask.box.top,
                left - mask.box.left : right - mask.box.left,
            ]
            for mask in (drawn, true)
        ]
        both = int(np.count_nonzero(cut[0] & cut[1]))
    extra = drawn.area_px - both
    return Overlap(both, drawn.area_px, true.area_px, window=true.area_px + extra, extra=extra)
