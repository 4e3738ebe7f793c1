"""The grey scale of a presentation state: the one by which the image is shown without it."""

from __future__ import annotations

from copy import deepcopy
from fractions import Fraction

from pydicom import Dataset

from dicom_io.attributes import text
from dicom_io.decimals import decimal_string
from dicom_io.pixels.luts import is_inverse, stated_modality_luts, stated_rescale, stated_voi_luts, stated_windows
from dicom_io.spacing import aspect_of


def as_displayed(source: Dataset) -> Dataset:
    """The attributes of the Modality LUT, Softcopy VOI LUT and Softcopy Presentation LUT modules (PS3.3 §C.11.1,
    §C.11.8, §C.11.6) that leave an image looking as its own header has it.

    A presentation state replaces all three of the image: what it leaves out is the identity. As in dicom_io.pixels, a
    VOI LUT goes before a window and the first of several is the default; a malformed one counts as absent.
    """
    display = Dataset()
    _put_modality_lut(display, source)
    voi = _voi(source)
    if voi:
        display.SoftcopyVOILUTSequence = [voi]
    # The Photometric Interpretation of the image has no say where a presentation state is applied.
    display.PresentationLUTShape = "INVERSE" if is_inverse(source) else "IDENTITY"
    return display


def pixel_aspect_ratio(source: Dataset) -> tuple[int, int]:
    """Height to width of a pixel as whole numbers (PS3.3 §C.10.4): 1 to 1 where the header does not tell."""
    height, width = aspect_of(source)
    ratio = Fraction(height / width).limit_denominator(1000)
    return ratio.numerator, ratio.denominator


def _put_modality_lut(display: Dataset, source: Dataset) -> None:
    if luts := stated_modality_luts(source):
        display.ModalityLUTSequence = [deepcopy(luts[0])]
        return
    slope, intercept = stated_rescale(source)
    if slope != 0 and (slope, intercept) != (1, 0):
        display.RescaleSlope, display.RescaleIntercept = decimal_string(slope), decimal_string(intercept)
        display.RescaleType = text(source, "RescaleType") or "US"


def _voi(source: Dataset) -> Dataset:
    # Without its explanation: the window is the image's, whatever its maker called it.
    voi = Dataset()
    if luts := stated_voi_luts(source):
        voi.VOILUTSequence = [deepcopy(luts[0])]
        return voi
    if stated := stated_windows(source):
        centre, width, function = stated[0]
        voi.WindowCenter, voi.WindowWidth = decimal_string(centre), decimal_string(width)
        if function:
            voi.VOILUTFunction = function
    return voi
