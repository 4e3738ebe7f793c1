"""Reads a DICOM mammogram into the array that the models take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_io.attributes import text
from dicom_io.contradictions import contradictions
from dicom_io.errors import NotReadable
from dicom_io.film import is_film
from dicom_io.headers import Turn, kind_of, laterality_of, turn_of
from dicom_io.image_types import MAGNIFIED, is_plain_exposure, what_kind_of_view
from dicom_io.instance_kinds import InstanceKind
from dicom_io.magnification import magnification_of
from dicom_io.pixels.contrast import Contrast, contrast_of, tones_of
from dicom_io.pixels.decoding import read_dataset, stored_values
from dicom_io.pixels.luts import Modality, approximate_presentation, is_inverse, modality_of, voi_of
from dicom_io.pixels.padding import outside_padding
from dicom_io.spacing import spacing_of
from dicom_io.views import extent_of, has_implant, unknown_modifiers, view_of
from models.types.mammogram import Mammogram

# ITU-R BT.601 luma: exact for a grey image that was saved in colour.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_NO_LOCATION = "no nipple was looked for, so lesions have no location and are not tied to the breast's other view."
_NOT_UPRIGHT = {
    Turn.HEAD_DOWN: f"The image is stored upside down: {_NO_LOCATION}",
    Turn.SIDEWAYS: f"The image is stored turned by a quarter, and is read as it is stored, which is less dependable: "
    f"{_NO_LOCATION}",
}
_UNDECODABLE_NAME = (
    "The patient's name holds characters that its Specific Character Set does not: they are replaced in the results."
)


def read_mammogram(path: Path, max_pixels: int = 100_000_000) -> Mammogram:
    """Reads one image: decodes it and applies its Modality LUT and VOI LUT. Dense tissue is bright.

    A raw image (For Processing) gets an approximate presentation, and a warning says so. The caller checks whether the
    image is a mammogram (`headers.describe`).

    Args:
        max_pixels: an image whose header states more samples is refused before memory is allocated.

    Raises:
        NotReadable: this file can never be read; the message is one sentence for the report.
        OSError: the file is missing, may not be read, or the machine failed.
        MemoryError: the image does not fit into this machine's memory.
    """
    dataset = read_dataset(path, max_pixels)
    found = stored_values(dataset)
    stored = found.values
    if stored.ndim == 3:
        stored = np.rint(stored @ _LUMA)
    inside, padding_remark = outside_padding(dataset, stored)
    tones = tones_of(stored, inside)
    contrast = contrast_of(tones)
    if contrast is None:
        raise NotReadable("The image is blank: all its pixels have the same value.")
    modality = modality_of(dataset, contrast)
    values = modality.of(stored)
    del stored
    pixels, presentation_remark = _presented(dataset, values, inside, contrast, modality)
    pixels[~inside] = 0
    spacing = spacing_of(dataset)
    remarks = (
        *what_kind_of_view(dataset),
        *found.remarks,
        padding_remark,
        modality.remark,
        presentation_remark,
        *spacing.warnings,
        *_header_remarks(dataset),
    )
    return Mammogram(
        pixels=np.ascontiguousarray(pixels),
        spacing_mm=spacing.mm,
        spacing_by=spacing.by,
        film=is_film(dataset),
        laterality=laterality_of(dataset),
        view=view_of(dataset),
        extent=extent_of(dataset),
        upright=turn_of(dataset) is Turn.UPRIGHT,
        tones=tones,
        calibration_holds=kind_of(dataset) is not InstanceKind.FOR_PROCESSING and is_plain_exposure(dataset),
        warnings=tuple(sentence for sentence in remarks if sentence),
    )


def _presented(
    dataset: Dataset, values: NDArray[np.float32], inside: NDArray[np.bool_], contrast: Contrast, modality: Modality
) -> tuple[NDArray[np.float32], str | None]:
    """The values on the display scale, 0..1, dense tissue bright; and a sentence if the presentation needs a remark."""
    if kind_of(dataset) is InstanceKind.FOR_PROCESSING:
        pixels = approximate_presentation(dataset, values, inside, contrast, modality.of(contrast.tones))
        return pixels, (
            "Only the raw (For Processing) image was there: it was made presentable by an approximation, "
            "and scores on such images are less dependable."
        )
    voi = voi_of(dataset, modality, contrast)
    pixels = voi.of(values)
    if is_inverse(dataset):
        np.subtract(np.float32(1), pixels, out=pixels)
    return pixels, voi.remark


def _header_remarks(dataset: Dataset) -> Iterator[str | None]:
    """Remarks for the radiologist that follow from the header alone."""
    extent = extent_of(dataset)
    for name in unknown_modifiers(dataset):
        yield f"The view modifier {name!r} is unknown: how much of the view it leaves is not told."
    yield _extent_remark(dataset, extent) if extent else None
    yield _NOT_UPRIGHT.get(turn_of(dataset))
    yield from contradictions(dataset)
    yield _UNDECODABLE_NAME if "\N{REPLACEMENT CHARACTER}" in text(dataset, "PatientName") else None
    yield "A breast implant is present or was displaced for this view." if has_implant(dataset) else None


def _extent_remark(dataset: Dataset, extent: str) -> str:
    if MAGNIFIED not in extent:
        return f"Not the whole breast as in a standard view ({extent}): it fills the place of none."
    factor = magnification_of(dataset).factor
    enlarged = f" (factor {factor:.2f})" if factor is not None else ""
    return f"A magnification or spot view{enlarged}: it is not measured as if it were a full field."
