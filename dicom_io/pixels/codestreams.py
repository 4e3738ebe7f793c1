"""Checks the size that a compressed frame declares, before a decoder allocates memory, and that the frame is complete.

Decoders fill missing data with zeros or grey, some without an error. So a frame that was cut short is detected here:

- JPEG and JPEG-LS: no end-of-image marker after the scan. Entropy-coded data never contains one by chance, but a cut
  frame to which a device appended the marker is not detected.
- JPEG 2000 and HTJ2K: a tile-part longer than the rest of the frame, or a tile without a part (ISO 15444-1 §A.4.2).
- RLE: too few segments. The decoder itself refuses a segment with too few bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.uid import (
    UID,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from dicom_io.errors import NotReadable
from models.types.words import counted

_CUT_SHORT = "The compressed pixel data is cut short."
_NO_START = "The compressed pixel data is not what its transfer syntax says."

_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_JPEG_SOF = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL, _LOSSLESS = {0xC0, 0xC1, 0xC9}, 0xC3
_JPEG_PRECISION, _J2K_PRECISION = 16, 32  # bits per sample; JPEG 2000 allows 38, no decoder here does
_SOC, _SIZ, _SOT, _EOC = b"\xff\x4f", 0xFF51, 0xFF90, 0xFFD9
_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  "


@dataclass(frozen=True)
class FrameShape:
    """The size of a frame."""

    rows: int
    columns: int
    components: int


@dataclass(frozen=True)
class _Codestream:
    """The size and the bits per sample that a codestream declares."""

    shape: FrameShape
    precision: int


def without_wrapper(frame: bytes) -> bytes:
    """The JPEG 2000 codestream of a JP2 file, which some devices store against PS3.5 §A.4.4; other frames unchanged."""
    if not frame.startswith(_JP2_SIGNATURE):
        return frame
    start = frame.find(_SOC + b"\xff\x51")
    return frame[start:] if start >= 0 else frame


def with_whole_scans(frame: bytes) -> bytes:
    """A JPEG frame whose scan header has the values that its process requires; other frames unchanged.

    In the sequential processes a scan holds all coefficients, 0 to 63. In the lossless process the end of spectral
    selection is not used and must be 0 (ISO 10918-1 table B.3). Some encoders write other values, which most decoders
    ignore.
    """
    if frame[:2] != bytes((0xFF, _SOI)):
        return frame
    corrected, process, position = bytearray(frame), None, 2
    try:
        while True:
            marker, position = _next_marker(frame, position)
            if marker in _JPEG_SOF:
                process = marker
            if marker == _SOS:
                break
            if marker != _TEM:
                position += struct.unpack_from(">H", frame, position)[0]
        selection = position + 3 + 2 * frame[position + 2]
        if process in _SEQUENTIAL:
            corrected[selection : selection + 3] = b"\x00\x3f\x00"
        elif process == _LOSSLESS:
            corrected[selection + 1] = 0
    except (struct.error, IndexError, NotReadable):
        return frame  # `check_frame` reports the error
    return bytes(corrected)


def check_frame(frame: bytes, transfer_syntax: UID, expected: FrameShape, bits_allocated: int) -> int:
    """Checks that a frame is complete and has the size that the header states.

    Returns:
        The bits per sample that the codestream declares; Bits Allocated if it declares none.

    Raises:
        NotReadable: the frame is cut short, is no codestream of this transfer syntax, or has another size.
    """
    if transfer_syntax == RLELossless:
        _check_rle(frame, expected.components * bits_allocated // 8)
        return bits_allocated
    try:
        if transfer_syntax in JPEG2000TransferSyntaxes:
            found = _check_j2k(frame)
        elif transfer_syntax in JPEGTransferSyntaxes or transfer_syntax in JPEGLSTransferSyntaxes:
            found = _check_jpeg(frame)
        else:
            return bits_allocated
    except (struct.error, IndexError) as cause:
        raise NotReadable(_CUT_SHORT) from cause
    shape = found.shape
    if shape != expected:
        raise NotReadable(
            f"The header declares {expected.rows} × {expected.columns} pixels of "
            f"{counted(expected.components, 'sample')}, "
            f"the compressed image {shape.rows} × {shape.columns} of {shape.components}."
        )
    return found.precision


def _check_rle(frame: bytes, expected_segments: int) -> None:
    # PS3.5 §G.5: 16 little-endian words, the number of segments and their offsets.
    if len(frame) < 64:
        raise NotReadable(_CUT_SHORT)
    segments, *offsets = struct.unpack("<16L", frame[:64])
    if segments != expected_segments:
        raise NotReadable(_NO_START)
    if any(offset >= len(frame) for offset in offsets[:segments]):
        raise NotReadable(_CUT_SHORT)


def _check_jpeg(frame: bytes) -> _Codestream:
    if frame[:2] != bytes((0xFF, _SOI)):
        raise NotReadable(_NO_START)
    found, position = None, 2
    while True:
        marker, position = _next_marker(frame, position)
        if marker == _TEM:
            continue
        if marker in _JPEG_SOF:
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 2)
            found = _Codestream(FrameShape(rows, columns, components), precision)
        if marker == _SOS:
            break
        position += struct.unpack_from(">H", frame, position)[0]
    if found is None or not 1 <= found.precision <= _JPEG_PRECISION:
        raise NotReadable(_NO_START)
    if frame.find(bytes((0xFF, _EOI)), position) < 0:
        raise NotReadable(_CUT_SHORT)
    return found


def _next_marker(frame: bytes, position: int) -> tuple[int, int]:
    """A marker's code, and the position after it."""
    while frame[position] == 0xFF and frame[position + 1] == 0xFF:  # fill bytes
        position += 1
    if frame[position] != 0xFF:
        raise NotReadable(_NO_START)
    return frame[position + 1], position + 2


