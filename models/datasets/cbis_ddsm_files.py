"""Finds CBIS-DDSM's files, and which of them is a mask.

A mask and the crop of the image around it are in the same folder. Their names and order do not say which is which, and
some rows of the set's tables confuse the two. So a file is identified by its content: a mask has two values and its
image's size. If no file has both, the mask is the largest file with two values and the image's proportions.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.datasets.case import DatasetError
from models.datasets.dicom import DicomReader
from models.types.region import Mask

_FOLDER = re.compile(r"(Mass|Calc)-(Training|Test)_P_\d+_(LEFT|RIGHT)_[A-Z]+(_\d+)?")
_PROPORTIONS = 0.05
"""A mask's ratio of height to width may differ from its image's by this share; a crop's usually differs by more."""


@dataclass(frozen=True)
class FoundMask:
    """The file that holds an abnormality's mask, or the reason why there is none.

    Attributes:
        path: the file; None if there is none.
        fault: why there is no file; "" if there is one.
        mended: how a defective file is corrected; "" if it is not defective.
    """

    path: Path | None
    fault: str = ""
    mended: str = ""


def files_by_name(folder: Path) -> Mapping[str, Sequence[Path]]:
    """The DICOM files of each image ("Mass-Training_P_00001_LEFT_CC") and abnormality ("…_CC_1"), at any depth."""
    found = defaultdict(list)
    for path in sorted(folder.rglob("*.dcm")):
        for part in reversed(path.relative_to(folder).parts[:-1]):
            if _FOLDER.fullmatch(part):
                found[part].append(path)
                break
    return found


def find_mask(files: Sequence[Path], shape: tuple[int, int], reader: DicomReader) -> FoundMask:
    """Finds the mask among an abnormality's files. Reads their pixels: an empty mask that is found only during training
    would have to stop the training, or leave a lesion in the image without an annotation.

    Args:
        shape: rows and columns of the image that it is drawn on.

    Raises:
        DatasetError: a file cannot be read.
    """
    if not files:
        return FoundMask(None, fault="its mask is not in the folder")
    shapes = {path: reader.shape(path) for path in files}
    near = [path for path in files if _same_proportions(shapes[path], shape)]
    near.sort(key=lambda path: (shapes[path] == shape, shapes[path]), reverse=True)
    found = next((path for path in near if _two_valued(reader.stored(path))), None)
    if found is None:
        return FoundMask(
            None, fault="none of its files is a mask of the image's proportions with something drawn in it"
        )
    if shapes[found] == shape:
        return FoundMask(found)
    return FoundMask(found, mended=f"its mask has {shapes[found]} pixels, the image {shape}: stretched to the image")


def read_mask(path: Path, shape: tuple[int, int], reader: DicomReader) -> Mask:
    """The mask at the size of its image: resized by nearest neighbour if it has another size.

    Raises:
        DatasetError: the file cannot be read, or its mask is empty.
    """
    stored = reader.stored(path)
    drawn = (stored > stored.max() / 2).astype(np.uint8)
    if drawn.shape != shape:
        drawn = cv2.resize(drawn, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    mask = Mask.from_full(drawn.astype(np.bool_))
    if mask is None:
        raise DatasetError(f"Nothing is drawn in {path}. Fetch it again, or take its row out of the set's table.")
    return mask


def _same_proportions(mask: tuple[int, int], image: tuple[int, int]) -> bool:
    return abs(mask[0] / mask[1] / (image[0] / image[1]) - 1) <= _PROPORTIONS


def _two_valued(stored: NDArray[np.generic]) -> bool:
    first = stored.flat[0]
    others = stored[stored != first]
    return bool(others.size) and bool((others == others[0]).all())
