"""The listener on the network: who may send, what is accepted and how it is stored."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from pydicom import dcmread
from pydicom.uid import (
    HTJ2K,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)
from pynetdicom import AE, evt
from running import eventually
from wire import COMMAND, LAST, Wire, pdu, pdv, store_request

from dicom_io.network.answers import Answer, Status
from dicom_io.network.scp import AllowedSender, ListenerLimits
from dicom_io.network.scp_contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES

MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
ACCEPTED, ABORTED, CLOSED = 2, 7, None
STORE = pdu(4, pdv(1, COMMAND | LAST, store_request()))


def rejection(association):
    primitive = association.acceptor.primitive
    return primitive.result, primitive.result_source, primitive.diagnostic


def test_an_echo_is_answered(listening_node):
    with listening_node.association((VERIFICATION, ImplicitVRLittleEndian)) as association:
        assert association.send_c_echo().Status == 0x0000


def test_an_ae_title_that_is_not_listed_is_rejected(listening_node):
    with listening_node.association(calling="STRANGER") as association:
        assert association.is_rejected
        assert rejection(association) == (1, 1, 3)


def test_a_listed_ae_title_from_another_host_is_rejected(start_node):
    node = start_node(senders=(AllowedSender("PACS", "192.0.2.1"), AllowedSender("NEAR", "localhost")))
    with node.association(calling="PACS") as association:
        assert rejection(association) == (1, 1, 3)
    with node.association(calling="NEAR") as association:
        assert association.is_established


def test_without_configured_senders_every_association_is_rejected(start_node):
    with start_node(senders=()).association() as association:
        assert association.is_rejected


def test_another_called_ae_title_is_rejected(listening_node):
    with listening_node.association(called="SOMEBODY") as association:
        assert rejection(association) == (1, 1, 7)


def test_an_association_above_the_maximum_is_rejected_as_transient(start_node):
    node = start_node(listening=ListenerLimits(max_associations=1))
    with node.association() as first, node.association() as second:
        assert first.is_established
        assert rejection(second) == (2, 3, 2)


def test_an_unlisted_sop_class_is_refused_and_the_others_are_accepted(listening_node, mammogram):
    with listening_node.association((CT, ExplicitVRLittleEndian), (MAMMOGRAPHY, ExplicitVRLittleEndian)) as association:
        assert [context.abstract_syntax for context in association.accepted_contexts] == [MAMMOGRAPHY]
        assert [context.result for context in association.rejected_contexts] == [3]
        assert association.send_c_store(mammogram()).Status == 0x0000


def test_the_priority_of_a_request_makes_its_study_urgent(listening_node, mammogram):
    with listening_node.association() as association:
        for number, priority in enumerate((0, 1, 2)):
            image = mammogram(f"1.2.{number}.1", StudyInstanceUID=f"1.2.{number}")
            assert association.send_c_store(image, priority=priority).Status == 0x0000
    assert [str(study.urgency) for study in listening_node.studies()] == ["ROUTINE", "HIGH", "ROUTINE"]


def test_every_storage_class_is_accepted_in_every_transfer_syntax(listening_node):
    assert {HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian} <= set(
        TRANSFER_SYNTAXES
    )
    for sop_class in STORAGE_CLASSES:
        with listening_node.association(*[(sop_class, syntax) for syntax in TRANSFER_SYNTAXES]) as association:
            assert len(association.accepted_contexts) == len(TRANSFER_SYNTAXES)


def test_uncompressed_transfer_syntaxes_are_preferred(listening_node):
    ae = AE("PACS")
    ae.add_requested_context(MAMMOGRAPHY, [HTJ2K, JPEG2000Lossless, ExplicitVRLittleEndian])
    association = ae.associate("127.0.0.1", listening_node.listener.port, ae_title="NODE")
    assert association.accepted_contexts[0].transfer_syntax == [ExplicitVRLittleEndian]
    association.release()


def test_a_data_set_is_stored_unchanged_after_a_valid_file_meta_information(listening_node, mammogram, raw_bytes):
    image = mammogram()
    assert listening_node.store(image).Status == 0x0000
    path = listening_node.data_dir / "archive/1.2.3/1.2.3.1.dcm"
    assert path.read_bytes().endswith(raw_bytes(image))
    kept = dcmread(path)
    assert kept == image
    assert kept.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert kept.file_meta.MediaStorageSOPInstanceUID == "1.2.3.1"
    assert kept.preamble == bytes(128)
    assert listening_node.files("incoming") == []


@pytest.mark.parametrize("size", [4096, 16384, 131072])
def test_every_pdu_size_gives_the_same_file(start_node, mammogram, raw_bytes, size):
    node = start_node(listening=ListenerLimits(max_pdu_bytes=size))
    image = mammogram(Rows=1100, Columns=1000, PixelData=bytes(range(250)) * 8800)
    assert node.store(image).Status == 0x0000
    assert (node.data_dir / "archive/1.2.3/1.2.3.1.dcm").read_bytes().endswith(raw_bytes(image))


def test_many_objects_are_received_over_one_association(listening_node, mammogram):
    with listening_node.association() as association:
        answers = [association.send_c_store(mammogram(f"1.2.3.{n}", seed=n)).Status for n in range(1, 21)]
    assert answers == [0] * 20
    assert len(listening_node.instances()) == 20


def test_an_object_over_the_size_limit_is_refused_and_the_association_continues(start_node, mammogram):
    node = start_node(listening=ListenerLimits(max_image_bytes=100_000))
    with node.association() as association:
        answer = association.send_c_store(mammogram(Rows=1000, Columns=1000, PixelData=bytes(2_000_000)))
        assert answer.Status == Status.TOO_LARGE
        assert "max_image_mb" in answer.ErrorComment
        assert association.send_c_store(mammogram("1.2.3.2")).Status == 0x0000
    assert node.files("incoming") == []


def test_an_interrupted_transfer_leaves_no_file(listening_node, mammogram, raw_bytes):
    with Wire.to(listening_node.listener.port) as peer:
        assert peer.associate() == ACCEPTED
        peer.send(STORE + pdu(4, pdv(1, 0, raw_bytes(mammogram())[:300])))
        eventually("it has begun to come", lambda: listening_node.files("incoming"))
    eventually("nothing of it is left", lambda: not listening_node.files("incoming"))
    assert listening_node.instances() == []


def test_a_peer_that_stops_sending_within_a_transfer_is_disconnected(start_node, mammogram, raw_bytes):
    node = start_node(listening=ListenerLimits(idle_timeout_s=0.3))
    with Wire.to(node.listener.port) as peer:
        assert peer.associate() == ACCEPTED
        with suppress(BrokenPipeError, ConnectionResetError):  # on a slow machine it is disconnected even before this
            peer.send(STORE + pdu(4, pdv(1, 0, raw_bytes(mammogram())))[:200])
        assert peer.pdu()[0] in (CLOSED, ABORTED)
    eventually("nothing of it is left", lambda: not node.files("incoming"))


def test_command_and_data_set_in_one_pdu_are_accepted(listening_node, mammogram, raw_bytes):
    with Wire.to(listening_node.listener.port) as peer:
        assert peer.associate() == ACCEPTED
        peer.send(pdu(4, pdv(1, COMMAND | LAST, store_request()) + pdv(1, LAST, raw_bytes(mammogram()))))
        assert peer.status() == Status.SUCCESS
    assert listening_node.files("archive") == ["1.2.3/1.2.3.1.dcm"]


@pytest.mark.parametrize("control", [0, LAST])
def test_a_data_set_without_a_command_aborts_the_association(listening_node, control):
    with Wire.to(listening_node.listener.port) as peer:
        assert peer.associate() == ACCEPTED
        peer.send(pdu(4, pdv(1, control, bytes(100))))
        assert peer.pdu()[0] == ABORTED


def test_a_pdu_of_gigabytes_aborts_the_association_without_using_memory(listening_node):
    with Wire.to(listening_node.listener.port) as peer:
        assert peer.associate() == ACCEPTED
        peer.send(struct.pack(">BxL", 4, 0xFFFFFFFF))
        assert peer.pdu()[0] == ABORTED


def test_a_request_without_a_data_set_is_answered(listening_node):
    with_data, without = (struct.pack("<HHLH", 0, 0x0800, 2, kind) for kind in (1, 0x0101))
    with Wire.to(listening_node.listener.port) as peer:
        assert peer.associate() == ACCEPTED
        peer.send(pdu(4, pdv(1, COMMAND | LAST, store_request().replace(with_data, without))))
        assert peer.status() != Status.SUCCESS


def test_an_internal_error_is_answered_as_a_failure_without_patient_data(
    listening_node, mammogram, caplog, monkeypatch
):
    def fault(_):
        raise KeyError("SECRET^NAME")

    monkeypatch.setattr(listening_node.receiving, "accept", fault)
    assert listening_node.store(mammogram()).Status == Status.PROCESSING_FAILURE
    assert "KeyError while an instance was taken, at test_listener.py" in caplog.text
    assert "SECRET" not in caplog.text
    assert listening_node.files("incoming") == []


def test_pynetdicom_in_the_receiver_logs_no_requests(listening_node, mammogram):
    with listening_node.association() as association:
        (ours,) = listening_node.listener._servers[0].active_associations
        assert association.send_c_store(mammogram()).Status == 0x0000
        for event in (evt.EVT_DIMSE_RECV, evt.EVT_DIMSE_SENT, evt.EVT_PDU_RECV, evt.EVT_PDU_SENT):
            assert ours.get_handlers(event) == []


def test_no_file_is_written_for_an_object_refused_before_its_data(listening_node, mammogram, monkeypatch):
    monkeypatch.setattr(listening_node.receiving, "refusal", lambda *_: Answer(Status.NO_SPACE, "no room"))
    with listening_node.association() as association:
        answer = association.send_c_store(mammogram())
    assert (answer.Status, answer.ErrorComment) == (Status.NO_SPACE, "no room")
    assert listening_node.files("archive") == []


def test_partially_received_files_of_a_crash_are_removed_at_the_start(start_node, tmp_path):
    (tmp_path / "data/incoming").mkdir(parents=True)
    (tmp_path / "data/incoming/abc.part").write_bytes(b"half")
    assert start_node().files("incoming") == []


def test_stopping_ends_a_running_association(start_node):
    node = start_node(listening=ListenerLimits(idle_timeout_s=3600))
    with node.association() as association:
        node.listener.stop(grace_s=0.1)
        assert eventually("the association is ended", lambda: not association.is_established)
