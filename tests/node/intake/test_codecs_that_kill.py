"""Receiving survives any pixel data: a codec that kills its process or hangs does not end the node."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from pydicom.uid import JPEG2000Lossless

from dicom_io.network.answers import Status
from node.intake.same_pixels import PixelComparison

pytestmark = pytest.mark.slow

# How a decoder may end on input that it cannot handle.
FATES = {
    "a crash": "os.kill(os.getpid(), signal.SIGSEGV)",
    "an abort": "os.abort()",
    "an exit": "os._exit(0)",
    "no return": "time.sleep(600)",
}


@pytest.fixture
def codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes the JPEG 2000 decoder end like this in every process started from here on."""

    def ends_in(fate: str) -> None:
        (tmp_path / "sitecustomize.py").write_text(
            "import os, signal, time\n"
            "import pydicom.pixels.decoders.pylibjpeg as plugin\n"
            "def decode(*frame, **options):\n"
            f"    {fate}\n"
            "for decoders in plugin._DECODERS.values():\n"
            "    decoders.update(dict.fromkeys(decoders, decode))\n"
        )
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))

    return ends_in


@pytest.mark.parametrize("fate", FATES.values(), ids=FATES)
def test_a_codec_that_ends_its_process_does_not_end_the_node(listening_node, mammogram, codec, fate, monkeypatch):
    monkeypatch.setattr(listening_node.receiving, "_pixels", PixelComparison(10_000, timeout_s=5))
    listening_node.store(mammogram())
    again = mammogram()
    again.compress(JPEG2000Lossless, generate_instance_uid=False)
    codec(fate)
    assert listening_node.store(again).Status == Status.CONTRADICTS  # it could not be compared
    assert listening_node.files("quarantine") == ["1.2.3/1.2.3.1_2.dcm"]
    assert listening_node.store(mammogram("1.2.3.2", seed=2)).Status == Status.SUCCESS


def test_no_pixel_is_decoded_where_images_are_received(listening_node, mammogram, monkeypatch):
    def decodes(*_: object) -> None:
        raise AssertionError("decoded in the receiving process")

    listening_node.store(mammogram())
    again = mammogram()
    again.compress(JPEG2000Lossless, generate_instance_uid=False)
    monkeypatch.setattr("dicom_io.pixels.decoding.get_decoder", decodes)
    assert listening_node.store(again).Status == Status.SUCCESS
    assert len(listening_node.files("archive")) == 2
