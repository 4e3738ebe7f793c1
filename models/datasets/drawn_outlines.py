"""Outlines that a segmenter draws where a data set has only boxes: Guo, Cai and Dungey masked lesions by MedSAM's.

Each is drawn once and kept in a folder, so that epochs, recipes and repeated runs read it. It is what a classifier sees
of a lesion, and never a truth: detectors and segmenters are trained and measured by what people drew.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models.anatomy.film import with_spacing
from models.datasets.case import Case, Cases, Lesion
from models.durable import write_durably
from models.protocols import Segmenter, ToOutline
from models.types.mammogram import Mammogram
from models.types.region import Box, Mask


@dataclass(frozen=True)
class Outlines:
    """Draws outlines in boxes, and keeps them.

    Attributes:
        load: loads the segmenter; called when the first outline is drawn.
        identity: of the segmenter's weights and settings: another segmenter's outlines are not used.
        folder: one file for each image; created if missing.
        assumed_spacing_mm: of digital images without a spacing (models/anatomy/film.py).
    """

    load: Callable[[], Segmenter]
    identity: str
    folder: Path
    assumed_spacing_mm: float

    def of(self, image: Mammogram, lesions: Sequence[Lesion]) -> list[Mask | None]:
        """The outline of each lesion from its box; None where the segmenter finds none."""
        image = with_spacing(image, self.assumed_spacing_mm)
        path = self.folder / f"{self._digest(image, lesions)}.npz"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            [masks] = self.load().segment([ToOutline(image, [(lesion.mask.box, lesion.kind) for lesion in lesions])])
            write_durably(path, _packed(masks))
        return _unpacked(path, len(lesions))

    def _digest(self, image: Mammogram, lesions: Sequence[Lesion]) -> str:
        """Digest of everything that the outlines depend on, hexadecimal."""
        boxes = [(lesion.mask.box, lesion.kind) for lesion in lesions]
        digest = hashlib.sha256(repr((self.identity, image.shape, image.spacing_mm, boxes)).encode())
        digest.update(np.ascontiguousarray(image.pixels).data)
        return digest.hexdigest()


def with_drawn_outlines(cases: Cases, outlines: Outlines) -> Cases:
    """The cases; a lesion of which only a box is known gets an outline (`Lesion.drawn`)."""
    outlined = tuple(_outlined(case, outlines) for case in cases.cases)
    return replace(cases, cases=outlined, outlined_by=outlines.identity)


def _outlined(case: Case, outlines: Outlines) -> Case:
    def read_lesions(image: Mammogram) -> tuple[Lesion, ...]:
        lesions = case.read_lesions(image)
        boxed = [lesion for lesion in lesions if not lesion.outlined]
        drawn = iter(outlines.of(image, boxed) if boxed else ())
        return tuple(lesion if lesion.outlined else replace(lesion, drawn=next(drawn)) for lesion in lesions)

    return replace(case, read_lesions=read_lesions)


def _packed(masks: Sequence[Mask | None]) -> bytes:
    """The masks as the content of a file; one that is None is left out."""
    arrays: dict[str, Any] = {}
    for number, mask in enumerate(masks):
        if mask is not None:
            box = mask.box
            arrays[f"{number} box"] = np.array([box.top, box.left, box.bottom, box.right])
            arrays[f"{number} pixels"] = mask.crop
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def _unpacked(path: Path, count: int) -> list[Mask | None]:
    with np.load(path) as found:
        return [
            Mask(Box(*(int(edge) for edge in found[f"{number} box"])), found[f"{number} pixels"])
            if f"{number} box" in found
            else None
            for number in range(count)
        ]
