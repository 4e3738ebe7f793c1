"""The listener on the network: who may send, what is taken, how it is kept."""

from __future__ import annotations

import socket
import struct
import time

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

from dicom_io.network.answers import Answer, Status
from dicom_io.network.scp import AllowedSender, ListenerLimits
from dicom_io.network.scp_contexts import STORAGE_CLASSES, TRANSFER_SYNTAXES

MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"
CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"


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


def test_without_senders_nobody_may_associate(start_node):
    with start_node(senders=()).association() as association:
        assert association.is_rejected


def test_another_called_ae_title_is_rejected(listening_node):
    with listening_node.association(called="SOMEBODY") as association:
        assert rejection(association) == (1, 1, 7)


def test_one_association_too_many_is_rejected_for_now(start_node):
    node = start_node(listening=ListenerLimits(max_associations=1))
    with node.association() as first, node.association() as second:
        assert first.is_established
        assert rejection(second) == (2, 3, 2)


def test_an_unlisted_sop_class_is_refused_and_the_others_are_taken(listening_node, mammogram):
    with listening_node.association((CT, ExplicitVRLittleEndian), (MAMMOGRAPHY, ExplicitVRLittleEndian)) as association:
        assert [context.abstract_syntax for context in association.accepted_contexts] == [MAMMOGRAPHY]
        assert [context.result for context in association.rejected_contexts] == [3]
        assert association.send_c_store(mammogram()).Status == 0x0000


def test_every_storage_class_is_taken_in_every_transfer_syntax(listening_node):
    assert {HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian} <= set(
        TRANSFER_SYNTAXES
    )
    for sop_class in STORAGE_CLASSES:
        with listening_node.association(*[(sop_class, syntax) for syntax in TRANSFER_SYNTAXES]) as association:
            assert len(association.accepted_contexts) == len(TRANSFER_SYNTAXES)


def test_uncompressed_is_preferred_so_that_nobody_compresses_with_loss_for_us(listening_node):
    ae = AE("PACS")
    ae.add_requested_context(MAMMOGRAPHY, [HTJ2K, JPEG2000Lossless, ExplicitVRLittleEndian])
    association = ae.associate("127.0.0.1", listening_node.listener.port, ae_title="NODE")
    assert association.accepted_contexts[0].transfer_syntax == [ExplicitVRLittleEndian]
    association.release()


def test_a_data_set_is_kept_byte_for_byte_behind_a_valid_head(listening_node, mammogram, raw_bytes):
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


@pytest.mark.parametrize("pdu", [4096, 16384, 131072])
def test_any_pdu_size_gives_the_same_file(start_node, mammogram, raw_bytes, pdu):
    node = start_node(listening=ListenerLimits(max_pdu_bytes=pdu))
    image = mammogram(Rows=1100, Columns=1000, PixelData=bytes(range(250)) * 8800)
    assert node.store(image).Status == 0x0000
    assert (node.data_dir / "archive/1.2.3/1.2.3.1.dcm").read_bytes().endswith(raw_bytes(image))


def test_many_objects_go_over_one_association(listening_node, mammogram):
    with listening_node.association() as association:
        answers = [association.send_c_store(mammogram(f"1.2.3.{n}", seed=n)).Status for n in range(1, 21)]
    assert answers == [0] * 20
    assert len(listening_node.instances()) == 20


def test_what_is_larger_than_allowed_is_refused_and_the_association_goes_on(start_node, mammogram):
    node = start_node(listening=ListenerLimits(max_image_bytes=100_000))
    with node.association() as association:
        answer = association.send_c_store(mammogram(Rows=1000, Columns=1000, PixelData=bytes(2_000_000)))
        assert answer.Status == Status.TOO_LARGE
        assert "max_image_mb" in answer.ErrorComment
        assert association.send_c_store(mammogram("1.2.3.2")).Status == 0x0000
    assert node.files("incoming") == []


def test_a_broken_off_transfer_leaves_nothing(listening_node, mammogram, raw_bytes):
    with raw_association(listening_node.listener.port) as (peer, context_id):
        peer.sendall(pdu(context_id, 0x03, store_command()))
        peer.sendall(pdu(context_id, 0x00, raw_bytes(mammogram())[:300]))
        wait_until(lambda: listening_node.files("incoming"))
    wait_until(lambda: not listening_node.files("incoming"))
    assert listening_node.instances() == []


def test_a_peer_that_goes_silent_in_a_transfer_is_let_go(start_node, mammogram, raw_bytes):
    node = start_node(listening=ListenerLimits(idle_timeout_s=0.3))
    with raw_association(node.listener.port) as (peer, context_id):
        peer.sendall(pdu(context_id, 0x03, store_command()))
        peer.sendall(pdu(context_id, 0x00, raw_bytes(mammogram()))[:200])
        peer.settimeout(10)
        assert peer.recv(1) in (b"", b"\x07")  # closed or aborted, within the ten seconds
    wait_until(lambda: not node.files("incoming"))


def test_command_and_data_set_in_one_pdu_are_taken(listening_node, mammogram, raw_bytes):
    with raw_association(listening_node.listener.port) as (peer, context_id):
        both = pdv(context_id, 0x03, store_command()) + pdv(context_id, 0x02, raw_bytes(mammogram()))
        peer.sendall(struct.pack(">BxL", 4, len(both)) + both)
        peer.settimeout(10)
        assert peer.recv(1) == b"\x04"
    assert listening_node.files("archive") == ["1.2.3/1.2.3.1.dcm"]


