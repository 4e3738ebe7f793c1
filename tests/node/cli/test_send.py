"""`send`, to a real listener."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom import AE, evt

from node.cli.send import Address, parse_address


@pytest.fixture
def pacs():
    kept: list[str] = []
    ae = AE("PACS")
    ae.add_supported_context(DigitalMammographyXRayImageStorageForPresentation)

    def store(event: evt.Event) -> int:
        kept.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000 if event.request.AffectedSOPInstanceUID != "1.2.9" else 0xC000

    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    yield f"PACS@127.0.0.1:{server.socket.getsockname()[1]}", kept
    server.shutdown()


def write_image(path: Path, uid: str) -> None:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    image.SOPInstanceUID = uid
    path.parent.mkdir(exist_ok=True)
    image.save_as(path, enforce_file_format=True)


def test_a_folder_is_sent_with_its_subfolders_and_other_files_are_named(tmp_path, command, pacs):
    address, kept = pacs
    write_image(tmp_path / "a.dcm", "1.2.1")
    write_image(tmp_path / "below" / "b", "1.2.2")
    (tmp_path / "notes.txt").write_text("no image")
    ran = command("send", tmp_path, address)
    assert ran.exit_code == 0
    assert sorted(kept) == ["1.2.1", "1.2.2"]
    assert "2 sent" in ran.output
    assert "notes.txt: it is not a DICOM file" in ran.output


def test_a_refused_file_is_named_and_the_rest_is_sent(tmp_path, command, pacs):
    address, _ = pacs
    write_image(tmp_path / "1.dcm", "1.2.9")
    write_image(tmp_path / "2.dcm", "1.2.10")
    ran = command("send", tmp_path, address, "--json")
    printed = json.loads(ran.output)
    assert ran.exit_code == 1
    assert printed["sent"] == [str(tmp_path / "2.dcm")]
    assert "0xC000" in printed["refused"][str(tmp_path / "1.dcm")]


def test_an_unreachable_peer_is_reported(tmp_path, command, closed_port):
    write_image(tmp_path / "1.dcm", "1.2.1")
    ran = command("send", tmp_path, f"PACS@127.0.0.1:{closed_port}", "--timeout", 1)
    assert ran.exit_code == 1
    assert f"PACS at 127.0.0.1:{closed_port} refuses connections: nothing listens at this port" in ran.output
    assert "1 not tried" in ran.output


def test_an_address_has_ae_title_host_and_port_and_others_are_refused():
    assert parse_address("MY PACS@pacs.example:104") == Address("MY PACS", "pacs.example", 104)
    assert parse_address("A@[::1]:104") == Address("A", "::1", 104)
    for wrong in ("A@host", "host:104", "A@host:0", "A@host:70000", "SEVENTEEN_LETTERS@host:1"):
        with pytest.raises(typer.BadParameter, match="AE@HOST:PORT"):
            parse_address(wrong)
