"""Storage commitment is requested, and its reports are received over any association."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from committing import WELL_KNOWN, CommittingPacs, report, report_over, reporting, requested
from pydicom import Dataset
from pydicom.uid import SegmentationStorage
from pynetdicom.association import Association
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined]  # made from tables at run time

from dicom_io.errors import NotAccepted, Rejected, Unreachable
from dicom_io.network.answers import Answer, Status
from dicom_io.network.commitment import CommitmentReport, Reference, ask_commitment
from dicom_io.network.peer import Peer
from dicom_io.network.scp import AllowedSender, Listener, ReceivedFile

TRANSACTION = "2.25.1234567890"
SENT = ("1.2.3.4.5.6.7.1", "1.2.3.4.5.6.7.2")


def without_transaction() -> Dataset:
    dataset = report(TRANSACTION, SENT)
    del dataset.TransactionUID
    return dataset


class Heard:
    """Stores the reports on a single transaction."""

    def __init__(self) -> None:
        self.reports: list[CommitmentReport] = []

    def __call__(self, report: CommitmentReport) -> bool:
        self.reports.append(report)
        return report.transaction_uid == TRANSACTION


class TakesNothing:
    """An intake for listeners that receive no images."""

    def refusal(self, calling_ae_title: str) -> Answer | None:
        return Answer(Status.NO_SPACE)

    def accept(self, received: ReceivedFile) -> Answer:
        raise AssertionError("something was stored")


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def pacs() -> Iterator[CommittingPacs]:
    with CommittingPacs().listening() as listening:
        yield listening


@pytest.fixture
def listener(tmp_path: Path, heard: Heard) -> Iterator[Listener]:
    """The node's listener: "PACS" is allowed to report and "SENDER" to send."""
    allowed = [AllowedSender("PACS", "127.0.0.1", stores=False), AllowedSender("SENDER")]
    listening = Listener("NODE", "127.0.0.1", 0, allowed, tmp_path, TakesNothing(), hear=heard)
    listening.start()
    yield listening
    listening.stop(grace_s=1)


def ask(port: int, heard: Heard, linger_s: float = 0, timeout_s: float = 60) -> None:
    references = [Reference(SegmentationStorage, uid) for uid in SENT]
    ask_commitment(Peer("PACS", "127.0.0.1", port, timeout_s, "NODE"), TRANSACTION, references, heard, linger_s)


def test_a_request_names_its_transaction_and_every_instance_with_its_class(pacs: CommittingPacs, heard: Heard) -> None:
    ask(pacs.port, heard)
    (request,) = pacs.asked
    assert request.TransactionUID == TRANSACTION
    assert requested(request) == list(SENT)
    assert {item.ReferencedSOPClassUID for item in request.ReferencedSOPSequence} == {SegmentationStorage}


def test_a_report_over_the_same_association_is_received_even_before_the_response_to_the_request(
    pacs: CommittingPacs, heard: Heard
) -> None:
    answers: list[int] = []
    pacs.at_request = lambda association, request: answers.append(
        report_over(association, report(request.TransactionUID, SENT))
    )
    ask(pacs.port, heard)
    assert answers == [0x0000]
    assert heard.reports == [CommitmentReport(TRANSACTION, frozenset(SENT), {})]


def test_a_report_over_the_same_association_is_awaited_briefly_and_answered(pacs: CommittingPacs, heard: Heard) -> None:
    answers: list[int] = []
    reported = threading.Event()

    def afterwards(association: Association, request: Dataset) -> None:
        answers.append(report_over(association, report(request.TransactionUID, SENT)))
        reported.set()

    pacs.afterwards = afterwards
    ask(pacs.port, heard, linger_s=60)
    assert reported.wait(60)
    assert answers == [0x0000]
    assert [entry.committed for entry in heard.reports] == [frozenset(SENT)]


def test_a_peer_without_storage_commitment_is_reported(heard: Heard) -> None:
    pacs = CommittingPacs()
    pacs.commits = False
    with pacs.listening(), pytest.raises(NotAccepted, match="does not accept Storage Commitment Push Model"):
        ask(pacs.port, heard)


def test_a_refused_commitment_request_is_reported(pacs: CommittingPacs, heard: Heard) -> None:
    pacs.action_status = 0x0213
    with pytest.raises(Rejected, match=r"0x0213 \(out of resources\)"):
        ask(pacs.port, heard)


