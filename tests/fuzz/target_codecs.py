"""The codecs, each with codestreams derived from its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from dicom_bytes import damaged, mammogram
from hypothesis import strategies as some
from pydicom import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless
from transfer_syntaxes import encode

from dicom_io.errors import NotReadable
from dicom_io.pixels.decoding import stored_values

MODULES = ("dicom_io/pixels/bits.py", "dicom_io/pixels/codestreams.py")
KEPT = 1
_SYNTAXES = (
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
)


@cache
def frames() -> tuple[bytes, ...]:
    """Codestreams of 32 × 32 pixels, after the number of their syntax; for syntaxes with an available encoder."""
    found = []
    for number, syntax in enumerate(_SYNTAXES):
        eight = syntax.endswith(".50")
        image = mammogram(Rows=32, Columns=32)
        y, x = np.mgrid[:32, :32]
        image.PixelData = (
            (6 * x + y).astype(np.uint8).tobytes() if eight else (120 * x + 7 * y).astype(np.uint16).tobytes()
        )
        if eight:
            image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
        try:
            frame = get_frame(encode(image, syntax).PixelData, 0, number_of_frames=1)
        except BaseException as missing:
            if type(missing).__name__ != "Skipped":
                raise
            continue
        found.append(bytes([number]) + frame)
    return tuple(found)


def inputs() -> some.SearchStrategy[bytes]:
    return some.sampled_from(frames()).flatmap(
        lambda frame: damaged([frame[1:]], most=4).filter(bool).map(lambda body: frame[:1] + body)
    )


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], str]]:
    def run(data: bytes) -> str:
        syntax, frame = (
            UID(_SYNTAXES[data[0] % len(_SYNTAXES)]),
            data[1:] or b"\0\0",
        )  # pydicom encapsulates no empty codestream
        image = mammogram(Rows=32, Columns=32)
        if syntax.endswith(".50"):
            image.BitsAllocated, image.BitsStored, image.HighBit = 8, 8, 7
        image.file_meta.TransferSyntaxUID = syntax
        image.add_new("PixelData", "OB", encapsulate([frame]))
        return _decoded(image)

    yield run


def _decoded(image: Dataset) -> str:
    try:
        values = stored_values(image).values
    except NotReadable:
        return "refused"
    assert values.shape == (32, 32)
    return "read"
