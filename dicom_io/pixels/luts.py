"""Converts stored values to display values: Modality LUT, VOI LUT, polarity (PS3.3 §C.11.1, §C.11.2, §C.8.11.3).

Values are arrays of any shape; the display scale is 0 (black) to 1 (white). A window or look-up table of the header is
used if it keeps the contrast of the stored values. If not, it was written for other pixels (an 8-bit copy that kept the
window of its 12-bit source), and the next one that the header states is tried.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_io.attributes import code, items, number, numbers, values
from dicom_io.errors import NotReadable
from dicom_io.pixels.contrast import Contrast, otsu
from dicom_io.views import functional_groups

Values = NDArray[np.float32]
Window = tuple[float, float, str]
"""Center, width and VOI LUT Function."""

# 8-bit images (digitized film, screenshots) usually hold display values; deeper images seldom use their whole range.
_DISPLAY_BITS = 8
_SCRAMBLED, _IN_ORDER = 8.0, 2.0
"""Total variation, relative to the range, above which a look-up table is noise, and up to which it is plausible."""
_FEW = 1000  # pixels: a smaller image is not subsampled
_NO_RESCALE = "The header's rescale slope and intercept leave no picture of these pixels and were not used."
_SWAPPED = "The entries of a look-up table of the header have their bytes swapped: they were read in the other order."
_UNFIT = "A display window or look-up table of the header does not fit the pixels: {}."


@dataclass(frozen=True, eq=False)
class Modality:
    """Converts stored values to modality values (PS3.3 §C.11.1.1): by a look-up table, or by slope and intercept.

    Attributes:
        lut: an item of the Modality LUT Sequence.
        remark: a sentence if the header's LUT or slope was not used as stated: malformed, or no contrast remains.
    """

    slope: float = 1.0
    intercept: float = 0.0
    lut: Dataset | None = None
    remark: str | None = None

    def of(self, stored: NDArray[Any]) -> Values:
        """Modality values of stored values."""
        if self.lut is not None and (table := _table(self.lut)):
            return _look_up(table, stored)
        result = stored.astype(np.float32)
        if (self.slope, self.intercept) == (1, 0):
            return result
        with np.errstate(over="ignore", invalid="ignore"):
            rescaled: Values = result * np.float32(self.slope) + np.float32(self.intercept)
            return rescaled


@dataclass(frozen=True, eq=False)
class Voi:
    """Converts modality values to the display scale (PS3.3 §C.11.2): by a look-up table, a window, or unchanged.

    Attributes:
        lut: an item of the VOI LUT Sequence.
        bits: without a look-up table and window: the values 0 to 2^bits - 1 are scaled to 0..1.
        remark: a sentence if the header states no VOI, or the first that it states was not used as stated.
    """

    lut: Dataset | None = None
    window: Window | None = None
    bits: int = _DISPLAY_BITS
    remark: str | None = None

    def of(self, modality: Values) -> Values:
        """Modality values on the display scale."""
        if self.lut is not None and (table := _table(self.lut)):
            shown = _look_up(table, modality) / np.float32((1 << table.bits) - 1)
            return np.clip(shown, 0, 1, out=shown)
        if self.window is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                return window(modality, *self.window)
        shown = modality / np.float32((1 << self.bits) - 1)
        return np.clip(shown, 0, 1, out=shown)


def modality_of(dataset: Dataset, contrast: Contrast | None) -> Modality:
    """The Modality LUT or the rescale slope and intercept of an image; the identity if these leave no contrast.

    Args:
        contrast: of the stored values; None if they are not known: then the first well-formed one is used.
    """
    remark = None
    for stated in items(dataset, "ModalityLUTSequence")[:1]:
        lut, swapped = _in_order(stated)
        if _table(lut) and (contrast is None or contrast.kept_by(Modality(lut=lut).of(contrast.tones))):
            return Modality(lut=lut, remark=swapped)
        remark = "The header's Modality LUT does not fit the pixels and was not used."
    slope, intercept = stated_rescale(dataset)
    rescale = Modality(slope, intercept, remark=remark)
    if slope != 0 if contrast is None else contrast.kept_by(rescale.of(contrast.tones)):
        return rescale
    return Modality(remark=_NO_RESCALE)


def voi_of(dataset: Dataset, modality: Modality, contrast: Contrast | None) -> Voi:
    """The VOI transformation of an image: the first that its header states and that keeps the contrast.

    A stated VOI is applied to "For Presentation" images too, which does not mean that it was applied already
    (PS3.3 §C.11.2). VOI LUTs are tried before windows, each in the order of the header. Without a VOI that fits, 8-bit
    images are shown with their values unchanged, and deeper images from their least to their greatest value.
    MONOCHROME1 is inverted after the VOI (`is_inverse`).

    Args:
        modality: of the image.
        contrast: of the stored values; None if they are not known: then the first well-formed VOI is used.
    """
    stated = _stated_vois(dataset)
    if contrast is None:
        return stated[0] if stated else Voi()
    tones = modality.of(contrast.tones)
    first_fits = not any(_table(_in_order(lut)[0]) is None for lut in _voi_luts(dataset))
    for voi in stated:
        if contrast.shown_by(voi.of(tones)):
            return voi if first_fits else replace(voi, remark=_UNFIT.format("the next that fits was used"))
        first_fits = False
    is_stated = bool(_voi_luts(dataset)) or bool(stated)
    bits_stored = int(number(dataset, "BitsStored") or 0)
    as_it_is = Voi(bits=bits_stored)
    if 0 < bits_stored <= _DISPLAY_BITS and contrast.shown_by(as_it_is.of(tones)):
        reason = _UNFIT.format("the image is shown as its values are")
        return replace(as_it_is, remark=reason) if is_stated else as_it_is
    whole_range = "the image was read from its least to its greatest value"
    reason = _UNFIT.format(whole_range) if is_stated else f"The header gives no display window: {whole_range}."
    whole = Voi(window=_from_to(float(tones.min()), float(tones.max())), remark=reason)
    if contrast.shown_by(whole.of(tones)):
        return whole
    # A few values lie far from all others.
    return replace(whole, window=_from_to(*contrast.least_and_greatest(tones)))


def is_inverse(dataset: Dataset) -> bool:
    """Whether low values are bright. MONOCHROME1 and Presentation LUT Shape INVERSE mean the same; both invert once."""
    low_is_bright = code(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    return low_is_bright or code(dataset, "PresentationLUTShape") == "INVERSE"


def window(modality: Values, centre: float, width: float, function: str) -> Values:
    """Modality values on the display scale by a window (PS3.3 §C.11.2.1.2.1, §C.11.2.1.3).

    Args:
        function: VOI LUT Function: SIGMOID, LINEAR_EXACT, anything else is LINEAR.
    """
    if function == "SIGMOID":
        exponent = (modality - np.float32(centre)) * np.float32(-4 / width)
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(exponent)), dtype=np.float32)
    if function != "LINEAR_EXACT":
        centre, width = centre - 0.5, width - 1
    if width <= 0:  # a LINEAR window of width 1 is a step
        return (modality > np.float32(centre)).astype(np.float32)
    shown = (modality - np.float32(centre - width / 2)) / np.float32(width)
    return np.clip(shown, 0, 1, out=shown)


def stated_rescale(dataset: Dataset) -> tuple[float, float]:
    """Rescale slope and intercept; (1, 0) if none are stated. Of the image, or in an enhanced image of its frame
    (Pixel Value Transformation, PS3.3 §C.7.6.16.2.9)."""
    for holder in (dataset, *functional_groups(dataset, "PixelValueTransformationSequence")):
        slope, intercept = number(holder, "RescaleSlope"), number(holder, "RescaleIntercept")
        if slope is not None or intercept is not None:
            return 1.0 if slope is None else slope, intercept or 0.0
    return 1.0, 0.0


def stated_windows(dataset: Dataset) -> list[Window]:
    """Center, width and VOI LUT Function of each window, in the order of the header: of the image, then in an enhanced
    image of its frame (Frame VOI LUT, PS3.3 §C.7.6.16.2.10). Windows narrower than their function allows are left out
    (§C.11.2.1.2, §C.11.2.1.3)."""
    found = []
    for holder in _holders_of_voi(dataset):
        function = code(holder, "VOILUTFunction")
        smallest = 1 if function in ("", "LINEAR") else np.finfo(np.float32).tiny
        pairs = zip(numbers(holder, "WindowCenter"), numbers(holder, "WindowWidth"), strict=False)
        found += [(centre, width, function) for centre, width in pairs if width >= smallest]
    return found


def stated_display(dataset: Dataset) -> tuple[object, ...]:
    """All header values that decide the display of the image; images with equal values are displayed alike."""
    luts = [lut for lut in (*items(dataset, "ModalityLUTSequence"), *_voi_luts(dataset)) if _table(lut)]
    return luts, stated_rescale(dataset), stated_windows(dataset), is_inverse(dataset)


def _stated_vois(dataset: Dataset) -> list[Voi]:
    """The well-formed VOIs of the header in their order. Each LUT comes twice: as stated, and stretched over the range
    of its entries, for a LUT that is described as deeper than its entries are."""
    vois = []
    for stated in _voi_luts(dataset):
        lut, swapped = _in_order(stated)
        if table := _table(lut):
            vois += [Voi(lut=lut, remark=swapped), Voi(lut=_over_its_entries(table), remark=swapped)]
    return vois + [Voi(window=stated) for stated in stated_windows(dataset)]


def _over_its_entries(table: _Table) -> Dataset:
    """The same table, stretched to 16 bits from its least to its greatest entry."""
    least, greatest = float(table.entries.min()), float(table.entries.max())
    return _as_lut(table.first, 16, np.rint(_stretched(table.entries, least, greatest) * 65535).astype(np.uint16))


def _as_lut(first: int, bits: int, entries: NDArray[np.uint16]) -> Dataset:
    lut = Dataset()
    length = entries.size & 0xFFFF
    if first < 0:  # then the length is signed too
        lut.add_new("LUTDescriptor", "SS", [length - (1 << 16) if length >> 15 else length, first, bits])
    else:
        lut.add_new("LUTDescriptor", "US", [length, first, bits])
    lut.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return lut


def _in_order(lut: Dataset) -> tuple[Dataset, str | None]:
    """The table; if its entries vary like noise, the table with swapped bytes and a sentence, or an empty table if that
    varies like noise too."""
    table = _table(lut)
    if table is None or _ups_and_downs(table.entries) <= _SCRAMBLED:
        return lut, None
    swapped = table.entries.astype(np.uint16).byteswap()
    if _ups_and_downs(swapped) > _IN_ORDER:
        return Dataset(), None
    bits = int(numbers(lut, "LUTDescriptor")[2])
    return _as_lut(table.first, bits, swapped), _SWAPPED


def _ups_and_downs(entries: NDArray[Any]) -> float:
    """The total variation of the entries divided by their range: 1 in a monotonic table."""
    return float(np.abs(np.diff(entries.astype(np.float64))).sum() / max(1.0, float(np.ptp(entries))))


def _voi_luts(dataset: Dataset) -> list[Dataset]:
    return [lut for holder in _holders_of_voi(dataset) for lut in items(holder, "VOILUTSequence")]


def _holders_of_voi(dataset: Dataset) -> tuple[Dataset, ...]:
    return (dataset, *functional_groups(dataset, "FrameVOILUTSequence"))


def approximate_presentation(
    dataset: Dataset, modality: Values, inside: NDArray[np.bool_], contrast: Contrast, tones: Values
) -> Values:
    """A raw (For Processing) image on the display scale: an approximation of the vendor's own processing.

    The detector's signal decreases exponentially with the amount of tissue, so its negative logarithm is proportional
    to tissue (unless Pixel Intensity Relationship says that the values are logarithms already). Otsu's threshold
    separates the breast from air. The 0.5th percentile of the breast is black and the 99.5th white; if that shows no
    contrast, the percentiles of the whole image are used.

    Args:
        modality: modality values of the image.
        inside: mask of `modality`: True where there is no padding.
        contrast: of the stored values.
        tones: the contrast's tones as modality values.

    Raises:
        NotReadable: there is nothing but air.
    """
    least, _ = contrast.least_and_greatest(tones)
    tissue, sample = _tissue(dataset, modality, least), _tissue(dataset, tones, least)
    for low, high in (*_range_of_the_breast(tissue[inside]), contrast.least_and_greatest(sample)):
        if contrast.shown_by(_stretched(sample, low, high)):
            return _stretched(tissue, low, high)
    raise NotReadable("The raw image shows nothing but air.")


def _tissue(dataset: Dataset, modality: Values, least: float) -> Values:
    """The amount of tissue that raw values represent, on an arbitrary scale."""
    tissue = modality
    if code(dataset, "PixelIntensityRelationship") != "LOG":
        # The logarithm needs signals of at least 1: lower ones are shifted.
        tissue = np.log(np.maximum(modality + np.float32(max(0.0, 1 - least)), np.float32(1)))
    # Sign -1: a higher value already means less X-ray (PS3.3 §C.8.11.3.1.2).
    return tissue if number(dataset, "PixelIntensityRelationshipSign") == -1 else -tissue


def _range_of_the_breast(picture: Values) -> list[tuple[float, float]]:
    """The percentiles of the breast (0.5th, 99.5th); empty if nothing differs from air."""
    sample = picture[:: 7 if picture.size > _FEW else 1]
    breast = sample[sample > otsu(sample)]
    if not breast.size:
        return []
    low, high = (float(value) for value in np.percentile(breast, (0.5, 99.5)))
    return [(low, high)] if high > low else []


def _from_to(low: float, high: float) -> Window:
    """The window whose black is the lower value and whose white is the higher."""
    return (low + high) / 2, (high - low) or 1.0, "LINEAR_EXACT"


def _stretched(values: Values, low: float, high: float) -> Values:
    shown = (values - np.float32(low)) / np.float32((high - low) or 1)
    return np.clip(shown, 0, 1, out=shown)


@dataclass(frozen=True, eq=False)
class _Table:
    """A look-up table (PS3.3 §C.11.1.1.1).

    Attributes:
        first: the input value of the first entry.
        bits: of the output: as stated, or as many as the entries need.
    """

    first: int
    bits: int
    entries: Values


def _table(lut: Dataset) -> _Table | None:
    """None if the table is empty or malformed, or has fewer entries than its descriptor states."""
    descriptor = numbers(lut, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    length, first, bits = (int(part) for part in descriptor)
    length = length & 0xFFFF or 1 << 16  # 0 means 65,536; a length above 32,767 may be read as SS
    if not 1 <= bits <= 16:
        return None
    data = _lut_data(lut, length)
    if data is None or data.size < length:
        return None
    entries = data[:length]
    return _Table(first, max(bits, int(entries.max()).bit_length()), entries.astype(np.float32))


def _look_up(table: _Table, keys: NDArray[Any]) -> Values:
    """The table's values for `keys`; keys outside the table get its first or last value."""
    # The first input value may be written as US although it is negative.
    first = table.first - (1 << 16) if table.first >= 1 << 15 and keys.min() < 0 else table.first
    last = table.entries.size - 1
    places = np.clip(np.rint(keys) - first, 0, last).astype(np.int64)  # clipped before the cast, which would overflow
    found: Values = table.entries[places]
    return found


def _lut_data(lut: Dataset, length: int) -> NDArray[np.uint16] | None:
    found = values(lut, "LUTData")
    if len(found) == 1 and isinstance(found[0], bytes):
        if length <= len(found[0]) < 2 * length:  # 8-bit entries, two per word
            return np.frombuffer(found[0], np.uint8).astype(np.uint16)
        order = ">" if lut.original_encoding[1] is False else "<"
        return np.frombuffer(found[0][: len(found[0]) // 2 * 2], order + "u2").astype(np.uint16)
    try:
        words = np.array([int(str(entry)) & 0xFFFF for entry in found], dtype=np.uint16)
    except ValueError:
        return None
    if words.size < length <= 2 * words.size:
        return words.astype("<u2").view(np.uint8).astype(np.uint16)
    return words
