"""A result is delivered once its destination has committed to store it; uncommitted results are sent again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from committing import CommittingPacs, report, report_over, reporting, requested
from pydicom import Dataset
from pydicom.uid import SegmentationStorage
from pynetdicom.association import Association
from road import Road, changed

from config.peers import DicomDestination
from dicom_io.network.commitment import CommitmentReport
from dicom_io.network.peer import Peer
from dicom_io.network.scp import AllowedSender, Listener
from dicom_io.network.scu import CStoreDestination
from dicom_io.results.outputs import contents_of
from dicom_io.results.profiles import PROFILES
from node.delivery.backoff import RetryPolicy
from node.delivery.commitment import Commitment
from node.delivery.deliverer import Deliverer
from node.demo.studies import DemoStudy
from node.operations.retry import retry_study
from node.operations.status import view_queue
from node.peers import commitment_request
from node.store.states import DeliveryState
from node.store.tables import Delivery

pytestmark = pytest.mark.slow

POLICY = RetryPolicy(first_s=30, ceiling_s=3600, dead_after_s=72 * 3600)
TIMEOUT_S = 3600


@pytest.fixture
def road(tmp_path: Path, mammogram_study: DemoStudy) -> Road:
    """A reported study: four SEGs and an SR, due at one destination."""
    road = Road(tmp_path)
    road.all_of_it(*mammogram_study.files)
    return road


@pytest.fixture
def pacs() -> Iterator[CommittingPacs]:
    with CommittingPacs().listening() as listening:
        yield listening


def deliverer(road: Road, pacs: CommittingPacs, name: str = "pacs", commits: bool = True) -> Deliverer:
    """As the node makes it, except clock and transaction UIDs; a second one stands for a restarted node."""
    of = DicomDestination(name=name, ae_title="PACS", host="127.0.0.1", port=pacs.port, timeout_s=60)
    uids = (f"2.25.{number}" for number in count(len(pacs.asked) + 1))
    request = commitment_request(of, "NODE")
    commitment = Commitment(name, request, POLICY, TIMEOUT_S, road.sessions, road.clock, lambda: next(uids))
    destination = CStoreDestination(Peer("PACS", "127.0.0.1", pacs.port, 60, "NODE"), contents_of(PROFILES["ohif"]))
    return Deliverer(
        name, destination, POLICY, road.sessions, road.data_dir, road.clock, commitment if commits else None
    )


def work(deliverer: Deliverer) -> None:
    """What its thread does periodically."""
    deliverer.deliver_due()
    deliverer.transport.close()
    assert deliverer.commitment is not None
    deliverer.commitment.request_due()


def take_report(
    deliverer: Deliverer, request: Dataset, failed: dict[str, int] | None = None, *, without: int = 0
) -> bool:
    """The node hears that what was requested is committed, but for what `failed` and for the first `without`."""
    assert deliverer.commitment is not None
    kept = frozenset(requested(request)[without:]) - (failed or {}).keys()
    return deliverer.commitment.take_report(CommitmentReport(str(request.TransactionUID), kept, failed or {}))


def states(road: Road) -> list[DeliveryState]:
    return [delivery.state for delivery in road.deliveries()]


def rows(road: Road) -> list[tuple[object, ...]]:
    return [
        (delivery.state, delivery.attempts, delivery.next_at, delivery.error, delivery.transaction_uid)
        for delivery in road.deliveries()
    ]


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


def test_retry_requests_commitment_again_from_a_destination_that_supports_it_now(road: Road) -> None:
    pacs = CommittingPacs()
    pacs.commits = False
    with pacs.listening():
        work(deliverer(road, pacs))
    pacs.commits = True
    with road.sessions.begin() as session:
        retry_study(session, road.study().id, road.clock(), committing={"pacs"})
    with pacs.listening():
        delivering = deliverer(road, pacs)
        work(delivering)
        take_report(delivering, pacs.asked[0])
    assert states(road) == [DeliveryState.COMMITTED] * 5
    assert len(pacs.stored) == 5


def test_retry_requests_a_pending_commitment_at_once(road: Road, pacs: CommittingPacs) -> None:
    delivering = deliverer(road, pacs)
    pacs.action_status = 0x0213
    work(delivering)
    pacs.action_status = 0x0000
    with road.sessions.begin() as session:
        sentences = retry_study(session, road.study().id, road.clock(), committing={"pacs"})
    assert sentences == ["pacs will be asked again to commit to 5 results"]
    work(delivering)
    take_report(delivering, pacs.asked[1])
    assert states(road) == [DeliveryState.COMMITTED] * 5


def test_retry_requests_no_commitment_from_a_destination_without_that_setting(road: Road, pacs: CommittingPacs) -> None:
    deliverer(road, pacs, commits=False).deliver_due()
    before = rows(road)
    with road.sessions.begin() as session:
        assert retry_study(session, road.study().id, road.clock()) == []
    assert rows(road) == before


def test_a_node_killed_between_sending_and_requesting_requests_commitment_after_restart(
    road: Road, pacs: CommittingPacs
) -> None:
    deliverer(road, pacs).deliver_due()
    again = deliverer(road, pacs)
    work(again)
    (request,) = pacs.asked
    assert requested(request) == pacs.stored
    assert len(pacs.stored) == 5


class Killed(BaseException):
    """Ends the node at a place that the test chooses."""


def test_a_node_killed_before_its_request_was_sent_sends_and_requests_again(road: Road, pacs: CommittingPacs) -> None:
    def killed(*_: object) -> None:
        raise Killed

    delivering = deliverer(road, pacs)
    delivering.deliver_due()
    assert delivering.commitment is not None
    with pytest.raises(Killed):
        replace(delivering.commitment, request=killed).request_due()
    assert pacs.asked == []
    again = deliverer(road, pacs)
    road.clock.seconds += TIMEOUT_S
    work(again)
    road.clock.seconds += POLICY.first_s
    work(again)
    take_report(again, pacs.asked[0])
    assert states(road) == [DeliveryState.COMMITTED] * 5


def test_results_accepted_by_a_destination_without_commitment_are_complete(road: Road, pacs: CommittingPacs) -> None:
    delivering = deliverer(road, pacs, commits=False)
    delivering.deliver_due()
    road.clock.seconds += POLICY.dead_after_s
    with road.sessions() as session:
        assert view_queue(session, newest=0).studies == (), "settled"
    work(deliverer(road, pacs))
    assert pacs.asked == [], "what was sent before commitment was switched on is not asked for"
    assert states(road) == [DeliveryState.SENT] * 5


def test_uncommitted_results_that_a_later_revision_replaced_are_not_sent_again(
    road: Road, pacs: CommittingPacs, mammogram_study: DemoStudy
) -> None:
    delivering = deliverer(road, pacs)
    work(delivering)
    road.all_of_it(changed(mammogram_study.files[0], SOPInstanceUID="1.2.3.4.5.6.7.8"))
    first = next(delivery for delivery in road.deliveries() if _replaced(road, delivery))
    take_report(delivering, pacs.asked[0], {_uid(road, first): 0x0110})
    delivery_now = next(delivery for delivery in road.deliveries() if delivery.id == first.id)
    assert delivery_now.state is DeliveryState.DEAD
    assert delivery_now.error == "not committed: reason 0x0110 (processing failure); replaced by revision 2"


def _uid(road: Road, delivery: Delivery) -> str:
    with road.sessions() as session:
        return session.get_one(Delivery, delivery.id).result.sop_instance_uid


def _replaced(road: Road, delivery: Delivery) -> bool:
    with road.sessions() as session:
        result = session.get_one(Delivery, delivery.id).result
        return result.last_revision < result.study.revision


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