def _check_j2k(frame: bytes) -> _Codestream:
    if frame[:2] != _SOC:
        raise NotReadable(_NO_START)
    found, tiles, seen, position = None, 0, set(), 2
    for marker, position in _main_header(frame):
        if marker == _SIZ:
            x1, y1, x0, y0, tile_w, tile_h, tile_x, tile_y, components = struct.unpack_from(">8LH", frame, position + 6)
            if not (x1 > x0 and y1 > y0 and tile_w and tile_h):
                raise NotReadable(_NO_START)
            # Ssiz of the first component: bit 7 is the sign, which the header states too.
            precision = 1 + (frame[position + 40] & 0x7F)
            found = _Codestream(FrameShape(y1 - y0, x1 - x0, components), precision)
            tiles = -((tile_x - x1) // tile_w) * -((tile_y - y1) // tile_h)
    while position + 2 <= len(frame) and struct.unpack_from(">H", frame, position)[0] == _SOT:
        tile, length = struct.unpack_from(">HL", frame, position + 4)
        seen.add(tile)
        if length == 0:  # up to the end of the codestream
            if not frame.rstrip(b"\x00").endswith(struct.pack(">H", _EOC)):
                raise NotReadable(_CUT_SHORT)
            break
        position += max(length, 12)
    if found is None or found.precision > _J2K_PRECISION:
        raise NotReadable(_NO_START)
    if position > len(frame) or len(seen) < tiles:
        raise NotReadable(_CUT_SHORT)
    return found


def _main_header(frame: bytes) -> Iterator[tuple[int, int]]:
    """The markers of the main header with their positions, up to and including the first SOT."""
    position = 2
    while True:
        (marker,) = struct.unpack_from(">H", frame, position)
        yield marker, position
        if marker == _SOT:
            return
        if marker < 0xFF00:
            raise NotReadable(_NO_START)
        position += 2 + struct.unpack_from(">H", frame, position + 2)[0]
