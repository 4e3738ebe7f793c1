"""What a detector is trained and measured on: images of CDD-CESM whose lesions are drawn, or that have none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.breast import breast_box, breast_mask
from models.datasets.cdd_cesm import LeftOut, Record, read_lesions, read_pixels
from models.framing import Frame, frame
from models.training.augment import Picture
from models.types import FindingKind, Mammogram, Mask


@dataclass(frozen=True, eq=False)
class Sample:
    """An image with its lesions, in source pixels."""

    record: Record
    lesions: tuple[Mask, ...]
    mammogram: Mammogram


def samples_of(records: Sequence[Record], left_out: list[LeftOut]) -> Iterator[Sample]:
    """Images a detector can be trained or measured on; what is not used is added to `left_out`."""
    for record in records:
        if not record.for_detection:
            left_out.append(LeftOut(record.name, "its findings name no lesion, or none is drawn where one may be"))
            continue
        pixels = read_pixels(record)
        lesions, faulty = read_lesions(record, breast_mask(pixels))
        left_out.extend(faulty)
        if record.mask is not None and not lesions:
            left_out.append(LeftOut(record.name, "none of its drawn regions can be a lesion"))
            continue
        yield Sample(record, lesions, Mammogram(pixels))


def picture_of(sample: Sample, side: int, kinds: Sequence[FindingKind]) -> Picture:
    """The sample framed in `side` × `side` pixels; `kinds` are the classes in the order of their numbers."""
    pixels = sample.mammogram.pixels
    shown = frame(pixels, breast_box(pixels), side)
    outlines = tuple(points for points in (_outline(mask, shown) for mask in sample.lesions) if len(points))
    kind = kinds.index(sample.record.kind) if sample.record.kind is not None else 0
    return Picture(shown.pixels, outlines, (kind,) * len(outlines))


def _outline(mask: Mask, shown: Frame) -> NDArray[np.float32]:
    """Points round a lesion, x and y in frame pixels."""
    found, _ = cv2.findContours(shown.draw(mask).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = [outline.reshape(-1, 2) for outline in found]
    return np.concatenate(points).astype(np.float32) if points else np.zeros((0, 2), dtype=np.float32)
