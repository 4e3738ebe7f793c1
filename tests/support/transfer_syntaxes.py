"""Real mammograms in every transfer syntax, encoded by the tools that are there."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

LOSSLESS = (
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless,
    JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, HTJ2KLossless, HTJ2KLosslessRPCL,
)  # fmt: skip
LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K)
# JPEG's lossy processes hold 8 or 12 bits and no more.
DEPTHS = {JPEGBaseline8Bit: 8, JPEGExtended12Bit: 12}

_NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
_BY_PYDICOM: dict[str, dict[str, Any]] = {
    RLELossless: {},
    JPEGLSLossless: {},
    JPEGLSNearLossless: {"jls_error": 16},
    JPEG2000Lossless: {},
    JPEG2000: {"j2k_cr": [8]},
}
_BY_DCMTK = {
    JPEGLossless: ["+el", "+tl"],
    JPEGLosslessSV1: ["+e1", "+tl"],
    JPEGBaseline8Bit: ["+eb", "+q", "95"],
    JPEGExtended12Bit: ["+ee", "+q", "95"],
}
_BY_OPENJPH = {
    HTJ2KLossless: ["-reversible", "true", "-prog_order", "LRCP"],
    HTJ2KLosslessRPCL: ["-reversible", "true", "-prog_order", "RPCL"],
    HTJ2K: ["-reversible", "false", "-qstep", "0.0002"],
}


def at_depth(dataset: Dataset, bits: int) -> Dataset:
    """The same 16-bit grey image, stored in the `bits` highest bits; its window goes with it."""
    result = deepcopy(dataset)
    values = np.frombuffer(dataset.PixelData, np.uint16) >> (16 - bits)
    result.BitsAllocated = 8 if bits <= 8 else 16
    result.BitsStored, result.HighBit = bits, bits - 1
    result.PixelData = values.astype(np.uint8 if bits <= 8 else np.uint16).tobytes()
    result.WindowCenter, result.WindowWidth = 1 << (bits - 1), 1 << bits
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue"):
        if keyword in result:
            del result[keyword]
    return result


def encode(dataset: Dataset, transfer_syntax: str) -> Dataset:
    """`dataset` (uncompressed, little endian, grey) in another transfer syntax; skips the test without the tool."""
    syntax = UID(transfer_syntax)
    if syntax in _NATIVE:
        return _natively(dataset, syntax)
    if syntax in _BY_PYDICOM:
        result = deepcopy(dataset)
        result.compress(syntax, generate_instance_uid=False, **_BY_PYDICOM[syntax])
        return result
    with tempfile.TemporaryDirectory() as folder:
        if syntax in _BY_DCMTK:
            return _by_dcmtk(dataset, _BY_DCMTK[syntax], Path(folder))
        return _by_openjph(dataset, syntax, Path(folder))


def save(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


def _natively(dataset: Dataset, syntax: UID) -> Dataset:
    result = deepcopy(dataset)
    result.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        # Words of OW change their byte order, even with two 8-bit pixels in one (PS3.5 §8.1.1).
        padded = dataset.PixelData + bytes(len(dataset.PixelData) % 2)
        result.PixelData = np.frombuffer(padded, "<u2").astype(">u2").tobytes()
        result["PixelData"].VR = "OW"
        # pydicom converts no byte order in writing; after every value was accessed, none is left as raw bytes.
        list(result.iterall())
        result.set_original_encoding(False, False)
    return result


def _by_dcmtk(dataset: Dataset, options: list[str], folder: Path) -> Dataset:
    source = save(dataset, folder / "source.dcm")
    _run("dcmcjpeg", "dcmtk", *options, str(source), str(folder / "out.dcm"))
    result = dcmread(folder / "out.dcm")
    result.SOPInstanceUID = result.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return result


def _by_openjph(dataset: Dataset, syntax: UID, folder: Path) -> Dataset:
    values = np.frombuffer(dataset.PixelData, "<u2" if dataset.BitsAllocated == 16 else "u1")
    highest = (1 << dataset.BitsStored) - 1
    image = b"P5 %d %d %d\n" % (dataset.Columns, dataset.Rows, highest)
    image += values.astype(">u2" if highest > 255 else "u1").tobytes()
    (folder / "source.pgm").write_bytes(image)
    _run(
        "ojph_compress",
        "openjph-tools",
        "-i",
        str(folder / "source.pgm"),
        "-o",
        str(folder / "out.j2c"),
        *_BY_OPENJPH[syntax],
    )
    result = deepcopy(dataset)
    result.file_meta.TransferSyntaxUID = syntax
    result.PixelData = encapsulate([(folder / "out.j2c").read_bytes()])
    result["PixelData"].is_undefined_length = True
    result["PixelData"].VR = "OB"
    return result


def _run(tool: str, package: str, *arguments: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed (Debian package {package})")
    subprocess.run([tool, *arguments], check=True, capture_output=True)
