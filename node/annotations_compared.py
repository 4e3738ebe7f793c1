"""What an expert drew in an image, against what the node had proposed there: kept, added, removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dicom_io.errors import NotReadable
from dicom_io.segmentations import ReadSegment, read_segments
from models.evaluation.overlap import Overlap
from models.types import Mask
from node.annotations import AnnotatedImage, read_truth

SAME_LESION_IOU = 0.1
"""From this overlap on a drawn lesion is the proposed one: an expert may redraw most of it."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A proposal and what the expert made of it."""

    proposed: ReadSegment
    drawn: ReadSegment
    dice: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """One image's proposals against its correction; without a revision there were no proposals to compare with.

    Attributes:
        drawn: all lesions of the correction: the truth.
        kept: those that were proposed, each with its proposal.
        added: those that were not proposed.
        removed: proposals that the expert took away.
    """

    image: AnnotatedImage
    drawn: tuple[ReadSegment, ...]
    kept: tuple[Pair, ...]
    added: tuple[ReadSegment, ...]
    removed: tuple[ReadSegment, ...]


def compare(image: AnnotatedImage, data_dir: Path) -> Comparison:
    """Reads the pixels of one image's correction and proposals.

    Raises:
        NotReadable: the correction is damaged, has not the shape of its image, or a file is gone from the archive.
    """
    try:
        return _compared(image, data_dir)
    except FileNotFoundError as cause:
        raise NotReadable("a file of it is gone from the data folder: send it again") from cause


def _compared(image: AnnotatedImage, data_dir: Path) -> Comparison:
    drawn = _of_image(read_truth(data_dir, image.image_path, image.correction_path).segments, image)
    if image.revision is None:
        return Comparison(image, drawn, (), (), ())
    proposed = _of_image(read_segments(data_dir / image.proposal_path), image) if image.proposal_path else ()
    kept = match(proposed, drawn)
    found, meant = {id(pair.drawn) for pair in kept}, {id(pair.proposed) for pair in kept}
    return Comparison(
        image,
        drawn,
        kept,
        added=tuple(segment for segment in drawn if id(segment) not in found),
        removed=tuple(segment for segment in proposed if id(segment) not in meant),
    )


def match(proposed: Sequence[ReadSegment], drawn: Sequence[ReadSegment]) -> tuple[Pair, ...]:
    """Which proposal became which lesion: pairs of falling IoU, each segment in one pair, of SAME_LESION_IOU at least.

    In the order of what was drawn.
    """
    overlaps = sorted(
        (
            (_overlap(ours.mask, theirs.mask).iou, -one, -other)
            for one, ours in enumerate(proposed)
            for other, theirs in enumerate(drawn)
        ),
        reverse=True,
    )
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for overlap, one, other in overlaps:
        if overlap >= SAME_LESION_IOU and -one not in taken and -other not in partner:
            taken.add(-one)
            partner[-other] = -one
    pairs = [(proposed[one], drawn[other]) for other, one in sorted(partner.items())]
    return tuple(Pair(ours, theirs, _overlap(ours.mask, theirs.mask).dice) for ours, theirs in pairs)


def _of_image(segments: Sequence[ReadSegment], image: AnnotatedImage) -> tuple[ReadSegment, ...]:
    return tuple(segment for segment in segments if segment.image_uid == image.image_uid)


def _overlap(one: Mask, other: Mask) -> Overlap:
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
