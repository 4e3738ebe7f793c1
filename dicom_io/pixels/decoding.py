"""The stored values of a single image, out of every transfer syntax a PACS sends; nothing is allocated unchecked."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from dicom_io.attributes import code, number, numbers, text
from dicom_io.errors import NotReadable
from dicom_io.pixels.codestreams import FrameShape, check_frame, without_wrapper

_HEADER_ROOM = 16 << 20
_MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def read_dataset(path: Path, max_pixels: int) -> Dataset:
    """A file's data set with its pixel data, after its header was found to keep the limit.

    Raises:
        NotReadable: no DICOM file, damaged, or more pixels than `max_pixels`.
    """
    try:
        if read_file_meta_info(path).get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            _check_deflated(path, 2 * max_pixels + _HEADER_ROOM)
        check_limits(dcmread(path, stop_before_pixels=True), max_pixels)
        return dcmread(path)
    except (NotReadable, MemoryError, FileNotFoundError, PermissionError):
        raise
    except InvalidDicomError as cause:
        raise NotReadable("The file is not a DICOM file.") from cause
    except Exception as cause:  # whatever a parser may stumble over in damaged bytes
        raise NotReadable("The DICOM file is damaged or cut short.") from cause


def check_limits(dataset: Dataset, max_pixels: int) -> None:
    """Refuses by the header alone what is no single image of a size that can be read.

    Raises:
        NotReadable: attributes are missing or out of range, several frames, or more than `max_pixels` samples.
    """
    rows, columns, samples = (_whole(dataset, keyword) for keyword in ("Rows", "Columns", "SamplesPerPixel"))
    frames = 1 if not text(dataset, "NumberOfFrames") else _whole(dataset, "NumberOfFrames")
    if rows < 1 or columns < 1:
        raise NotReadable(f"The header declares an image of {rows} × {columns} pixels.")
    if frames != 1:
        raise NotReadable(f"The image has {frames} frames; only single images are read.")
    if rows * columns * samples > max_pixels:
        raise NotReadable(f"The header declares {rows} × {columns} pixels, more than the limit of {max_pixels}.")
    photometric = code(dataset, "PhotometricInterpretation")
    if photometric not in (_MONOCHROME if samples == 1 else _COLOUR if samples == 3 else ()):
        raise NotReadable("The header's PhotometricInterpretation and SamplesPerPixel describe no grey or RGB image.")
    allocated, stored, high = (_whole(dataset, keyword) for keyword in ("BitsAllocated", "BitsStored", "HighBit"))
    if allocated not in (8, 16, 32) or not 1 <= stored <= high + 1 <= allocated:
        raise NotReadable(f"The header's bits ({allocated} allocated, {stored} stored) describe no image.")
    if _whole(dataset, "PixelRepresentation") not in (0, 1):
        raise NotReadable("The header's PixelRepresentation is neither 0 nor 1.")


def stored_values(dataset: Dataset) -> NDArray[Any]:
    """The stored values: rows × columns (grey) or rows × columns × 3 (RGB), without the bits that are not theirs.

    Raises:
        NotReadable: no pixel data, an unknown transfer syntax, or data that is cut short or cannot be decoded.
    """
    syntax = UID(text(dataset.file_meta, "TransferSyntaxUID"))
    if syntax not in AllTransferSyntaxes:
        raise NotReadable("The file does not say its transfer syntax, or names none that is known.")
    try:
        return _decoded(dataset, syntax)
    except (NotReadable, MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as cause:  # each codec has its own way to say it, and a panic in Rust is no Exception
        raise NotReadable(f"The pixel data ({syntax.name}) is damaged, cut short or not as the header says.") from cause


def _decoded(dataset: Dataset, syntax: UID) -> NDArray[Any]:
    if "PixelData" not in dataset or not dataset["PixelData"].value:
        # pydicom leaves out encapsulated pixel data whose end it does not find.
        raise NotReadable("The file holds no pixel data, or is cut short within it.")
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as cause:
        raise NotReadable(f"The transfer syntax {syntax.name} is not supported.") from cause
    if syntax.is_encapsulated:
        _check_encapsulated(dataset, syntax)
    if syntax.is_encapsulated and syntax != RLELossless:
        # CharLS notices a stream that is cut short, libjpeg does not.
        plugin = "pyjpegls" if syntax in JPEGLSTransferSyntaxes else "pylibjpeg"
        return decoder.as_array(dataset, index=0, decoding_plugin=plugin)[0]
    keep_all_bits: Any = {"correct_unused_bits": False}
    plugin = "pylibjpeg" if syntax == RLELossless else ""
    return _used_bits(dataset, decoder.as_array(dataset, index=0, decoding_plugin=plugin, **keep_all_bits)[0])


def _check_deflated(path: Path, limit: int) -> None:
    """Inflates piece by piece and keeps nothing: a few kilobytes can stand for gigabytes."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    with path.open("rb") as file:
        file.seek(_end_of_file_meta(path))
        size, rest = 0, b""
        while not inflater.eof:
            rest = inflater.unconsumed_tail or file.read(1 << 16)
            if not rest:
                raise NotReadable("The deflated data set is cut short.")
            size += len(inflater.decompress(rest, 1 << 20))
            if size > limit:
                raise NotReadable("The deflated data set is larger than any mammogram.")


def _end_of_file_meta(path: Path) -> int:
    # PS3.10 §7.1: preamble, "DICM", then the group length element (12 bytes) that counts what follows it.
    return 144 + int(read_file_meta_info(path).FileMetaInformationGroupLength)


def _check_encapsulated(dataset: Dataset, syntax: UID) -> None:
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    codestream = without_wrapper(frame)
    if codestream is not frame:
        dataset.PixelData = encapsulate([codestream])
    shape = FrameShape(*(_whole(dataset, keyword) for keyword in ("Rows", "Columns", "SamplesPerPixel")))
    check_frame(codestream, syntax, shape, _whole(dataset, "BitsAllocated") // 8)


def _used_bits(dataset: Dataset, array: NDArray[Any]) -> NDArray[Any]:
    """Only the bits up to High Bit that are stored, sign-extended (PS3.5 §8.1.1): the others may hold anything."""
    allocated, stored, high = (_whole(dataset, keyword) for keyword in ("BitsAllocated", "BitsStored", "HighBit"))
    if stored == allocated:
        return array
    native: NDArray[Any] = array.astype(array.dtype.newbyteorder("="))
    np.left_shift(native, allocated - 1 - high, out=native)
    np.right_shift(native, allocated - stored, out=native)
    return native


def _whole(dataset: Dataset, keyword: str) -> int:
    value = number(dataset, keyword)
    if value is None or value != int(value) or len(numbers(dataset, keyword)) != 1:
        raise NotReadable(f"The header's {keyword} is missing or malformed.")
    return int(value)
