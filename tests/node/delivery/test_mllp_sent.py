"""HL7 messages reach a receiver, and each acknowledgement is understood."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from clock import Clock
from outbox import wait_for
from readings import ENCODING
from reports import R_CC, discordant, some_exam, some_sources
from sqlalchemy import select

from config.hl7 import Hl7
from dicom_io.errors import NotAccepted, Rejected, Unreachable
from dicom_io.results.profiles import ResultKind
from node.assessments.hl7.intake import Hl7Intake
from node.assessments.hl7.listener import MllpListener, listen
from node.assessments.hl7.message import parse
from node.delivery.backoff import RetryPolicy
from node.delivery.deliverer import Deliverer
from node.delivery.mllp import MllpDestination, MllpPeer, mllp_connects
from node.reporting.oru import encode_oru
from node.store.database import open_database, read_only, sessions_of
from node.store.states import DeliveryState
from node.store.tables import Delivery, ReceivedAssessment


@dataclass
class Ris:
    """Answers each message with MSA and ERR of the test; {id} stands for its control ID. `refused`: a patient's ID that
    it answers with AE."""

    says: str = "MSA|AA|{id}"
    refused: str = ""
    received: list[bytes] = field(default_factory=list)
    port: int = 0

    def answer(self, block: bytes, host: str) -> bytes:
        self.received.append(block)
        says = "MSA|AE|{id}" if self.refused and self.refused.encode() in block else self.says
        rows = says.format(id=parse(block, "utf-8").control_id)
        return f"MSH|^~\\&|RIS||NODE||20260304||ACK^R01^ACK|7|P|2.5.1\r{rows}\r".encode()

    def peer(self, **changed: object) -> MllpPeer:
        peer = MllpPeer("127.0.0.1", self.port, 60, "MAMMO_NODE", "", "RIS^1.2.3^ISO", "HOSPITAL", "UNICODE UTF-8")
        return replace(peer, **changed)


@contextmanager
def listening(ris: Ris, answer: Callable[[bytes, str], bytes] | None = None) -> Iterator[Ris]:
    """The node's own listener, which hears messages for the RIS."""
    sock, stop = listen("127.0.0.1", ris.port), threading.Event()
    ris.port = sock.getsockname()[1]
    listener = MllpListener(sock, lambda host: True, answer or ris.answer, lambda: b"", 1_000_000)
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()
    try:
        yield ris
    finally:
        stop.set()
        thread.join(timeout=60)


@pytest.fixture
def ris() -> Iterator[Ris]:
    with listening(Ris()) as started:
        yield started


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "01-ORU.hl7"
    path.write_bytes(encode_oru(some_exam(), some_sources(), ENCODING, None))
    return path


def send(peer: MllpPeer, path: Path) -> None:
    with MllpDestination(peer, "ris") as destination:
        destination.send(path)


def test_a_message_is_addressed_and_states_its_character_set(ris: Ris, report: Path):
    send(ris.peer(), report)
    send(ris.peer(charset="8859/1"), report)
    in_utf_8, in_latin_1 = (parse(block, "ascii") for block in ris.received)
    assert [in_utf_8.header.raw(number) for number in (3, 4, 5, 6)] == ["MAMMO_NODE", "", "RIS^1.2.3^ISO", "HOSPITAL"]
    assert (in_utf_8.header.raw(18), in_latin_1.header.raw(18)) == ("UNICODE UTF-8", "8859/1")
    assert "Müller".encode("latin-1") in ris.received[1]
    assert in_utf_8.segments[1:] == tuple(replace(row, charset="utf-8") for row in in_latin_1.segments[1:])


def test_what_is_sent_again_is_the_same_message(ris: Ris, report: Path):
    send(ris.peer(), report)
    send(ris.peer(), report)
    assert ris.received[0] == ris.received[1]


@pytest.mark.parametrize("refused", ["", "WRONG", "RIGHT"])
def test_what_takes_back_a_wrong_patients_report_is_sent_before_the_right_one(
    refused: str, ris: Ris, report: Path, tmp_path: Path
):
    ris.refused = refused
    sources = some_sources()
    for source in sources.values():
        source.PatientID = "RIGHT"
    before = report.read_bytes().replace(some_sources()[R_CC].PatientID.encode(), b"WRONG")
    report.write_bytes(encode_oru(some_exam(), sources, replace(ENCODING, revision=2), before))
    if refused:
        with pytest.raises(Rejected):
            send(ris.peer(), report)
        ris.refused = ""
    send(ris.peer(), report)
    patients = ["WRONG" if b"WRONG" in block else "RIGHT" for block in ris.received]
    assert patients[-2:] == ["WRONG", "RIGHT"]
    assert patients[:-2] == {"": [], "WRONG": ["WRONG"], "RIGHT": ["WRONG", "RIGHT"]}[refused]


def test_a_name_that_the_character_set_lacks_is_not_sent(ris: Ris, report: Path):
    with pytest.raises(Rejected, match="UNICODE UTF-8") as refused:
        send(ris.peer(charset="ASCII"), report)
    assert "Müller" not in str(refused.value)
    assert ris.received == []