def test_a_peer_that_aborts_during_a_request_counts_as_unreachable(pacs: CommittingPacs, heard: Heard) -> None:
    pacs.at_request = lambda association, request: association.abort()
    with pytest.raises(Unreachable):
        ask(pacs.port, heard)


def test_a_peer_that_does_not_respond_counts_as_unreachable(heard: Heard, silent_port: int) -> None:
    with pytest.raises(Unreachable):
        ask(silent_port, heard, timeout_s=1)


@pytest.mark.parametrize("with_role", [True, False])
def test_a_report_over_an_association_opened_by_the_peer_is_received(
    listener: Listener, heard: Heard, with_role: bool
) -> None:
    with reporting(listener.port, with_role=with_role) as association:
        assert report_over(association, report(TRANSACTION, SENT[:1], {SENT[1]: 0x0112}), event_type=2) == 0x0000
    assert heard.reports == [CommitmentReport(TRANSACTION, frozenset(SENT[:1]), {SENT[1]: 0x0112})]


def test_an_instance_reported_as_committed_and_as_failed_counts_as_failed(listener: Listener, heard: Heard) -> None:
    with reporting(listener.port) as association:
        report_over(association, report(TRANSACTION, SENT, {SENT[1]: 0x0110}), event_type=2)
    assert heard.reports[0].committed == {SENT[0]}


def test_a_report_of_thousands_of_instances_is_received(listener: Listener, heard: Heard) -> None:
    many = [f"1.2.3.4.5.{number}" for number in range(5000)]
    with reporting(listener.port) as association:
        assert report_over(association, report(TRANSACTION, many)) == 0x0000
    assert heard.reports[0].committed == frozenset(many)


def test_a_report_on_an_unknown_transaction_is_refused_and_logged_without_uids(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "dicom_io"), reporting(listener.port) as association:
        assert report_over(association, report("2.25.99", SENT)) == 0x0115
    assert "a transaction that is not known here" in caplog.text
    assert "2.25.99" not in caplog.text


@pytest.mark.parametrize("dataset", [None, without_transaction(), report("", SENT), report("1.2.03", SENT)])
def test_a_report_without_a_transaction_is_refused(listener: Listener, heard: Heard, dataset: Dataset | None) -> None:
    with reporting(listener.port) as association:
        assert report_over(association, dataset) == 0x0115
        assert report_over(association, report(TRANSACTION, SENT)) == 0x0000, "the association goes on"
    assert len(heard.reports) == 1


def test_an_unknown_event_type_is_refused(listener: Listener, heard: Heard) -> None:
    with reporting(listener.port) as association:
        assert report_over(association, report(TRANSACTION, SENT), event_type=3) == 0x0113
    assert heard.reports == []


def test_a_report_of_unlimited_size_does_not_fill_the_memory(listener: Listener, heard: Heard) -> None:
    endless = report(TRANSACTION)
    endless.ErrorComment = "x" * (2 << 20)
    with reporting(listener.port) as association:
        answer, _ = association.send_n_event_report(endless, 1, StorageCommitmentPushModel, WELL_KNOWN)
    assert "Status" not in answer
    assert heard.reports == []


def test_a_peer_allowed_only_to_report_cannot_store(listener: Listener) -> None:
    with reporting(listener.port, also=[SegmentationStorage]) as association:
        accepted = {context.abstract_syntax for context in association.accepted_contexts}
    assert accepted == {StorageCommitmentPushModel}


def test_a_sender_is_also_allowed_to_report(listener: Listener, heard: Heard) -> None:
    with reporting(listener.port, title="SENDER", also=[SegmentationStorage]) as association:
        assert len(association.accepted_contexts) == 2
        assert report_over(association, report(TRANSACTION, SENT)) == 0x0000
    assert len(heard.reports) == 1


def test_a_peer_that_is_not_listed_cannot_report(listener: Listener) -> None:
    with reporting(listener.port, title="STRANGER") as association:
        assert association.is_rejected


def test_a_listener_without_commitment_requests_accepts_no_reports(tmp_path: Path) -> None:
    listening = Listener("NODE", "127.0.0.1", 0, [AllowedSender("PACS")], tmp_path, TakesNothing())
    listening.start()
    try:
        with reporting(listening.port) as association:
            assert not association.is_established
    finally:
        listening.stop(grace_s=1)
