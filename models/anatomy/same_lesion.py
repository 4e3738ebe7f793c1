"""Which outlines of one image are of one lesion: of one set, and of two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.measures.overlap import Overlap
from models.types.region import Box, Mask

SAME_LESION_IOU = 0.1
"""From this overlap on two outlines are of one lesion: an expert may redraw most of it."""


NESTED = 0.5
"""From this share of the smaller one on, a finding that lies in another is the same lesion. Measured on the detector's
boxes: docs/detector.md."""


def innermost(places: Sequence[Box] | Sequence[Mask]) -> list[int]:
    """The indices of those that stay, rising, where of findings that lie in one another the smallest stands for all.

    A place goes where `NESTED` or more of a smaller one that stays lies in it; of two equal ones the first stays.
    Boxes are compared by their rectangles, masks by their pixels.
    """
    sizes = [one.area_px for one in places]
    staying: list[int] = []
    for number in sorted(range(len(places)), key=sizes.__getitem__):
        if all(_shared(places[number], places[other]) < NESTED * sizes[other] for other in staying):
            staying.append(number)
    return sorted(staying)


def _shared(one: Box | Mask, other: Box | Mask) -> int:
    """Pixels of both; the two are of one sort."""
    if isinstance(one, Mask) and isinstance(other, Mask):
        return overlap(one, other).both
    first, second = (place.box if isinstance(place, Mask) else place for place in (one, other))
    rows = min(first.bottom, second.bottom) - max(first.top, second.top)
    columns = min(first.right, second.right) - max(first.left, second.left)
    return max(0, rows) * max(0, columns)


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
