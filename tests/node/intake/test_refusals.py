"""What is refused, with which status, and that no file of it remains."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from sqlalchemy import text
from wire import COMMAND, LAST, MAMMOGRAPHY, Wire, command, one_store, pdu, pdv, status_in

from config.settings import Settings
from dicom_io.network.answers import Answer, Status
from node.intake.receiving import ReceivingLimits
from node.operations.machine import disk


def nothing_stays(node) -> bool:
    return not (node.files("incoming") or node.files("archive") or node.instances() or node.studies())


def test_bytes_that_are_not_dicom_are_answered_with_cannot_understand(listening_node):
    answer = listening_node.store_bytes(b"%PDF-1.7 this is no data set at all " * 40)
    assert answer.Status in (Status.NOT_DICOM, Status.TRUNCATED)
    assert answer.ErrorComment
    assert nothing_stays(listening_node)


def test_an_empty_data_set_is_answered_with_cannot_understand(listening_node):
    assert listening_node.store_bytes(b"\x08\x00").Status in (Status.NOT_DICOM, Status.TRUNCATED)
    assert nothing_stays(listening_node)


@pytest.mark.parametrize("left", [0.3, 0.6, 0.98])
def test_a_truncated_image_is_refused_with_that_reason(listening_node, mammogram, raw_bytes, left):
    data = raw_bytes(mammogram())
    answer = listening_node.store_bytes(data[: int(len(data) * left)])
    assert answer.Status == Status.TRUNCATED
    assert "cut short" in answer.ErrorComment
    assert nothing_stays(listening_node)


def test_a_truncated_deflated_image_is_refused(listening_node, mammogram):
    image = mammogram()
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    assert listening_node.store(image).Status == Status.SUCCESS


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_a_missing_uid_is_named(listening_node, mammogram, raw_bytes, keyword):
    image = mammogram()
    delattr(image, keyword)
    answer = listening_node.store_bytes(raw_bytes(image))
    assert answer.Status == Status.BAD_UID
    assert keyword in answer.ErrorComment
    assert nothing_stays(listening_node)


@pytest.mark.parametrize("evil", ["../../../tmp/evil", "1.2/../../evil", "/etc/passwd", "1.2.\\evil", "..", "1..2"])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SOPInstanceUID"])
def test_path_characters_in_uids_never_reach_the_disk(listening_node, mammogram, raw_bytes, keyword, evil):
    image = mammogram()
    image.add_new(keyword, "UI", "")
    image[keyword]._value = evil
    asked = evil if keyword == "SOPInstanceUID" and "\\" not in evil else "1.2.3.1"
    answer = listening_node.store_bytes(raw_bytes(image), sop_instance_uid=asked)
    assert answer.Status == Status.BAD_UID
    assert evil not in answer.ErrorComment
    assert nothing_stays(listening_node)


def test_a_request_with_another_sop_instance_uid_than_its_data_set_is_refused(listening_node, mammogram, raw_bytes):
    answer = listening_node.store_bytes(raw_bytes(mammogram()), sop_instance_uid="1.2.3.2")
    assert answer.Status == Status.DOES_NOT_MATCH
    assert nothing_stays(listening_node)


def test_a_request_with_another_sop_class_than_its_data_set_is_refused(listening_node, mammogram, raw_bytes):
    ct = mammogram(SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    assert listening_node.store_bytes(raw_bytes(ct)).Status == Status.DOES_NOT_MATCH
    assert nothing_stays(listening_node)


def test_a_nearly_full_disk_refuses_new_images(start_node, mammogram):
    node = start_node(limits=ReceivingLimits(min_free_bytes=1 << 60))
    answer = node.store(mammogram())
    assert answer.Status == Status.NO_SPACE
    assert "min_free_mb" in answer.ErrorComment
    assert nothing_stays(node)
    with node.association(("1.2.840.10008.1.1", ExplicitVRLittleEndian)) as association:
        assert association.send_c_echo().Status == Status.SUCCESS


def test_the_quota_refuses_the_next_image_even_after_a_restart(start_node, mammogram):
    node = start_node(limits=ReceivingLimits(quota_bytes=1))
    assert node.store(mammogram("1.2.3.1")).Status == Status.SUCCESS
    assert node.store(mammogram("1.2.3.2")).Status == Status.NO_SPACE
    node.listener.stop(grace_s=0.1)
    again = start_node(limits=ReceivingLimits(quota_bytes=1))
    assert again.store(mammogram("1.2.3.2")).Status == Status.NO_SPACE
    assert again.files("archive") == ["1.2.3/1.2.3.1.dcm"]


@pytest.fixture
def tiny_disk(tmp_path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder]).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_fills_up_within_an_image_refuses_it_and_the_association_continues(
    start_node, tiny_disk, mammogram
):
    node = start_node(data_dir=tiny_disk / "data")
    large = mammogram("1.2.3.1", Rows=2000, Columns=1500, PixelData=bytes(6_000_000))
    with node.association() as association:
        answer = association.send_c_store(large)
        assert answer.Status == Status.NO_SPACE
        assert association.send_c_store(mammogram("1.2.3.2")).Status == Status.SUCCESS
    assert node.files("incoming") == []
    assert node.files("archive") == ["1.2.3/1.2.3.2.dcm"]


def _is_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


@pytest.mark.parametrize(
    ("name", "fault"), [("incoming", _is_a_file), ("archive", _is_a_file), ("archive", shutil.rmtree)]
)
def test_an_image_is_refused_and_the_cause_logged_if_a_folder_of_the_node_is_missing(
    listening_node, mammogram, caplog, name: str, fault
):
    fault(listening_node.data_dir / name)
    answer = listening_node.store(mammogram())
    assert answer.Status == Status.NO_STORAGE
    assert "send again" not in answer.ErrorComment
    assert any("not taken" in record.getMessage() for record in caplog.records)
    assert "1.2.3" not in caplog.text
    checked = disk(Settings(data_dir=listening_node.data_dir, receiver={"min_free_mb": 0}))
    assert not checked.ok
    assert f"nothing can be written in {listening_node.data_dir / name}: " in checked.says
    (listening_node.data_dir / name).unlink(missing_ok=True)
    (listening_node.data_dir / name).mkdir()
    assert listening_node.store(mammogram()).Status == Status.SUCCESS


def test_the_folder_for_incoming_files_is_made_again_but_no_data_folder(listening_node, mammogram):
    shutil.rmtree(listening_node.receiving.incoming)
    assert listening_node.store(mammogram("1.2.3.1")).Status == Status.SUCCESS
    shutil.rmtree(listening_node.data_dir)  # as if its disk was not mounted
    assert listening_node.store(mammogram("1.2.3.2")).Status == Status.NO_STORAGE
    assert not listening_node.data_dir.exists()


def test_an_obstacle_to_storing_an_image_is_logged_without_uids(listening_node, mammogram, caplog):
    in_the_way = listening_node.data_dir / "archive" / "1.2.3" / "1.2.3.1.dcm" / "a folder"
    in_the_way.mkdir(parents=True)
    answer = listening_node.store(mammogram())
    assert (answer.Status, "mended" in answer.ErrorComment) == (Status.NO_STORAGE, True)
    assert "an instance was not taken: Is a directory (EISDIR), at data_dir/archive/*/*" in caplog.text
    assert listening_node.store(mammogram("1.2.3.2")).Status == Status.SUCCESS


def test_a_failing_database_is_answered_as_a_failure_without_patient_data(listening_node, mammogram, caplog):
    with listening_node.sessions.begin() as session:
        session.execute(text("DROP TABLE job"))
    answer = listening_node.store(mammogram(PatientID="SECRET"))
    assert answer.Status == Status.NO_STORAGE
    assert listening_node.instances() == []
    assert "OperationalError" in caplog.text
    assert "SECRET" not in caplog.text
    assert "1.2.3" not in caplog.text


def test_a_refused_sop_class_is_logged(start_node):
    reported = []
    node = start_node(refused_classes=lambda title, uids: reported.append((title, list(uids))))
    mammography, ct, made_up = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4.5"
    with node.association(*((uid, ExplicitVRLittleEndian) for uid in (mammography, ct, made_up))):
        pass
    with node.association((mammography, "1.2.3.99")):  # a refused transfer syntax is no SOP class
        pass
    assert reported == [("PACS", sorted([ct, made_up]))]


def test_every_error_comment_fits_its_value_representation():
    with pytest.raises(ValueError):
        Answer(Status.NOT_DICOM, "x" * 65)


OTHER_REQUESTS = {
    "C-ECHO of mammograms": (0x0030, 0x0002),
    "C-FIND": (0x0020, 0x0002),
    "C-GET": (0x0010, 0x0002),
    "C-MOVE": (0x0021, 0x0002),
    "N-EVENT-REPORT": (0x0100, 0x0002),
    "N-GET": (0x0110, 0x0003),
    "N-SET": (0x0120, 0x0003),
    "N-ACTION": (0x0130, 0x0003),
    "N-CREATE": (0x0140, 0x0002),
    "N-DELETE": (0x0150, 0x0003),
}


@pytest.mark.parametrize("asks", OTHER_REQUESTS)
def test_a_request_other_than_c_store_is_answered_as_an_unrecognized_operation(
    listening_node, mammogram, raw_bytes, asks: str
):
    """Without a data set, in the context of mammograms: not as a C-STORE with a truncated data set."""
    field, class_element = OTHER_REQUESTS[asks]
    request = command(
        (class_element, MAMMOGRAPHY.encode()),
        (0x0100, struct.pack("<H", field)),
        (0x0110, struct.pack("<H", 7)),
        (0x0600, b"SOMEBODY"),
        (0x0700, struct.pack("<H", 0)),
        (0x0800, struct.pack("<H", 0x0101)),
        (0x1000, b"1.2.3.1"),
        (0x1001, b"1.2.3.1"),
        (0x1002, struct.pack("<H", 1)),
        (0x1008, struct.pack("<H", 1)),
    )
    with Wire.to(listening_node.listener.port) as peer:
        assert peer.associate() == 2
        peer.send(pdu(4, pdv(1, COMMAND | LAST, request)))
        kind, body = peer.pdu()
        assert kind == 4
        assert status_in(body) == 0x0211
        assert struct.pack("<HHLH", 0, 0x0100, 2, field | 0x8000) in body
        assert struct.pack("<HHLH", 0, 0x0120, 2, 7) in body
        peer.send(one_store(1, raw_bytes(mammogram())))
        assert peer.status() == 0x0000
