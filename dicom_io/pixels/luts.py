"""From stored values to what a radiologist sees: Modality LUT, VOI LUT, polarity (PS3.3 §C.11.1, §C.11.2, §C.8.11.3).

Values are arrays of any shape; the display scale is 0 (black) to 1 (white).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_io.attributes import code, items, number, numbers, values
from dicom_io.errors import NotReadable

Values = NDArray[np.float32]

# Films and screens of 8 bits hold display values as they are; deeper ones seldom use their whole range.
_DISPLAY_BITS = 8


def modality_values(dataset: Dataset, stored: NDArray[Any]) -> Values:
    """Stored values through the Modality LUT or the rescale slope and intercept (PS3.3 §C.11.1.1).

    Raises:
        NotReadable: the LUT is malformed or the slope is zero.
    """
    sequence = items(dataset, "ModalityLUTSequence")
    if sequence:
        return _look_up(sequence[0], stored)[0]
    slope, intercept = number(dataset, "RescaleSlope"), number(dataset, "RescaleIntercept")
    if slope == 0:
        raise NotReadable("The header's RescaleSlope is 0, which leaves no picture.")
    result = stored.astype(np.float32)
    if slope is not None and slope != 1:
        result *= np.float32(slope)
    if intercept:
        result += np.float32(intercept)
    return result


def display_values(dataset: Dataset, modality: Values, inside: NDArray[np.bool_]) -> tuple[Values, str | None]:
    """Modality values on the display scale, dense tissue bright, and a sentence where the header gave no window.

    The VOI comes first (PS3.3 §C.11.2), whatever the image is for: "For Presentation" does not say that it was
    applied. A VOI LUT goes before a window, the first of several is the default. Only then is MONOCHROME1 inverted.
    Without a VOI, 8-bit images are shown as they are and deeper ones from their least to their greatest value.

    Args:
        inside: where `modality` holds the picture and no padding.

    Raises:
        NotReadable: the VOI LUT is malformed.
    """
    shown, remark = _through_voi(dataset, modality, inside)
    if is_inverse(dataset):
        np.subtract(np.float32(1), shown, out=shown)
    return shown, remark


def is_inverse(dataset: Dataset) -> bool:
    """Whether low values are bright. In X-ray images MONOCHROME1 and the shape INVERSE say the same, once."""
    low_is_bright = code(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    return low_is_bright or code(dataset, "PresentationLUTShape") == "INVERSE"


def window(modality: Values, centre: float, width: float, function: str) -> Values:
    """A window on the display scale (PS3.3 §C.11.2.1.2.1, §C.11.2.1.3).

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


def stated_window(dataset: Dataset) -> tuple[float, float, str] | None:
    """Center, width and VOI LUT Function of the first window; None where there is none or it is narrower than its
    function allows (PS3.3 §C.11.2.1.2, §C.11.2.1.3)."""
    centre, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    function = code(dataset, "VOILUTFunction")
    smallest = 1 if function in ("", "LINEAR") else np.finfo(np.float32).tiny
    return (centre, width, function) if centre is not None and width is not None and width >= smallest else None


def approximate_presentation(dataset: Dataset, modality: Values, inside: NDArray[np.bool_]) -> Values:
    """A raw (For Processing) image on the display scale: an approximation of what its maker's own processing shows.

    The detector's signal falls off exponentially with tissue, so its negative logarithm shows tissue as it is (unless
    Pixel Intensity Relationship says that the values are logarithms already). Air is told from the breast by Otsu's
    threshold; from the 0.5th to the 99.5th percentile of the breast the values go from black to white.
    """
    tissue = modality
    if code(dataset, "PixelIntensityRelationship") != "LOG":
        tissue = np.log(np.maximum(modality, np.float32(1)))
    # Sign -1: a higher value is less X-ray already (PS3.3 §C.8.11.3.1.2).
    if number(dataset, "PixelIntensityRelationshipSign") != -1:
        tissue = -tissue
    sample = tissue[inside][::7]
    breast = sample[sample > _otsu(sample)]
    low, high = (float(value) for value in np.percentile(breast, (0.5, 99.5)))
    if high <= low:
        raise NotReadable("The raw image shows nothing but air.")
    shown = (tissue - np.float32(low)) / np.float32(high - low)
    return np.clip(shown, 0, 1, out=shown)


def _through_voi(dataset: Dataset, modality: Values, inside: NDArray[np.bool_]) -> tuple[Values, str | None]:
    sequence = items(dataset, "VOILUTSequence")
    if sequence:
        looked_up, bits = _look_up(sequence[0], modality)
        looked_up /= np.float32((1 << bits) - 1)
        return np.clip(looked_up, 0, 1, out=looked_up), None
    if stated := stated_window(dataset):
        return window(modality, *stated), None
    bits_stored = int(number(dataset, "BitsStored") or 0)
    if bits_stored <= _DISPLAY_BITS:
        shown = modality / np.float32((1 << bits_stored) - 1)
        return np.clip(shown, 0, 1, out=shown), None
    picture = modality[inside]
    low, high = float(picture.min()), float(picture.max())
    shown = (modality - np.float32(low)) / np.float32((high - low) or 1)
    return (
        np.clip(shown, 0, 1, out=shown),
        "The header gives no display window: the image was read from its least to its greatest value.",
    )


def _look_up(lut: Dataset, keys: NDArray[Any]) -> tuple[Values, int]:
    """The LUT's values for `keys`, and the bits of its output (PS3.3 §C.11.1.1.1)."""
    descriptor = numbers(lut, "LUTDescriptor")
    if len(descriptor) != 3:
        raise NotReadable("The header holds a look-up table without its descriptor.")
    length, first, bits = (int(part) for part in descriptor)
    length = length or 1 << 16
    if first >= 1 << 15 and keys.min() < 0:
        first -= 1 << 16  # written as US although the table begins below zero
    data = _lut_data(lut, length)
    if not 1 <= bits <= 16 or data.size < length:
        raise NotReadable("The header holds a look-up table shorter than its descriptor says.")
    index = np.clip(np.rint(keys).astype(np.int64) - first, 0, length - 1)
    return data.astype(np.float32)[index], max(bits, int(data[:length].max()).bit_length())


def _lut_data(lut: Dataset, length: int) -> NDArray[np.uint16]:
    found = values(lut, "LUTData")
    if len(found) == 1 and isinstance(found[0], bytes):
        if length <= len(found[0]) < 2 * length:  # a table of 8 bits, two entries a word
            return np.frombuffer(found[0], np.uint8).astype(np.uint16)
        order = ">" if lut.original_encoding[1] is False else "<"
        return np.frombuffer(found[0][: len(found[0]) // 2 * 2], order + "u2").astype(np.uint16)
    words = np.array([int(str(entry)) & 0xFFFF for entry in found], dtype=np.uint16)
    if words.size < length <= 2 * words.size:
        return words.astype("<u2").view(np.uint8).astype(np.uint16)
    return words


def _otsu(sample: Values) -> float:
    """Otsu's threshold (IEEE Trans. SMC 9, 1979): the split with the greatest variance between both sides."""
    counts, edges = np.histogram(sample, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    mean_below = sums / np.maximum(below, 1)
    mean_above = (sums[-1] - sums) / np.maximum(above, 1)
    return float(edges[1 + np.argmax(below * above * (mean_below - mean_above) ** 2)])