@pytest.mark.parametrize(
    ("says", "error", "why"),
    [
        ("MSA|AE|{id}", Rejected, "answers AE;"),
        ("MSA|CE|{id}", Rejected, "answers CE;"),
        ("MSA|AR|{id}", NotAccepted, "answers AR;"),
        ("MSA|CR|{id}", NotAccepted, "answers CR;"),
        ("MSA|AE|{id}|of Müller\rERR||PID^1^3|204^unknown^HL70357|E", Rejected, "(unknown key identifier, PID-3)"),
        ("MSA|AR|{id}\rERR||MSH^1^18^Müller|103|E|||of Müller", NotAccepted, "(table value not found, MSH-18)"),
        ("MSA|AR|{id}|Müller|||207", NotAccepted, "(application internal error)"),
        ("MSA|AE|{id}\rERR|PID^1^3^101&required&HL70357", Rejected, "(required field missing)"),
        ("MSA|AE|{id}\rERR||Müller^1^3|Müller", Rejected, "answers AE;"),
    ],
)
def test_a_refusal_names_its_reason_without_patient_data_and_is_kept(
    ris: Ris, report: Path, says: str, error: type[Exception], why: str
):
    ris.says = says
    with pytest.raises(error, match=re.escape(why)) as refused:
        send(ris.peer(), report)
    assert type(refused.value) is error
    assert "Müller" not in str(refused.value)
    assert says.partition("{id}")[2].encode() in report.with_suffix(".ris.ack").read_bytes()


@pytest.mark.parametrize("says", ["", "MSA|AA|ANOTHER", "MSA|OK|{id}", "MSA||{id}"])
def test_what_acknowledges_no_such_message_is_a_refusal(ris: Ris, report: Path, says: str):
    ris.says = says
    with pytest.raises(Rejected, match=r"no acknowledgement|another message") as refused:
        send(ris.peer(), report)
    assert not isinstance(refused.value, NotAccepted)


def test_a_receiver_that_is_closed_or_silent_or_hangs_up_is_tried_again(
    report: Path, closed_port: int, silent_port: int
):
    with pytest.raises(Unreachable, match="no connection"):
        send(Ris(port=closed_port).peer(), report)
    with pytest.raises(Unreachable):
        mllp_connects(Ris(port=closed_port).peer())
    with pytest.raises(Unreachable, match="no acknowledgement"):
        send(Ris(port=silent_port).peer(timeout_s=0.2), report)
    with socket.create_server(("127.0.0.1", 0)) as server:
        peer = Ris(port=server.getsockname()[1]).peer()
        hanging_up = threading.Thread(target=lambda: server.accept()[0].close())
        hanging_up.start()
        with pytest.raises(Unreachable):
            send(peer, report)
        hanging_up.join()


def test_an_idle_connection_that_broke_is_opened_again(report: Path):
    ris = Ris()
    with MllpDestination(ris.peer(), "ris") as destination:
        with listening(ris):
            destination._peer = ris.peer()
            destination.send(report)
        with listening(ris):
            destination.send(report)
    assert len(ris.received) == 2


def test_what_is_no_message_is_given_up_at_once(ris: Ris, tmp_path: Path):
    for content in (b"{}", b"\x80\0" * 80 + b"DICM"):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(NotAccepted, match="no HL7 message"):
            send(ris.peer(), tmp_path / "a")


def test_the_nodes_own_intake_takes_no_category_from_its_messages(tmp_path: Path):
    sessions = sessions_of(open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}"))
    intake = Hl7Intake(sessions, tmp_path, Hl7(observer=()), Clock())
    path = tmp_path / "01-ORU.hl7"
    path.write_bytes(encode_oru(discordant(), some_sources(), replace(ENCODING, coded_category=True), None))
    with listening(Ris(), intake.answer) as node:
        send(node.peer(), path)
    with read_only(sessions) as session:
        assert session.scalars(select(ReceivedAssessment)).all() == []


def test_ae_is_tried_again_with_the_same_message_and_ar_is_given_up(ris: Ris, report: Path, tmp_path: Path):
    sessions, clock = sessions_of(open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}")), Clock()
    with MllpDestination(ris.peer(), "ris") as transport:
        delivering = Deliverer("ris", transport, RetryPolicy(30, 3600, 7200), sessions, tmp_path, clock)

        def delivered(says: str) -> Delivery:
            ris.says = says
            assert delivering.deliver_due() == 1
            with read_only(sessions) as session:
                return session.scalars(select(Delivery).order_by(Delivery.id.desc()).limit(1)).one()

        wait_for(sessions, "ris", report.name, clock(), ResultKind.ORU)
        failed = delivered("MSA|AE|{id}\rERR|||207")
        assert (failed.state, failed.next_at) == (DeliveryState.WAITING, clock() + 30)
        assert "application internal error" in failed.error
        clock.seconds += 30
        assert delivered("MSA|AA|{id}").state is DeliveryState.SENT
        assert ris.received[0] == ris.received[1]
        (tmp_path / "another.hl7").write_bytes(report.read_bytes())
        wait_for(sessions, "ris", "another.hl7", clock(), ResultKind.ORU)
        refused = delivered("MSA|AR|{id}\rERR|||200")
        assert (refused.state, "unsupported message type" in refused.error) == (DeliveryState.DEAD, True)
