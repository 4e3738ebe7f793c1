"""A DICOM mammogram as the models see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_io.attributes import number, numbers, text
from dicom_io.errors import NotReadable
from dicom_io.headers import (
    InstanceKind,
    has_implant,
    is_full_field,
    is_head_up,
    kind_of,
    laterality_of,
    view_of,
)
from dicom_io.pixels.contrast import contrast_of
from dicom_io.pixels.decoding import read_dataset, stored_values
from dicom_io.pixels.luts import approximate_presentation, display_values, modality_values
from models.types import Mammogram

# ITU-R BT.601: what a grey image saved in colour was, and a fair grey for one that has colour.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_HEAD_DOWN = (
    "The image is stored upside down: no nipple was looked for, so lesions have no location and are not tied to the "
    "breast's other view."
)
_UNDECODABLE_NAME = (
    "The patient's name holds characters that its Specific Character Set does not: they are replaced in the results."
)
# Detectors and film scanners for mammography lie between 0.025 and 0.2 mm; beyond these bounds the header is wrong.
_PLAUSIBLE_SPACING_MM = (0.01, 0.5)


def read_mammogram(path: Path, max_pixels: int = 100_000_000) -> Mammogram:
    """Reads one image: decoded, through its Modality and VOI LUT, dense tissue bright.

    Raw images (For Processing) are made presentable by an approximation, and a warning says so. Whether the image is
    a mammogram at all is the caller's question (`headers.describe`).

    Args:
        max_pixels: more samples than these are refused by the header alone, before any memory is taken.

    Raises:
        NotReadable: this file will never be read; the message is one sentence for the report.
        OSError: the file is not there, may not be read, or the machine did not give it.
        MemoryError: this machine did not hold the image.
    """
    dataset = read_dataset(path, max_pixels)
    found = stored_values(dataset)
    stored = found.values
    if stored.ndim == 3:
        stored = np.rint(stored @ _LUMA)
    inside, padding_remark = _outside_padding(dataset, stored)
    contrast = contrast_of(stored, inside)
    if contrast is None:
        raise NotReadable("The image is blank: all its pixels have the same value.")
    modality, modality_remark = modality_values(dataset, stored, contrast)
    del stored
    if kind_of(dataset) is InstanceKind.FOR_PROCESSING:
        remark: str | None = (
            "Only the raw (For Processing) image was there: it was made presentable by an approximation, "
            "and scores on such images are less dependable."
        )
        pixels = approximate_presentation(dataset, modality, inside, contrast)
    else:
        pixels, remark = display_values(dataset, modality, inside, contrast)
    pixels[~inside] = 0
    spacing, spacing_remark = _spacing(dataset)
    full_field = is_full_field(dataset)
    remarks = (
        *found.remarks,
        padding_remark,
        modality_remark,
        remark,
        spacing_remark,
        None if full_field else _magnification_remark(dataset),
        None if is_head_up(dataset) else _HEAD_DOWN,
        _UNDECODABLE_NAME if "\N{REPLACEMENT CHARACTER}" in text(dataset, "PatientName") else None,
        "A breast implant is present or was displaced for this view." if has_implant(dataset) else None,
    )
    return Mammogram(
        pixels=np.ascontiguousarray(pixels),
        spacing_mm=spacing,
        laterality=laterality_of(dataset),
        view=view_of(dataset),
        magnified=not full_field,
        head_up=is_head_up(dataset),
        warnings=tuple(sentence for sentence in remarks if sentence),
    )


def _outside_padding(dataset: Dataset, stored: NDArray[Any]) -> tuple[NDArray[np.bool_], str | None]:
    """Where no padding is (PS3.3 §C.7.5.1.1.2): Pixel Padding Value alone, or up to its range limit.

    With a sentence where that would leave nothing of the picture, and so is not obeyed.
    """
    everywhere = np.ones(stored.shape, dtype=np.bool_)
    value = number(dataset, "PixelPaddingValue")
    if value is None:
        return everywhere, None
    limit = number(dataset, "PixelPaddingRangeLimit")
    low, high = sorted(_as_stored(dataset, bound) for bound in (value, value if limit is None else limit))
    inside = (stored < low) | (stored > high)
    picture = stored[inside]
    if picture.size and picture.min() < picture.max():
        return inside, None
    return everywhere, "By the header's Pixel Padding Value nothing of the image is left: it was not used."


def _as_stored(dataset: Dataset, value: float) -> float:
    """A padding value as the pixels hold it: in their sign and their bits, of which some headers write more."""
    bits = int(number(dataset, "BitsStored") or 16)
    signed = number(dataset, "PixelRepresentation") == 1
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    return value if low <= value < high else (value - low) % (1 << bits) + low


def _spacing(dataset: Dataset) -> tuple[tuple[float, float] | None, str | None]:
    """(row, column) spacing in mm at the detector: Imager Pixel Spacing, or Pixel Spacing where only that is there."""
    for keyword in ("ImagerPixelSpacing", "PixelSpacing"):
        found = numbers(dataset, keyword)
        if len(found) == 2:
            low, high = _PLAUSIBLE_SPACING_MM
            if all(low <= distance <= high for distance in found):
                return _in_the_breast(dataset, found[0], found[1]), None
            return None, "The header's pixel spacing is not that of a mammogram and was not used."
    return None, None


def _in_the_breast(dataset: Dataset, row_mm: float, column_mm: float) -> tuple[float, float] | None:
    """The spacing at the detector, or for a magnified view what it is in the breast: None where nobody says how far
    it was magnified (safety rule 6: never measured as if it were a full field)."""
    if is_full_field(dataset):
        return row_mm, column_mm
    factor = number(dataset, "EstimatedRadiographicMagnificationFactor")
    return (row_mm / factor, column_mm / factor) if factor else None


def _magnification_remark(dataset: Dataset) -> str:
    factor = number(dataset, "EstimatedRadiographicMagnificationFactor")
    enlarged = f" (factor {factor:.2f})" if factor is not None else ""
    return f"A magnification or spot view{enlarged}: it is not measured as if it were a full field."
