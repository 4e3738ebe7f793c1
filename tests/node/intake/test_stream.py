"""For any fragmentation of the stream, with and without waiting for answers: the stored bytes are the sent ones."""

from __future__ import annotations

import random
import socket
import struct
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.association import Association
from running import eventually
from wire import (
    COMMAND,
    LAST,
    MAMMOGRAPHY,
    Cutting,
    Wire,
    association_acceptance,
    association_request,
    command,
    context,
    cuttings,
    one_store,
    pdu,
    pdv,
    store_request,
)

from dicom_io.network.answers import Status
from dicom_io.network.holdings import HeldInstance
from dicom_io.network.incoming import BLOCK, IncomingFile
from dicom_io.network.peer import Peer
from dicom_io.network.retrieve import DicomSource
from dicom_io.network.scp_messages import StreamingDIMSE

Encode = Callable[[Dataset], bytes]
SIZES = strategies.one_of(strategies.integers(1, 3000), strategies.integers(BLOCK - 3000, BLOCK + 3000))
"""Of pixel data: far less than a block, and the few bytes about its end."""


def images(mammogram: Callable[..., Dataset], raw_bytes: Encode, sizes: list[int]) -> dict[str, bytes]:
    """Data sets with different bytes and patients, each in its own study, by SOP Instance UID."""
    made = {}
    for number, size in enumerate(sizes):
        study = generate_uid(prefix=None)
        image = mammogram(f"{study}.1", StudyInstanceUID=study, PatientID=f"P{number}", PatientName=f"NAME^{number}")
        image.PixelData = random.Random(study).randbytes(size + size % 2)
        made[str(image.SOPInstanceUID)] = raw_bytes(image)
    return made


def kept(node, sop_instance_uid: str) -> bytes:
    study = sop_instance_uid.removesuffix(".1")
    return (node.data_dir / "archive" / study / f"{sop_instance_uid}.dcm").read_bytes()


