"""Storage commitment after a retry by a person, a kill of the node, or a later revision."""

from __future__ import annotations

from dataclasses import replace

import pytest
from commitment_delivery import POLICY, TIMEOUT_S, deliverer, rows, states, take_report, work
from committing import CommittingPacs, requested
from road import Road, changed

from node.demo.studies import DemoStudy
from node.operations.retry import retry_study
from node.operations.studies import StudyFilter, find_studies
from node.store.states import DeliveryState
from node.store.tables import Delivery

pytestmark = pytest.mark.slow


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
        assert find_studies(session, StudyFilter(unfinished_or_newest=0)).studies == (), "settled"
    work(deliverer(road, pacs))
    assert pacs.asked == [], "what was sent before commitment was switched on is not asked for"
    assert states(road) == [DeliveryState.SENT] * 5


def test_uncommitted_results_that_a_later_revision_replaced_are_not_sent_again(
    road: Road, pacs: CommittingPacs, mammogram_study: DemoStudy
) -> None:
    delivering = deliverer(road, pacs)
    work(delivering)
    road.all_of_it(changed(mammogram_study.files[0], SOPInstanceUID="1.2.3.4.5.6.7.8"))
    first = next(delivery for delivery in road.deliveries() if is_replaced(road, delivery))
    take_report(delivering, pacs.asked[0], {uid_of(road, first): 0x0110})
    delivery_now = next(delivery for delivery in road.deliveries() if delivery.id == first.id)
    assert delivery_now.state is DeliveryState.DEAD
    assert delivery_now.error == "not committed: reason 0x0110 (processing failure); replaced by revision 2"


def uid_of(road: Road, delivery: Delivery) -> str:
    with road.sessions() as session:
        return session.get_one(Delivery, delivery.id).result.sop_instance_uid


def is_replaced(road: Road, delivery: Delivery) -> bool:
    with road.sessions() as session:
        result = session.get_one(Delivery, delivery.id).result
        return result.last_revision < result.study.revision
