"""`routes test` states of an image that it is read, or that it is not."""

from __future__ import annotations

import json

import pytest
from pydicom import FileMetaDataset
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    CTImageStorage,
    DigitalMammographyXRayImageStorageForPresentation,
    DigitalMammographyXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)
from readings import header

ROUTES = {
    "none": "",
    "fits": '\n[[routes]]\nname = "all"\n',
    "leaves out": '\n[[routes]]\nname = "all"\nread = false\n',
    "does not fit": '\n[[routes]]\nname = "bus"\ncalling_ae_titles = ["BUS"]\n',
}


@pytest.fixture
def image(tmp_path):
    def write(sop_class_uid: str) -> str:
        dataset = header("1.2.3", (80, 90))
        dataset.SOPClassUID = sop_class_uid
        dataset.PixelData = bytes(dataset.Rows * dataset.Columns * 2)
        dataset["PixelData"].VR = "OW"
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(tmp_path / "image.dcm", enforce_file_format=True)
        return str(tmp_path / "image.dcm")

    return write


def test_the_urgency_of_a_file_is_shown(command, config, image):
    sender = '\n[[senders]]\nae_title = "CLINIC"\nurgency = "HIGH"\n'
    config.write_text('data_dir = "data"\n' + ROUTES["fits"] + 'urgency = "LOW"\n' + sender)
    file = image(DigitalMammographyXRayImageStorageForPresentation)
    assert "Its urgency: LOW" in command("routes", "test", file, "-c", config).output
    printed = command("routes", "test", file, "--from", "CLINIC", "-c", config, "--json").output
    assert json.loads(printed)["urgency"] == "HIGH"


@pytest.mark.parametrize("routes", ROUTES)
@pytest.mark.parametrize(
    "sop_class_uid",
    [
        DigitalMammographyXRayImageStorageForPresentation,
        DigitalMammographyXRayImageStorageForProcessing,
        BreastTomosynthesisImageStorage,
        SecondaryCaptureImageStorage,
        CTImageStorage,
    ],
    ids=lambda uid: uid.name,
)
def test_a_file_is_reported_as_read_or_as_not_read_and_never_both(command, config, image, routes, sop_class_uid):
    config.write_text('data_dir = "data"\n' + ROUTES[routes])
    ran = command("routes", "test", image(sop_class_uid), "-c", config)
    output = ran.output.lower()
    assert output.count("it is read") + output.count("it is not read") == 1 + (routes == "leaves out")
    printed = json.loads(command("routes", "test", image(sop_class_uid), "-c", config, "--json").output)
    assert printed["read"] == ("it is not read:" not in output) == (ran.exit_code == 0)
    assert (printed["not_read_because"] is None) == printed["read"]
    if not printed["read"]:
        assert printed["destinations"] == []
