"""Compares the lesions that an expert drew in an image with the node's proposals: kept, added, removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dicom_io.errors import NotReadable
from dicom_io.segmentations import ReadSegment, read_segments
from models.anatomy.same_lesion import overlap, same_lesions
from node.annotations.truth import AnnotatedImage, read_truth


@dataclass(frozen=True, eq=False)
class Pair:
    """A proposed lesion and the expert's outline of it."""

    proposed: ReadSegment
    drawn: ReadSegment
    dice: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """One image's proposals and its correction. Without a revision of the image there are no proposals, and `kept`,
    `added` and `removed` are empty.

    Attributes:
        drawn: all lesions of the correction: the ground truth.
        kept: drawn lesions that were proposed, each with its proposal.
        added: drawn lesions that were not proposed.
        removed: proposals that the expert removed.
    """

    image: AnnotatedImage
    drawn: tuple[ReadSegment, ...]
    kept: tuple[Pair, ...]
    added: tuple[ReadSegment, ...]
    removed: tuple[ReadSegment, ...]


def compare(image: AnnotatedImage, data_dir: Path) -> Comparison:
    """Reads the pixels of one image's correction and proposals.

    Raises:
        NotReadable: the correction is damaged or has another shape than its image, or a file is missing.
    """
    try:
        return _compared(image, data_dir)
    except FileNotFoundError as cause:
        raise NotReadable("one of its files is missing in the data folder: send it again") from cause


def _compared(image: AnnotatedImage, data_dir: Path) -> Comparison:
    drawn = _of_image(read_truth(data_dir, image.image_path, image.correction_path).segments, image)
    if image.revision is None:
        return Comparison(image, drawn, (), (), ())
    proposed = _of_image(read_segments(data_dir / image.proposal_path), image) if image.proposal_path else ()
    kept = match(proposed, drawn)
    drawn_ids, proposed_ids = {id(pair.drawn) for pair in kept}, {id(pair.proposed) for pair in kept}
    return Comparison(
        image,
        drawn,
        kept,
        added=tuple(segment for segment in drawn if id(segment) not in drawn_ids),
        removed=tuple(segment for segment in proposed if id(segment) not in proposed_ids),
    )


def match(proposed: Sequence[ReadSegment], drawn: Sequence[ReadSegment]) -> tuple[Pair, ...]:
    """Pairs each drawn lesion with its proposal, in the order of the drawn lesions."""
    pairs = same_lesions([segment.mask for segment in proposed], [segment.mask for segment in drawn])
    return tuple(
        Pair(proposed[ours], drawn[theirs], overlap(proposed[ours].mask, drawn[theirs].mask).dice)
        for theirs, ours in pairs.items()
    )


def _of_image(segments: Sequence[ReadSegment], image: AnnotatedImage) -> tuple[ReadSegment, ...]:
    return tuple(segment for segment in segments if segment.image_uid == image.image_uid)
