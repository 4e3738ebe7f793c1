"""The grey scale of a presentation state: the same as that of the image without it."""

from __future__ import annotations

from copy import deepcopy
from fractions import Fraction
from typing import Any

from numpy.typing import NDArray
from pydicom import Dataset

from dicom_io.attributes import code, number, text
from dicom_io.decimals import decimal_string
from dicom_io.pixels.contrast import contrast_of
from dicom_io.pixels.luts import Voi, is_inverse, modality_of, voi_of
from dicom_io.results.fitting import cut
from dicom_io.spacing import aspect_of


def is_grey(source: Dataset) -> bool:
    """Whether a grayscale presentation state may refer to the image (PS3.3 §A.33.1): a colour image needs another
    kind."""
    stated = code(source, "PhotometricInterpretation")
    return stated.startswith("MONOCHROME") or (not stated and number(source, "SamplesPerPixel") in (None, 1))


def as_displayed(source: Dataset, tones: NDArray[Any] | None) -> Dataset:
    """The attributes of the Modality LUT, Softcopy VOI LUT and Softcopy Presentation LUT modules (PS3.3 §C.11.1,
    §C.11.8, §C.11.6) that show an image as it was read.

    A presentation state replaces all three of the image: a missing one means the identity. Values of the header that do
    not fit the pixels are not copied: dicom_io.pixels decides this as it does for the reading.

    Args:
        tones: a sample of the stored values (dicom_io.pixels.contrast); None if the reading has none.
    """
    contrast = None if tones is None else contrast_of(tones)
    modality = modality_of(source, contrast)
    display = Dataset()
    if modality.lut is not None:
        display.ModalityLUTSequence = [deepcopy(modality.lut)]
    elif (modality.slope, modality.intercept) != (1, 0):
        display.RescaleSlope = decimal_string(modality.slope)
        display.RescaleIntercept = decimal_string(modality.intercept)
        display.RescaleType = cut("LO", text(source, "RescaleType")) or "US"
    if voi := _softcopy_voi(voi_of(source, modality, contrast)):
        display.SoftcopyVOILUTSequence = [voi]
    # A presentation state overrides the Photometric Interpretation of the image.
    display.PresentationLUTShape = "INVERSE" if is_inverse(source) else "IDENTITY"
    return display


def pixel_aspect_ratio(source: Dataset) -> tuple[int, int]:
    """Height and width of a pixel as a ratio of integers (PS3.3 §C.10.4); (1, 1) if the header does not state it."""
    height, width = aspect_of(source)
    ratio = Fraction(height / width).limit_denominator(1000)
    return ratio.numerator, ratio.denominator


def _softcopy_voi(chosen: Voi) -> Dataset:
    # Without Window Center & Width Explanation: its text belongs to the image, not to this object.
    voi = Dataset()
    if chosen.lut is not None:
        voi.VOILUTSequence = [deepcopy(chosen.lut)]
    elif chosen.window is not None:
        centre, width, function = chosen.window
        voi.WindowCenter, voi.WindowWidth = decimal_string(centre), decimal_string(width)
        if function:
            voi.VOILUTFunction = function
    return voi
