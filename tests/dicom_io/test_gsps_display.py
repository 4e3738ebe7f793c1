"""The presentation state displays its image as the image itself asks: window, rescale, colour and proportions."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from presentation_states import UID, encoded_state, image_file, two_lesions
from pydicom import Dataset
from readings import ENCODING, header
from validators import dciodvfy

from dicom_io.pixels.mammogram import read_mammogram
from dicom_io.results.encode import encode_results
from dicom_io.results.encoding import to_bytes
from dicom_io.results.gsps.state import encode_gsps
from dicom_io.results.profiles import IN_PROFILES, PROFILES, ResultKind
from models.readings.exam import put_together


def a_lut(first: int, bits: int, entries: range) -> Dataset:
    lut = Dataset()
    lut.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    lut.add_new("LUTData", "OW", np.array(entries, dtype="<u2").tobytes())
    return lut


def test_another_window_in_the_header_gives_a_new_object():
    source = header(UID, (300, 207))
    source.WindowCenter, source.WindowWidth = 500, 1000
    changed = encoded_state(two_lesions(), source)
    assert changed.SOPInstanceUID != encoded_state(two_lesions()).SOPInstanceUID
    assert changed.SoftcopyVOILUTSequence[0].WindowCenter == 500


def test_a_single_frame_tomosynthesis_keeps_the_window_and_rescale_of_its_functional_groups():
    source, group, window, rescale = header(UID, (300, 207)), Dataset(), Dataset(), Dataset()
    source.SOPClassUID, source.NumberOfFrames = "1.2.840.10008.5.1.4.1.1.13.1.3", 1
    window.WindowCenter, window.WindowWidth = 500, 1000
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 2, -7, "US"
    group.FrameVOILUTSequence, group.PixelValueTransformationSequence = [window], [rescale]
    source.SharedFunctionalGroupsSequence = [group]
    state = encoded_state(two_lesions(), source)
    assert state.SoftcopyVOILUTSequence[0].WindowCenter == 500
    assert (state.RescaleSlope, state.RescaleIntercept) == (2, -7)


@pytest.mark.parametrize(
    ("function", "width", "is_window"),
    [("LINEAR", 0, False), ("LINEAR", 1, True), ("SIGMOID", 0, False), ("LINEAR_EXACT", 0.5, True)],
)
def test_a_window_of_width_zero_is_ignored(function: str, width: float, is_window: bool):
    source = header(UID, (300, 207))
    source.WindowCenter, source.WindowWidth, source.VOILUTFunction = 500, width, function
    assert ("SoftcopyVOILUTSequence" in encoded_state(two_lesions(), source)) is is_window


def _ramp(least: int, greatest: int) -> NDArray[np.uint16]:
    return np.linspace(least, greatest, 300 * 207).round().astype(np.uint16).reshape(300, 207)


UNFIT: dict[str, dict[str, object]] = {
    "a window above all values": {"WindowCenter": 60000, "WindowWidth": 100},
    "the window of 16 bits": {"WindowCenter": 32768, "WindowWidth": 65536},
    "a sigmoid elsewhere": {"WindowCenter": 60000, "WindowWidth": 10, "VOILUTFunction": "SIGMOID"},
    "a first window above all values": {"WindowCenter": [60000, 2000], "WindowWidth": [10, 3000]},
    "a slope that leaves nothing": {"RescaleSlope": 0, "WindowCenter": 2048, "WindowWidth": 4096},
    "an intercept beyond the window": {"RescaleIntercept": -30000, "WindowCenter": 2048, "WindowWidth": 4096},
    "16 bits over 12-bit entries": {"VOILUTSequence": [a_lut(0, 16, range(4096))]},
    "a table for 8 bits": {"VOILUTSequence": [a_lut(0, 8, range(256))]},
    "a Modality LUT for 8 bits": {"ModalityLUTSequence": [a_lut(0, 8, range(16))]},
    "no window": {},
}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("stated", UNFIT.values(), ids=UNFIT)
def test_a_window_that_does_not_fit_the_pixels_is_not_copied(
    stated: dict[str, object], photometric: str, tmp_path: Path
):
    path, source = image_file(tmp_path, (300, 207), photometric, "none")
    del source.RescaleSlope, source.RescaleIntercept, source.RescaleType
    for keyword, value in stated.items():
        setattr(source, keyword, value)
    source.PixelData = _ramp(300, 3700).tobytes()
    source.save_as(path, enforce_file_format=True)
    read = read_mammogram(path)
    assert read.pixels.max() - read.pixels.min() > 0.5, "the reading fell back to what shows the picture"
    image = two_lesions()
    image = replace(image, reading=replace(image.reading, tones=read.tones))
    state = tmp_path / "state.dcm"
    state.write_bytes(to_bytes(encode_gsps(source, image, encoding=ENCODING)))
    assert dciodvfy(state) == []
    shown = np.frombuffer(_rendered(path, "-p", str(state))[-300 * 207 :], np.uint8).reshape(300, 207) / 255
    # Away from the outlines and labels, which are drawn in white.
    assert np.median(np.abs(shown - read.pixels)) < 0.02


@pytest.mark.parametrize("stated", ["RGB", "YBR_FULL_422", "PALETTE COLOR"])
def test_an_image_in_colour_has_no_grayscale_presentation_state(stated: str):
    source, image = header(UID, (300, 207)), two_lesions()
    source.PhotometricInterpretation, source.SamplesPerPixel = stated, 1 if stated == "PALETTE COLOR" else 3
    exam = put_together([image], [], {})
    kinds = {
        encoded.kind for encoded in encode_results(exam, {UID: source}, replace(ENCODING, profile=PROFILES["all"]))
    }
    assert kinds == {*IN_PROFILES} - {ResultKind.GSPS}


def test_pixels_that_are_not_square_keep_their_proportions():
    area = encoded_state(two_lesions()).DisplayedAreaSelectionSequence[0]
    assert area.PresentationPixelAspectRatio == [7, 8], "0.07 mm high and 0.08 mm wide"
    assert area.DisplayedAreaBottomRightHandCorner == [207, 300]


def _rendered(image: Path, *options: str) -> bytes:
    """The picture that DCMTK renders of an image, with or without a presentation state."""
    if shutil.which("dcmp2pgm") is None:
        pytest.skip("dcmp2pgm is not installed (Debian: dcmtk)")
    bitmap = image.with_suffix(".pgm")
    subprocess.run(["dcmp2pgm", "-q", *options, str(image), str(bitmap)], check=True, capture_output=True)
    return bitmap.read_bytes()


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("voi", ["window", "lut", "none"])
def test_the_image_is_displayed_as_without_the_presentation_state(photometric: str, voi: str, tmp_path: Path):
    image, source = image_file(tmp_path, (300, 207), photometric, voi)
    state = tmp_path / "state.dcm"
    state.write_bytes(to_bytes(encode_gsps(source, two_lesions(), encoding=ENCODING)))
    assert _rendered(image, "-p", str(state)) == _rendered(image)
    assert len(set(_rendered(image)[-300 * 207 :])) > 50, "and it is not just black"
