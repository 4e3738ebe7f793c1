"""Decodes the stored values of a single image, in every transfer syntax that a PACS sends. Sizes are checked before
memory is allocated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    AllTransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from dicom_io.attributes import code, number, numbers, text
from dicom_io.bounds import MOST_BYTES
from dicom_io.errors import NotReadable, is_the_machines
from dicom_io.pixels.bits import stored_bits
from dicom_io.pixels.codestreams import FrameShape, check_frame, with_whole_scans, without_wrapper
from dicom_io.pixels.intact import open_at_pixels
from dicom_io.pixels.luts import stated_rescale, stated_windows
from dicom_io.pixels.pixel_element import Span, find_pixels
from dicom_io.pixels.signs import without_false_sign

_BYTES_PER_SAMPLE = 4
"""Of the deepest images that `check_limits` accepts: 32 bits allocated."""
_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


@dataclass(frozen=True, eq=False)
class StoredValues:
    """The decoded pixel data.

    Attributes:
        values: rows × columns (grey) or rows × columns × 3 (RGB), without bits outside the stored bits (overlays).
        remarks: one sentence for each header value that was not followed.
    """

    values: NDArray[Any]
    remarks: tuple[str, ...]


def read_dataset(path: Path, max_pixels: int) -> Dataset:
    """A file's data set with its pixel data. Elements after the pixel data are not read.

    The fragments of encapsulated pixel data are joined into one frame. They are found by their own lengths, and not by
    the Basic Offset Table.

    Raises:
        NotReadable: no DICOM file, damaged, more samples than `max_pixels`, or beyond bounds.check_bounds.
        OSError, MemoryError: a fault of the machine, and not of the file.
    """
    try:
        with open_at_pixels(path, _BYTES_PER_SAMPLE * max_pixels + MOST_BYTES) as (dataset, file):
            check_limits(dataset, max_pixels)
            _put_pixels(dataset, file)
        return dataset
    except NotReadable:
        raise
    except InvalidDicomError as cause:
        raise NotReadable("The file is not a DICOM file.") from cause
    except Exception as cause:  # damaged bytes can raise anything in a parser
        if is_the_machines(cause):
            raise
        raise NotReadable("The DICOM file is damaged or cut short.") from cause


def _put_pixels(dataset: FileDataset, file: BinaryIO) -> None:
    found = find_pixels(file, dataset)
    if found is None:
        return
    file.seek(found.value.start)
    if found.fragments is None:
        value = file.read(found.value.end - found.value.start)
    else:
        value = encapsulate([b"".join(_read(file, fragment) for fragment in found.fragments)])
    dataset.add_new(found.keyword, "OB" if found.fragments is not None else found.vr or "OW", value)
    dataset[found.keyword].is_undefined_length = found.fragments is not None


def _read(file: BinaryIO, span: Span) -> bytes:
    file.seek(span.start)
    return file.read(span.end - span.start)


def check_limits(dataset: Dataset, max_pixels: int) -> None:
    """Refuses, by the header alone, an image that has several frames or a size that cannot be read.

    Raises:
        NotReadable: attributes are missing or out of range, several frames, or more than `max_pixels` samples.
    """
    rows, columns, samples = (_whole(dataset, keyword) for keyword in ("Rows", "Columns", "SamplesPerPixel"))
    frames = number(dataset, "NumberOfFrames") or 1  # some writers state 0 for an image that is not multi-frame
    if rows < 1 or columns < 1:
        raise NotReadable(f"The header declares an image of {rows} × {columns} pixels.")
    if frames != 1:
        raise NotReadable(f"The image has {frames:g} frames; only single images are read.")
    if rows * columns * samples > max_pixels:
        raise NotReadable(f"The header declares {rows} × {columns} pixels, more than the limit of {max_pixels}.")
    photometric = code(dataset, "PhotometricInterpretation")
    if photometric not in (_MONOCHROME if samples == 1 else _COLOUR if samples == 3 else ()):
        raise NotReadable("The header's PhotometricInterpretation and SamplesPerPixel describe no grey or RGB image.")
    allocated, stored = (_whole(dataset, keyword) for keyword in ("BitsAllocated", "BitsStored"))
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated:
        raise NotReadable(f"The header's bits ({allocated} allocated, {stored} stored) describe no image.")
    if _whole(dataset, "PixelRepresentation") not in (0, 1):
        raise NotReadable("The header's PixelRepresentation is neither 0 nor 1.")


def stored_values(dataset: Dataset) -> StoredValues:
    """The stored values of a single image.

    Raises:
        NotReadable: no pixel data, an unknown transfer syntax, or data that is cut short or cannot be decoded.
    """
    syntax = UID(text(dataset.file_meta, "TransferSyntaxUID"))
    if syntax not in AllTransferSyntaxes:
        raise NotReadable("The file does not say its transfer syntax, or names none that is known.")
    try:
        return _decoded(dataset, syntax)
    except (NotReadable, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as cause:  # codecs raise various types; a panic in Rust is not an Exception
        if is_the_machines(cause):
            raise
        raise NotReadable(f"The pixel data ({syntax.name}) is damaged, cut short or not as the header says.") from cause


def _decoded(dataset: Dataset, syntax: UID) -> StoredValues:
    if "PixelData" not in dataset or not dataset["PixelData"].value:
        raise NotReadable("The file holds no pixel data, or is cut short within it.")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as cause:
        raise NotReadable(f"The transfer syntax {syntax.name} is not supported.") from cause
    described, width = _described(dataset, syntax)
    # CharLS detects a stream that is cut short, libjpeg does not.
    plugin = "pyjpegls" if syntax in JPEGLSTransferSyntaxes else "pylibjpeg" if syntax.is_encapsulated else ""
    as_they_are: Any = {
        "correct_unused_bits": False,
        "apply_j2k_sign_correction": False,
        "apply_jls_sign_correction": False,
    }
    words = decoder.as_array(described, index=0, decoding_plugin=plugin, **as_they_are)[0]
    stored, signed = _whole(dataset, "BitsStored"), _whole(dataset, "PixelRepresentation") == 1
    values, remark = stored_bits(
        words.astype(words.dtype.newbyteorder("="), copy=False),
        width,
        stored,
        int(number(dataset, "HighBit") or 0),
        signed=signed,
        lossy=syntax in _LOSSY,
    )
    of_sign = None
    if signed and values.ndim == 2:
        values, of_sign = without_false_sign(values, min(stored, width), _greatest_shown(dataset))
    return StoredValues(values, tuple(sentence for sentence in (remark, of_sign) if sentence))


def _greatest_shown(dataset: Dataset) -> float:
    """The greatest stored value that a window of the header shows."""
    slope, intercept = stated_rescale(dataset)
    windows = stated_windows(dataset) if slope > 0 else []
    return max(((centre + width / 2 - intercept) / slope for centre, width, _ in windows), default=0.0)


def _described(dataset: Dataset, syntax: UID) -> tuple[Dataset, int]:
    """A data set for the decoder, and the width in bits of the words that it gives; values lie in their lowest bits.

    The words are unsigned, and as wide as the codestream states. The header is applied later: it says which bits are
    the value, and whether they are signed.
    """
    shape = FrameShape(*(_whole(dataset, keyword) for keyword in ("Rows", "Columns", "SamplesPerPixel")))
    allocated = width = _whole(dataset, "BitsAllocated")
    pixels = dataset["PixelData"]
    photometric = code(dataset, "PhotometricInterpretation")
    described = Dataset()
    described.file_meta = dataset.file_meta
    described.Rows, described.Columns, described.SamplesPerPixel = shape.rows, shape.columns, shape.components
    if shape.components > 1:
        described.PlanarConfiguration = int(number(dataset, "PlanarConfiguration") or 0)
    if syntax.is_encapsulated:
        frame = with_whole_scans(without_wrapper(get_frame(pixels.value, 0, number_of_frames=1)))
        width = check_frame(frame, syntax, shape, allocated)
        allocated = allocated if syntax == RLELossless else 8 if width <= 8 else 16 if width <= 16 else 32
        described.add_new("PixelData", "OB", encapsulate([frame]))
    else:
        described.add_new("PixelData", pixels.VR, pixels.value)
        if photometric == "YBR_FULL_422" and len(pixels.value) >= shape.rows * shape.columns * 3 * allocated // 8:
            photometric = "YBR_FULL"  # stated as subsampled, but it is not
    described.PhotometricInterpretation = photometric
    described.BitsAllocated, described.BitsStored, described.HighBit = allocated, allocated, allocated - 1
    described.PixelRepresentation = 0
    return described, width


def _whole(dataset: Dataset, keyword: str) -> int:
    value = number(dataset, keyword)
    if value is None or value != int(value) or len(numbers(dataset, keyword)) != 1:
        raise NotReadable(f"The header's {keyword} is missing or malformed.")
    return int(value)
