"""The lossy compression of an image that is made of other images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydicom import Dataset
from pydicom.uid import HTJ2K, JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from dicom_io.attributes import code, numbers, text, values
from dicom_io.decimals import decimal_string
from dicom_io.results.fitting import fits

_LOSSY_METHODS: Mapping[str, str] = {
    JPEGBaseline8Bit: "ISO_10918_1",
    JPEGExtended12Bit: "ISO_10918_1",
    JPEGLSNearLossless: "ISO_14495_1",
    JPEG2000: "ISO_15444_1",
    HTJ2K: "ISO_15444_15",
}
"""Lossy Image Compression Method by transfer syntax (PS3.3 section C.7.6.1.1.5.1)."""
_ALWAYS_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)


def lossy_compression(sources: Iterable[Dataset]) -> Dataset:
    """What must be said of an image made of these where one of them lost something by compression (PS3.3 section
    C.7.6.1.1.5): how, and how much, as far as it is stated; of several the one that lost most. Empty where none did."""
    compression = Dataset()
    lossy = [source for source in sources if _is_lossy(source)]
    if lossy:
        compression.LossyImageCompression = "01"
        worst = max(lossy, key=lambda source: max(numbers(source, "LossyImageCompressionRatio"), default=0))
        if ratios := numbers(worst, "LossyImageCompressionRatio"):
            compression.LossyImageCompressionRatio = [decimal_string(ratio) for ratio in ratios]
        methods = [str(method) for method in values(worst, "LossyImageCompressionMethod")]
        if methods and all(fits("CS", method) for method in methods):
            compression.LossyImageCompressionMethod = methods
        elif method := _LOSSY_METHODS.get(_transfer_syntax(worst)):
            compression.LossyImageCompressionMethod = method
    return compression


def _is_lossy(source: Dataset) -> bool:
    return code(source, "LossyImageCompression") == "01" or _transfer_syntax(source) in _ALWAYS_LOSSY


def _transfer_syntax(source: Dataset) -> str:
    return text(getattr(source, "file_meta", None) or Dataset(), "TransferSyntaxUID")
