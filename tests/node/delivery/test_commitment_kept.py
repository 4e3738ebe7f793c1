"""A result is delivered once its destination has committed to store it; uncommitted results are sent again."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest
from commitment_delivery import POLICY, TIMEOUT_S, deliverer, rows, states, take_report, work
from committing import CommittingPacs, report, report_over, reporting, requested
from pydicom import Dataset
from pydicom.uid import SegmentationStorage
from pynetdicom.association import Association
from road import Road

from dicom_io.network.commitment import CommitmentReport
from dicom_io.network.scp import AllowedSender, Listener
from node.demo.studies import DemoStudy
from node.operations.retry import retry_study
from node.store.states import DeliveryState

pytestmark = pytest.mark.slow


def test_commitment_of_sent_results_is_requested_once_and_awaited(road: Road, pacs: CommittingPacs) -> None:
    delivering = deliverer(road, pacs)
    work(delivering)
    work(delivering)
    (request,) = pacs.asked
    assert requested(request) == pacs.stored
    assert states(road) == [DeliveryState.UNCOMMITTED] * 5
    assert take_report(delivering, request)
    assert states(road) == [DeliveryState.COMMITTED] * 5


def test_a_report_received_before_the_response_to_its_request_is_applied(road: Road, pacs: CommittingPacs) -> None:
    answers: list[int] = []

    def at_request(association: Association, request: Dataset) -> None:
        answers.append(report_over(association, report(request.TransactionUID, requested(request))))

    pacs.at_request = at_request
    work(deliverer(road, pacs))
    assert answers == [0x0000]
    assert states(road) == [DeliveryState.COMMITTED] * 5


def test_a_report_over_an_association_of_the_peer_commits_the_results(road: Road, pacs: CommittingPacs) -> None:
    delivering = deliverer(road, pacs)
    work(delivering)
    assert delivering.commitment is not None
    allowed = [AllowedSender("PACS", "127.0.0.1", stores=False)]
    listener = Listener(
        "NODE", "127.0.0.1", 0, allowed, road.receiving.incoming, road.receiving, hear=delivering.commitment.take_report
    )
    listener.start()
    try:
        with reporting(listener.port) as association:
            request = pacs.asked[0]
            answered = report(request.TransactionUID, requested(request))
            assert [report_over(association, answered), report_over(association, answered)] == [0x0000, 0x0000]
            assert report_over(association, report("2.25.99", requested(request))) == 0x0115
    finally:
        listener.stop(grace_s=1)
    assert states(road) == [DeliveryState.COMMITTED] * 5


def test_uncommitted_results_are_sent_again_and_the_reason_is_reported(road: Road, pacs: CommittingPacs) -> None:
    delivering = deliverer(road, pacs)
    work(delivering)
    take_report(delivering, pacs.asked[0], {pacs.stored[0]: 0x0112})
    assert states(road) == [DeliveryState.WAITING] + [DeliveryState.COMMITTED] * 4
    assert road.deliveries()[0].error == "not committed: reason 0x0112 (it does not have the instance)"
    assert road.deliveries()[0].next_at == road.clock() + POLICY.first_s
    road.clock.seconds += POLICY.first_s
    work(delivering)
    assert pacs.stored[5:] == pacs.stored[:1]
    assert requested(pacs.asked[1]) == pacs.stored[:1]
    assert pacs.asked[1].TransactionUID != pacs.asked[0].TransactionUID
    take_report(delivering, pacs.asked[1])
    assert states(road) == [DeliveryState.COMMITTED] * 5
    assert road.deliveries()[0].error == ""


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (0x0110, "processing failure"),
        (0x0119, "it has the instance under another SOP class"),
        (0x0122, "SOP class not supported"),
        (0x0213, "out of resources"),
        (0x0999, "failure"),
    ],
)
def test_every_failure_reason_has_a_sentence(road: Road, pacs: CommittingPacs, reason: int, words: str) -> None:
    delivering = deliverer(road, pacs)
    work(delivering)
    take_report(delivering, pacs.asked[0], dict.fromkeys(pacs.stored, reason))
    assert {delivery.error for delivery in road.deliveries()} == {f"not committed: reason 0x{reason:04X} ({words})"}
    assert states(road) == [DeliveryState.WAITING] * 5


def test_a_transaction_uid_in_use_is_replaced_without_sending_results_again(road: Road, pacs: CommittingPacs) -> None:
    delivering = deliverer(road, pacs)
    work(delivering)
    take_report(delivering, pacs.asked[0], dict.fromkeys(pacs.stored, 0x0131))
    assert states(road) == [DeliveryState.UNCOMMITTED] * 5
    road.clock.seconds += 2 * POLICY.first_s
    work(delivering)
    assert len(pacs.stored) == 5
    assert [requested(request) for request in pacs.asked] == [pacs.stored, pacs.stored]
    assert len({request.TransactionUID for request in pacs.asked}) == 2


def test_a_repeated_or_late_report_changes_nothing(road: Road, pacs: CommittingPacs) -> None:
    delivering = deliverer(road, pacs)
    work(delivering)
    take_report(delivering, pacs.asked[0], {pacs.stored[0]: 0x0112})
    before = rows(road)
    assert take_report(delivering, pacs.asked[0], dict.fromkeys(pacs.stored, 0x0112)), "it is known all the same"
    assert take_report(delivering, pacs.asked[0])
    assert rows(road) == before


def test_a_report_commits_only_results_of_its_own_transaction(tmp_path: Path, mammogram_study: DemoStudy) -> None:
    road = Road(tmp_path, destinations=("asked", "other"))
    road.all_of_it(*mammogram_study.files)
    with CommittingPacs().listening() as pacs:
        asked, other = deliverer(road, pacs, "asked"), deliverer(road, pacs, "other")
        asked.deliver_due()
        other.deliver_due()
        before = rows(road)
        assert asked.commitment is not None
        assert not asked.commitment.take_report(CommitmentReport("2.25.99", frozenset(pacs.stored), {}))
        assert rows(road) == before
        asked.commitment.request_due()
        assert take_report(asked, pacs.asked[0])
        assert not take_report(other, pacs.asked[0]), "another destination's transaction"
    by_name = {delivery.destination: delivery.state for delivery in road.deliveries()}
    assert by_name == {"asked": DeliveryState.COMMITTED, "other": DeliveryState.UNCOMMITTED}


def test_results_without_a_commitment_report_in_time_are_sent_again(road: Road, pacs: CommittingPacs) -> None:
    delivering = deliverer(road, pacs)
    work(delivering)
    take_report(delivering, pacs.asked[0], without=1)
    assert states(road) == [DeliveryState.UNCOMMITTED] + [DeliveryState.COMMITTED] * 4, "the answer leaves one out"
    road.clock.seconds += TIMEOUT_S - 1
    work(delivering)
    assert states(road)[0] is DeliveryState.UNCOMMITTED
    road.clock.seconds += 1
    work(delivering)
    assert states(road)[0] is DeliveryState.WAITING
    assert road.deliveries()[0].error == "not committed: no answer within 3600 s"
    road.clock.seconds += POLICY.first_s
    work(delivering)
    assert pacs.stored[5:] == pacs.stored[:1]


def test_results_that_are_never_committed_become_dead_until_a_person_retries(road: Road, pacs: CommittingPacs) -> None:
    delivering = deliverer(road, pacs)
    work(delivering)
    road.clock.seconds += POLICY.dead_after_s
    work(delivering)
    assert states(road) == [DeliveryState.DEAD] * 5
    with road.sessions.begin() as session:
        retry_study(session, road.study().id, road.clock())
    work(delivering)
    take_report(delivering, pacs.asked[1])
    assert states(road) == [DeliveryState.COMMITTED] * 5


def test_results_at_a_destination_without_commitment_stay_sent_and_the_cure_is_reported_once(
    road: Road, caplog: pytest.LogCaptureFixture
) -> None:
    pacs = CommittingPacs()
    pacs.commits = False
    with pacs.listening():
        delivering = deliverer(road, pacs)
        work(delivering)
        road.clock.seconds += POLICY.dead_after_s
        work(delivering)
    assert states(road) == [DeliveryState.SENT] * 5
    assert len(pacs.stored) == 5, "what it has it is not sent again"
    (error,) = {delivery.error for delivery in road.deliveries()}
    assert error.startswith("stored, but the destination does not commit (")
    assert "set commitment = false" in error
    assert len([line for line in caplog.messages if "does not commit" in line]) == 1


def test_results_that_a_destination_does_not_accept_are_reported_and_the_others_are_sent(road: Road) -> None:
    pacs = CommittingPacs()
    pacs.storage = [SegmentationStorage]
    with pacs.listening():
        deliverer(road, pacs, commits=False).deliver_due()
    assert states(road) == [DeliveryState.SENT] * 4 + [DeliveryState.DEAD]
    assert "does not accept Comprehensive 3D SR Storage" in road.deliveries()[-1].error


def test_a_destination_that_accepts_nothing_is_reported_until_a_person_retries(road: Road) -> None:
    pacs = CommittingPacs()
    pacs.storage = []
    with pacs.listening():
        deliverer(road, pacs, commits=False).deliver_due()
    assert states(road) == [DeliveryState.DEAD] * 5
    pacs.storage = CommittingPacs().storage
    with road.sessions.begin() as session:
        retry_study(session, road.study().id, road.clock())
    with pacs.listening():
        deliverer(road, pacs, commits=False).deliver_due()
    assert states(road) == [DeliveryState.SENT] * 5


def test_commitment_is_requested_once_for_what_is_sent_in_several_rounds(
    road: Road, pacs: CommittingPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request takes a second, or its time-out: an urgent study would wait for one after every few objects."""
    monkeypatch.setattr("node.delivery.deliverer.AT_ONCE", 2)
    stop = Event()
    pacs.at_request = lambda *_: stop.set()
    deliverer(road, pacs).run(stop)
    assert [len(requested(request)) for request in pacs.asked] == [5]


def test_commitment_is_requested_while_sending_goes_on_once_a_request_is_full(
    road: Road, pacs: CommittingPacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.delivery.deliverer.AT_ONCE", 1)
    monkeypatch.setattr("node.delivery.deliverer.MOST_IN_ONE_REQUEST", 2)
    stop = Event()
    pacs.at_request = lambda *_: stop.set() if len(pacs.asked) == 3 else None
    deliverer(road, pacs).run(stop)
    assert [len(requested(request)) for request in pacs.asked] == [2, 2, 1]