@given(cutting=cuttings(), sizes=strategies.lists(SIZES, min_size=1, max_size=4))
@settings(
    max_examples=20,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_acknowledged_objects_are_stored_unchanged_for_any_fragmentation_and_pipelining(
    listening_node, mammogram, raw_bytes, cutting: Cutting, sizes: list[int]
):
    sent = images(mammogram, raw_bytes, sizes)
    messages = [(store_request(uid, number), data) for number, (uid, data) in enumerate(sent.items(), start=1)]
    stream = b"".join(cutting.pdus(messages, context_id=1))
    with Wire.to(listening_node.listener.port) as peer:
        assert peer.associate() == 2
        ahead = threading.Thread(target=peer.send_all, args=(cutting.written(stream),))
        ahead.start()
        assert [peer.status() for _ in messages] == [Status.SUCCESS] * len(messages)
        ahead.join(timeout=120)
    for uid, data in sent.items():
        assert kept(listening_node, uid).endswith(data)


def test_an_object_whose_file_differs_from_the_received_bytes_is_not_acknowledged(
    listening_node, mammogram, raw_bytes, monkeypatch
):
    def loses_a_bit(self: IncomingFile, descriptor: int, filled: int) -> None:
        self._block[filled - 1] ^= 1
        written(self, descriptor, filled)

    written = IncomingFile._write
    monkeypatch.setattr(IncomingFile, "_write", loses_a_bit)
    with Wire.to(listening_node.listener.port) as peer:
        assert peer.associate() == 2
        peer.send(one_store(1, raw_bytes(mammogram())))
        assert peer.status() == Status.NO_STORAGE
        monkeypatch.undo()
        peer.send(one_store(1, raw_bytes(mammogram())))
        assert peer.status() == Status.SUCCESS
    assert len(listening_node.instances()) == 1
    assert listening_node.files("incoming") == []


def test_files_of_an_association_share_no_buffer(tmp_path: Path):
    file, other_file = (IncomingFile(tmp_path, b"", 1 << 30) for _ in range(2))
    file.write(b"a" * 5000)
    other_file.write(b"b" * 3000)
    file.finish()
    other_file.finish()
    assert (file.fault, file.path.read_bytes()) == (None, b"a" * 5000)
    assert (other_file.fault, other_file.path.read_bytes()) == (None, b"b" * 3000)


@pytest.mark.parametrize(
    "uid", ["1.2.3." + "9" * 66, "1.2.3\\1.2.4", "", "no uid", "1.2.03"], ids=["long", "two", "empty", "text", "zero"]
)
def test_a_malformed_uid_is_answered_and_the_other_objects_are_kept(listening_node, mammogram, raw_bytes, uid):
    good = images(mammogram, raw_bytes, [100, 100])
    bad = mammogram()
    first, last = good
    with Wire.to(listening_node.listener.port) as peer:
        assert peer.associate() == 2
        peer.send(one_store(1, good[first], first))
        assert peer.status() == Status.SUCCESS
        bad["SOPInstanceUID"]._value = uid
        peer.send(one_store(1, raw_bytes(bad), uid, message_id=2))
        assert peer.status() == Status.BAD_UID
        peer.send(one_store(1, good[last], last, message_id=3))
        assert peer.status() == Status.SUCCESS
    assert {instance.sop_instance_uid for instance in listening_node.instances()} == set(good)


@pytest.mark.parametrize("of", ["1.2.840.10008.1.20.1", "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.2.2.1", "1.2.3.4"])
def test_a_c_store_of_no_storage_class_is_answered_and_the_next_object_is_kept(
    listening_node, mammogram, raw_bytes, of: str, caplog
) -> None:
    image = raw_bytes(mammogram())
    with Wire.to(listening_node.listener.port) as peer:
        assert peer.associate() == 2
        peer.send(pdu(4, pdv(1, COMMAND | LAST, store_request("1.2.3.1", 1, of))) + pdu(4, pdv(1, LAST, image)))
        assert peer.status() == Status.DOES_NOT_MATCH
        peer.send(one_store(1, image, message_id=2))
        assert peer.status() == Status.SUCCESS
    assert len(listening_node.instances()) == 1
    assert not [record for record in caplog.records if record.exc_info]


def broken_messages() -> dict[str, bytes]:
    request = store_request()
    whole = pdv(1, COMMAND | LAST, request)
    return {
        "a command within a data set": pdu(4, whole + pdv(1, 0, b"abc") + whole),
        "a data set in another context": pdu(4, whole + pdv(3, LAST, b"abc")),
        "a command in two contexts": pdu(4, pdv(1, COMMAND, request[:20]) + pdv(3, COMMAND | LAST, request[20:])),
        "a command that is no data set": pdu(4, pdv(1, COMMAND | LAST, b"\xff" * 40)),
        "a command of another kind": pdu(4, pdv(1, COMMAND | LAST, command((0x0100, b"\xfe\x0f")))),
        "an empty command": pdu(4, pdv(1, COMMAND | LAST, b"")),
        "a value longer than its PDU": pdu(4, pdv(1, COMMAND | LAST, request)[:-1]),
        "a value of one byte": pdu(4, b"\0\0\0\1\1"),
        "an unknown context": pdu(4, pdv(5, COMMAND | LAST, request) + pdv(5, LAST, b"abc")),
        "a command without an end": pdu(4, pdv(1, COMMAND, bytes(70_000))),
    }


@pytest.mark.parametrize("broken", broken_messages())
def test_a_violation_of_the_protocol_is_aborted_at_once_and_leaves_no_file(listening_node, broken: str):
    with Wire.to(listening_node.listener.port) as peer:
        assert peer.associate(contexts=[context(1), context(3)]) == 2
        peer.send(broken_messages()[broken])
        assert peer.pdu()[0] == 7
    assert listening_node.instances() == []


RELEASE, ABORT = pdu(5, bytes(4)), pdu(7, bytes(4))
FOLLOWED = {
    "a PDU with less than a value": pdu(4, bytes(4)) + RELEASE,
    "a value out of place": pdu(4, b"\0\0\0\1\1") * 20,
    "an abort without a source": pdu(7, b""),
    "an abort of nobody's": pdu(7, b"\0\0\xec\xec"),
    "an abort for no reason": pdu(7, b"\0\0\2\xff"),
    "a release, and more": RELEASE + pdu(4, bytes(4)) + RELEASE,
    "a release that is too short": pdu(5, b""),
    "an association within another": association_request() + association_request(called=b"\xff"),
    "an acceptance": pdu(2, b"") + ABORT,
    "no PDU": pdu(0x99, bytes(20)) * 20,
}


@pytest.mark.parametrize("ahead", [False, True], ids=["", "sent ahead"])
@pytest.mark.parametrize("says", FOLLOWED.values(), ids=FOLLOWED)
def test_an_association_ends_once_and_without_an_error_for_any_following_bytes(
    listening_node, says: bytes, ahead: bool, caplog, monkeypatch
):
    failed: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    before = set(threading.enumerate())
    with Wire.to(listening_node.listener.port) as peer:
        if ahead:
            peer.send(association_request() + says)
        else:
            assert peer.associate() == 2
            peer.send(says)
        peer.socket.shutdown(socket.SHUT_WR)
        answers = list(iter(lambda: peer.pdu()[0], None))
    assert answers.count(7) <= 1
    eventually("its threads have ended", lambda: not set(threading.enumerate()) - before)
    assert not failed
    assert not [record for record in caplog.records if record.exc_info]


class PacsThatSendsAhead(threading.Thread):
    """Answers a C-GET with all its C-STOREs at once, and reads their responses only afterwards."""

    def __init__(self, sent: dict[str, bytes], cutting: Cutting) -> None:
        super().__init__(daemon=True)
        self.sent = sent
        self.cutting = cutting
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.statuses: list[int] = []

    @property
    def port(self) -> int:
        return int(self.listening.getsockname()[1])

    def run(self) -> None:
        with Wire(self.listening.accept()[0]) as peer:
            _, request = peer.pdu()
            peer.send(association_acceptance(request))
            for _ in range(2):  # command and identifier
                peer.pdu()
            messages = [(store_request(uid, number), data) for number, (uid, data) in enumerate(self.sent.items(), 1)]
            stream = b"".join(self.cutting.pdus(messages, context_id=3))
            for piece in self.cutting.written(stream):
                peer.send(piece)
            self.statuses = [peer.status() for _ in messages]
            peer.send(pdu(4, pdv(1, COMMAND | LAST, get_response(completed=len(messages)))))
            peer.pdu()
            peer.send(pdu(6, bytes(4)))
        self.listening.close()


def get_response(completed: int) -> bytes:
    return command(
        (0x0002, b"1.2.840.10008.5.1.4.1.2.2.3"),
        (0x0100, b"\x10\x80"),
        (0x0120, b"\1\0"),
        (0x0800, b"\1\1"),
        (0x0900, b"\0\0"),
        (0x1021, struct.pack("<H", completed)),
    )


@given(cutting=cuttings(), sizes=strategies.lists(SIZES, min_size=1, max_size=4))
@settings(
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_objects_retrieved_by_c_get_are_unchanged_for_any_fragmentation_and_pipelining(
    tmp_path: Path, mammogram, raw_bytes, cutting: Cutting, sizes: list[int]
):
    sent = images(mammogram, raw_bytes, sizes)
    pacs = PacsThatSendsAhead(sent, cutting)
    pacs.start()
    source = DicomSource(Peer("PACS", "127.0.0.1", pacs.port, 60, "NODE"))
    wanted = [HeldInstance("1.2.3.9", uid, MAMMOGRAPHY) for uid in sent]
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        retrieved = source.retrieve("1.2.3", wanted, Path(folder), lambda _: None)
        assert retrieved.faults == ()
        assert pacs.statuses == [Status.SUCCESS] * len(sent)
        for path, data in zip(retrieved.files, sent.values(), strict=True):
            assert path.read_bytes().endswith(data)
    pacs.join(timeout=120)


def test_a_complete_data_set_that_is_no_longer_wanted_leaves_no_file(tmp_path: Path) -> None:
    """Its sender aborts before the association's thread has processed it: rare, so the test arranges it."""
    messages = StreamingDIMSE(Association(AE(), "acceptor"), lambda *_: IncomingFile(tmp_path, b"", 1 << 20))
    taken, begun = (IncomingFile(tmp_path, b"head", 1 << 20) for _ in range(2))
    messages.arrived[taken.path], messages.storing = taken, begun
    assert len(list(tmp_path.iterdir())) == 2
    messages.discard()
    assert not list(tmp_path.iterdir())
