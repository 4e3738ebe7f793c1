"""Who is refused is in the audit trail, and a flood of it does not fill the disk."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from audit_messages import assert_events_valid, entered
from certificates import Authority
from clock import Clock
from pydicom.uid import UID
from pynetdicom import AE
from running import eventually

from dicom_io.audit.codes import NODE_AUTHENTICATION, SECURITY_ALERT
from dicom_io.audit.message import AuditMessage, Outcome
from dicom_io.network.answers import Answer
from dicom_io.network.scp import AllowedSender, Listener, ReceivedFile, TlsAddress
from dicom_io.network.tls import ServerTls, TlsFiles
from node.audit.refusals import LONGEST_WAIT_S, MOST, Refusals
from node.store.database import Sessions, open_database, sessions_of

VERIFICATION = UID("1.2.840.10008.1.1")


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    engine = open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}")
    yield sessions_of(engine)
    engine.dispose()


class Nowhere:
    def refusal(self) -> Answer | None:
        return None

    def accept(self, received: ReceivedFile) -> Answer:
        raise AssertionError(received)


@pytest.fixture
def refusals() -> Refusals:
    return Refusals(Clock())


@pytest.fixture
def listener(tmp_path: Path, refusals: Refusals) -> Iterator[Listener]:
    authority = Authority(tmp_path)
    tls = ServerTls(TlsFiles(*authority.issue("node", "127.0.0.1"), authority.path), asks=True)
    listening = Listener(
        "NODE",
        "127.0.0.1",
        0,
        [AllowedSender("PACS")],
        tmp_path / "incoming",
        Nowhere(),
        by_tls=TlsAddress("127.0.0.1", 0, tls),
        tell_refused=refusals.note,
    )
    listening.start()
    yield listening
    listening.stop(0)


def says(message: AuditMessage) -> str:
    return message.objects[0].details[0][1]


def test_an_association_of_an_unknown_caller_is_an_alert(
    listener: Listener, refusals: Refusals, sessions: Sessions, tmp_path: Path
) -> None:
    for title in ("STRANGER", "STRANGER", "PACS"):
        caller = AE(title)
        caller.add_requested_context(VERIFICATION)
        association = caller.associate("127.0.0.1", listener.port, ae_title="NODE")
        assert association.is_established is (title == "PACS")
        association.release()
    refusals.enter_due(sessions)
    (alert,) = entered(sessions)
    assert (alert.event, alert.types, alert.outcome) == (SECURITY_ALERT, (NODE_AUTHENTICATION,), Outcome.SERIOUS)
    assert alert.objects[0].id == "127.0.0.1"
    assert says(alert) == "association refused: 'STRANGER' at 127.0.0.1 is not among the senders (2 refusals)"
    assert_events_valid(sessions, tmp_path)


def test_a_connection_without_the_certificate_is_an_alert(
    listener: Listener, refusals: Refusals, sessions: Sessions
) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", listener.tls_port)) as plain,
        context.wrap_socket(plain) as connection,
        pytest.raises(ssl.SSLError),  # with TLS 1.3 only after the handshake
    ):
        connection.recv(1)

    def alerts() -> list[AuditMessage]:
        refusals.enter_due(sessions)
        return entered(sessions)

    (alert,) = eventually("the failure of TLS is entered", alerts)
    assert says(alert) == "TLS failed: peer did not return a certificate"


def test_a_flood_of_refusals_is_a_few_events_that_count_them_all(sessions: Sessions) -> None:
    clock = Clock()
    refusals = Refusals(clock)
    for second in range(24 * 3600):
        for number in range(3):
            refusals.note("192.0.2.1", "association 1.1.3", f"'CALLER{number}' is not among the senders")
        if second % 5 == 0:
            refusals.enter_due(sessions)
        clock.seconds += 1
    refusals.enter_due(sessions, all_of_them=True)
    found = entered(sessions)
    counts = [int(says(message).rpartition("(")[2].partition(" ")[0]) for message in found]
    assert sum(counts) == 3 * 24 * 3600
    assert len(found) <= 6 + 24 * 3600 / LONGEST_WAIT_S + 1


def test_more_addresses_than_can_be_told_apart_are_counted_together(sessions: Sessions) -> None:
    refusals = Refusals(Clock())
    for number in range(MOST + 500):
        refusals.note(f"address {number}", "TLS", "TLS failed")
    refusals.enter_due(sessions)
    found = entered(sessions)
    assert len(found) == MOST + 1
    assert (found[-1].objects[0].id, says(found[-1])) == ("other addresses", "TLS failed (500 refusals)")


def test_who_was_refused_long_ago_is_entered_at_once_the_next_time(sessions: Sessions) -> None:
    clock = Clock()
    refusals = Refusals(clock)
    for _ in range(3):
        refusals.note("192.0.2.1", "TLS", "TLS failed")
        refusals.enter_due(sessions)
        clock.seconds += 24 * 3600
        refusals.enter_due(sessions)
    assert [says(message) for message in entered(sessions)] == ["TLS failed"] * 3