@pytest.mark.parametrize("control", [0x00, 0x02])
def test_a_data_set_that_nothing_announced_aborts_the_association(listening_node, control):
    with raw_association(listening_node.listener.port) as (peer, context_id):
        peer.sendall(pdu(context_id, control, bytes(100)))
        peer.settimeout(10)
        assert peer.recv(1) == b"\x07"


def test_a_pdu_of_gigabytes_takes_no_memory_and_aborts(listening_node):
    with raw_association(listening_node.listener.port) as (peer, _):
        peer.sendall(struct.pack(">BxL", 4, 0xFFFFFFFF))
        peer.settimeout(10)
        assert peer.recv(1) == b"\x07"


def test_a_request_without_a_data_set_is_answered(listening_node):
    command = store_command()
    nothing = struct.pack("<HHLH", 0, 0x0800, 2, 0x0101)
    with raw_association(listening_node.listener.port) as (peer, context_id):
        peer.sendall(pdu(context_id, 0x03, command.replace(struct.pack("<HHLH", 0, 0x0800, 2, 1), nothing)))
        peer.settimeout(10)
        assert peer.recv(1) == b"\x04"


def test_a_fault_of_the_nodes_own_is_a_failure_and_tells_no_patient(listening_node, mammogram, caplog, monkeypatch):
    def fault(_):
        raise KeyError("SECRET^NAME")

    monkeypatch.setattr(listening_node.receiving, "accept", fault)
    assert listening_node.store(mammogram()).Status == Status.PROCESSING_FAILURE
    assert "KeyError while an instance was taken, at test_listener.py" in caplog.text
    assert "SECRET" not in caplog.text
    assert listening_node.files("incoming") == []


def test_the_receivers_pynetdicom_logs_no_requests(listening_node, mammogram):
    with listening_node.association() as association:
        (ours,) = listening_node.listener._server.active_associations
        assert association.send_c_store(mammogram()).Status == 0x0000
        for event in (evt.EVT_DIMSE_RECV, evt.EVT_DIMSE_SENT, evt.EVT_PDU_RECV, evt.EVT_PDU_SENT):
            assert ours.get_handlers(event) == []


def test_nothing_is_written_where_the_intake_refuses_beforehand(listening_node, mammogram, monkeypatch):
    monkeypatch.setattr(listening_node.receiving, "refusal", lambda: Answer(Status.NO_SPACE, "no room"))
    with listening_node.association() as association:
        answer = association.send_c_store(mammogram())
    assert (answer.Status, answer.ErrorComment) == (Status.NO_SPACE, "no room")
    assert listening_node.files("archive") == []


def test_what_a_crash_left_half_received_is_removed_at_the_start(start_node, tmp_path):
    (tmp_path / "data/incoming").mkdir(parents=True)
    (tmp_path / "data/incoming/abc.part").write_bytes(b"half")
    assert start_node().files("incoming") == []


def test_stopping_lets_a_running_association_go_in_time(listening_node):
    with listening_node.association() as association:
        began = time.monotonic()
        listening_node.listener.stop(grace_s=0.1)
        assert time.monotonic() - began < 10
        wait_until(lambda: not association.is_established)


class raw_association:
    """An association spoken by hand, to say what a well-bred sender never would."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __enter__(self) -> tuple[socket.socket, int]:
        self.peer = socket.create_connection(("127.0.0.1", self.port))
        self.peer.settimeout(10)
        user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3")
        context = struct.pack("BBBB", 1, 0, 0, 0)
        context += item(0x30, MAMMOGRAPHY.encode()) + item(0x40, ExplicitVRLittleEndian.encode())
        body = struct.pack(">HH16s16s32x", 1, 0, b"NODE".ljust(16), b"PACS".ljust(16))
        body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user)
        self.peer.sendall(struct.pack(">BxL", 1, len(body)) + body)
        head = self.peer.recv(6, socket.MSG_WAITALL)
        assert head[0] == 2
        self.peer.recv(struct.unpack(">L", head[2:])[0], socket.MSG_WAITALL)
        return self.peer, 1

    def __exit__(self, *_: object) -> None:
        self.peer.close()


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context_id, control) + data


def pdu(context_id: int, control: int, data: bytes) -> bytes:
    body = pdv(context_id, control, data)
    return struct.pack(">BxL", 4, len(body)) + body


def store_command() -> bytes:
    elements = b"".join(
        struct.pack("<HHL", 0, number, len(value)) + value
        for number, value in (
            (0x0002, MAMMOGRAPHY.encode() + b"\0" * (len(MAMMOGRAPHY) % 2)),
            (0x0100, struct.pack("<H", 1)),
            (0x0110, struct.pack("<H", 1)),
            (0x0700, struct.pack("<H", 0)),
            (0x0800, struct.pack("<H", 1)),
            (0x1000, b"1.2.3.1\0"),
        )
    )
    return struct.pack("<HHLL", 0, 0, 4, len(elements)) + elements


def wait_until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within ten seconds"
        time.sleep(0.01)
