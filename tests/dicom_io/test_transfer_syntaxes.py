"""A mammogram reads the same, whatever transfer syntax a PACS sends it in."""

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import MPEG2MPML, UID, HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless, RLELossless
from transfer_syntaxes import DEPTHS, LOSSLESS, LOSSY, at_depth, encode, save

from dicom_io.errors import NotReadable
from dicom_io.pixels.mammogram import read_mammogram
from node.demo.studies import DemoStudy

ENCAPSULATED = [syntax for syntax in (*LOSSLESS, *LOSSY) if UID(syntax).is_encapsulated]


def keyword(uid: str) -> str:
    return UID(uid).keyword


@pytest.fixture(scope="module")
def original(mammogram_study: DemoStudy) -> Dataset:
    return dcmread(mammogram_study.files[1])


def pixels_of(dataset: Dataset, folder: Path) -> NDArray[np.float32]:
    return read_mammogram(save(dataset, folder / "image.dcm")).pixels


@pytest.mark.parametrize("syntax", LOSSLESS, ids=keyword)
@pytest.mark.parametrize("bits", [16, 12, 8])
def test_every_lossless_transfer_syntax_gives_the_same_pixels(
    original: Dataset, tmp_path: Path, syntax: str, bits: int
) -> None:
    plain = at_depth(original, bits)
    encoded = encode(plain, syntax)
    assert encoded.file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(pixels_of(encoded, tmp_path), pixels_of(plain, tmp_path))


@pytest.mark.parametrize("syntax", LOSSY, ids=keyword)
def test_every_lossy_transfer_syntax_gives_nearly_the_same_pixels(
    original: Dataset, tmp_path: Path, syntax: str
) -> None:
    plain = at_depth(original, DEPTHS.get(syntax, 16))
    encoded = encode(plain, syntax)
    assert encoded.file_meta.TransferSyntaxUID == syntax
    difference = np.abs(pixels_of(encoded, tmp_path) - pixels_of(plain, tmp_path))
    assert difference.mean() < 0.004
    assert difference.max() < 0.08


@pytest.mark.parametrize("syntax", [*LOSSLESS, *LOSSY], ids=keyword)
def test_a_truncated_file_is_refused_in_every_transfer_syntax(original: Dataset, tmp_path: Path, syntax: str) -> None:
    path = save(encode(at_depth(original, DEPTHS.get(syntax, 16)), syntax), tmp_path / "image.dcm")
    whole = path.read_bytes()
    for kept in (0.3, 0.95):
        path.write_bytes(whole[: int(kept * len(whole))])
        with pytest.raises(NotReadable, match="cut short"):
            read_mammogram(path)


@pytest.mark.parametrize("syntax", ENCAPSULATED, ids=keyword)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.98])
def test_a_truncated_frame_in_a_complete_file_is_refused_in_every_transfer_syntax(
    original: Dataset, tmp_path: Path, syntax: str, kept: float
) -> None:
    dataset = encode(at_depth(original, DEPTHS.get(syntax, 16)), syntax)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[: int(kept * len(frame))]])
    with pytest.raises(NotReadable, match="cut short"):
        read_mammogram(save(dataset, tmp_path / "image.dcm"))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, HTJ2KLossless, JPEGLSLossless], ids=keyword)
def test_a_truncated_frame_with_an_end_marker_is_refused(original: Dataset, tmp_path: Path, syntax: str) -> None:
    dataset = encode(original, syntax)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([frame[: int(0.9 * len(frame))] + b"\xff\xd9"])
    with pytest.raises(NotReadable, match="cut short"):
        read_mammogram(save(dataset, tmp_path / "image.dcm"))


@pytest.mark.parametrize("syntax", [syntax for syntax in ENCAPSULATED if syntax != RLELossless], ids=keyword)
def test_a_frame_of_another_size_than_the_header_states_is_refused(
    original: Dataset, tmp_path: Path, syntax: str
) -> None:
    dataset = encode(at_depth(original, DEPTHS.get(syntax, 16)), syntax)
    dataset.Rows -= 1
    with pytest.raises(NotReadable, match="the compressed image"):
        read_mammogram(save(dataset, tmp_path / "image.dcm"))


@pytest.mark.parametrize("syntax", [*LOSSLESS, *LOSSY], ids=keyword)
def test_damaged_pixel_data_is_refused_or_read_but_never_crashes(
    original: Dataset, tmp_path: Path, syntax: str
) -> None:
    path = save(encode(at_depth(original, DEPTHS.get(syntax, 16)), syntax), tmp_path / "image.dcm")
    whole = path.read_bytes()
    for seed in range(3):
        damaged = bytearray(whole)
        for position in np.random.default_rng(seed).integers(2000, len(whole), 40):
            damaged[position] ^= 0x5A
        path.write_bytes(damaged)
        with contextlib.suppress(NotReadable):
            assert read_mammogram(path).shape == (original.Rows, original.Columns)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_header_is_refused_or_read_but_never_crashes(original: Dataset, tmp_path: Path, seed: int) -> None:
    path = save(original, tmp_path / "image.dcm")
    damaged = bytearray(path.read_bytes())
    for position in np.random.default_rng(seed).integers(132, 2500, 3):
        damaged[position] ^= 0xFF
    path.write_bytes(damaged)
    with contextlib.suppress(NotReadable):
        assert np.isfinite(read_mammogram(path).pixels).all()


def test_a_jpeg_2000_file_in_place_of_a_codestream_is_read(original: Dataset, tmp_path: Path) -> None:
    dataset = encode(original, JPEG2000Lossless)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    signature = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
    dataset.PixelData = encapsulate([signature + b"\x00\x00\x00\x00jp2c" + frame])
    np.testing.assert_array_equal(pixels_of(dataset, tmp_path), pixels_of(original, tmp_path))


def test_a_transfer_syntax_without_a_decoder_is_refused_by_name(original: Dataset, tmp_path: Path) -> None:
    dataset = encode(original, JPEGLSLossless)
    dataset.file_meta.TransferSyntaxUID = MPEG2MPML
    with pytest.raises(NotReadable, match="MPEG2"):
        read_mammogram(save(dataset, tmp_path / "image.dcm"))


def test_an_rle_segment_of_too_many_pixels_does_not_end_the_process(original: Dataset, tmp_path: Path) -> None:
    # The decoder is written in Rust and panics here, which Python sees as a BaseException and no Exception.
    dataset = encode(original, RLELossless)
    too_long = bytes([129, 7]) * (original.Rows * original.Columns // 128 + 2)
    offsets = struct.pack("<16L", 2, 64, 64 + len(too_long), *[0] * 13)
    dataset.PixelData = encapsulate([offsets + too_long + too_long])
    with pytest.raises(NotReadable):
        read_mammogram(save(dataset, tmp_path / "image.dcm"))
