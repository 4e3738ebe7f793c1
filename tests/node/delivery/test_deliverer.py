"""Results reach their destinations, or the reason is stored; a failing destination delays no other."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from pydicom import Dataset
from road import Road, changed
from running import eventually
from storage_scp import StorageScp

from dicom_io.network.peer import Peer
from dicom_io.network.scu import CStoreDestination
from dicom_io.results.outputs import contents_of
from dicom_io.results.profiles import PROFILES
from node.delivery.backoff import RetryPolicy
from node.delivery.deliverer import Deliverer
from node.demo.studies import DemoStudy
from node.operations.day import destination_words
from node.operations.retry import retry_study
from node.store.states import DeliveryState
from node.store.tables import Delivery

pytestmark = pytest.mark.slow

POLICY = RetryPolicy(first_s=30, ceiling_s=3600, dead_after_s=7200)


def deliverer(road: Road, port: int, timeout_s: float = 60, name: str = "pacs") -> Deliverer:
    destination = CStoreDestination(Peer("PACS", "127.0.0.1", port, timeout_s, "NODE"), contents_of(PROFILES["ohif"]))
    return Deliverer(name, destination, POLICY, road.sessions, road.data_dir, road.clock)


def states(road: Road) -> set[DeliveryState]:
    return {delivery.state for delivery in road.deliveries()}


def test_everything_due_is_sent_over_one_association_with_the_report_last(road: Road) -> None:
    with StorageScp().listening() as pacs:
        assert deliverer(road, pacs.port).deliver_due() == 5
    assert states(road) == {DeliveryState.SENT}
    assert pacs.associations == 1
    assert pacs.uids == [result.SOPInstanceUID for result in road.results()]
    assert road.results()[-1].Modality == "SR"


def test_a_sent_result_is_not_sent_again(road: Road) -> None:
    with StorageScp().listening() as pacs:
        delivering = deliverer(road, pacs.port)
        delivering.deliver_due()
        assert delivering.deliver_due() == 0
    assert len(pacs.stored) == 5


def test_an_unreachable_destination_is_tried_again_later_and_then_gets_everything(road: Road, closed_port: int) -> None:
    pacs = StorageScp()
    pacs.port = closed_port
    delivering = deliverer(road, pacs.port)
    assert delivering.deliver_due() == 1, "the others would meet the same silence"
    waiting = road.deliveries()
    assert all(delivery.error and delivery.next_at == road.clock() + 30 for delivery in waiting)
    assert delivering.deliver_due() == 0
    road.clock.seconds += 30
    with pacs.listening():
        assert delivering.deliver_due() == 5
    assert states(road) == {DeliveryState.SENT}


def test_a_refusal_is_reported_and_the_next_object_is_sent(road: Road) -> None:
    with StorageScp().listening() as pacs:
        pacs.answer = lambda _: 0xA700
        assert deliverer(road, pacs.port).deliver_due() == 5
    assert states(road) == {DeliveryState.WAITING}
    assert all("A700" in delivery.error.upper() for delivery in road.deliveries())


@pytest.mark.parametrize("answers", [True, False])
def test_a_destination_that_fails_is_one_line_of_the_log_for_each_try(
    road: Road, closed_port: int, caplog: pytest.LogCaptureFixture, answers: bool
) -> None:
    pacs = StorageScp()
    pacs.answer = lambda _: 0xA700
    if answers:
        with pacs.listening():
            deliverer(road, pacs.port).deliver_due()
    else:
        deliverer(road, closed_port).deliver_due()
    (line,) = [record.getMessage() for record in caplog.records if record.name == "node.delivery.deliverer"]
    assert line.startswith("5 deliveries to pacs: not sent: PACS at 127.0.0.1:")
    assert line.endswith("(will be tried again)")


def _answered(status: int, **elements: object) -> Dataset:
    answer = Dataset()
    answer.Status = status
    for keyword, value in elements.items():
        setattr(answer, keyword, value)
    return answer


def test_why_the_pacs_refuses_is_with_the_delivery_and_never_in_the_log_or_a_mail(
    road: Road, caplog: pytest.LogCaptureFixture
) -> None:
    with StorageScp().listening() as pacs:
        pacs.answer = lambda _: _answered(0xA900, ErrorComment="patient DOE^JANE is\x1b[31m not known here")
        deliverer(road, pacs.port).deliver_due()
    assert all(
        delivery.error.endswith("; its words: patient DOE^JANE is[31m not known here") for delivery in road.deliveries()
    )
    with road.sessions.begin() as session:
        (word,) = destination_words(session, ["pacs"], road.clock())
    assert "0xA900" in word.error
    assert "DOE" not in caplog.text + word.error


def test_a_result_that_was_stored_with_a_warning_is_sent_and_says_so(
    road: Road, caplog: pytest.LogCaptureFixture
) -> None:
    with StorageScp().listening() as pacs:
        pacs.answer = lambda _: _answered(0xB000, OffendingElement=[0x00080060, 0x00100010], ErrorComment="DOE^JANE")
        deliverer(road, pacs.port).deliver_due()
    assert states(road) == {DeliveryState.SENT}
    says = "stored with warning 0xB000 (it changed elements of the object: (0008,0060), (0010,0010))"
    assert {delivery.error for delivery in road.deliveries()} == {says}
    assert says in caplog.text
    assert "DOE" not in caplog.text


def test_a_result_refused_for_its_lifetime_is_dead_until_a_person_retries(road: Road) -> None:
    with StorageScp().listening() as pacs:
        pacs.answer = lambda _: 0xC000
        delivering = deliverer(road, pacs.port)
        road.clock.seconds += POLICY.dead_after_s
        delivering.deliver_due()
        assert states(road) == {DeliveryState.DEAD}
        assert delivering.deliver_due() == 0
        pacs.answer = lambda _: 0x0000
        with road.sessions.begin() as session:
            retry_study(session, road.study().id, road.clock())
        assert delivering.deliver_due() == 5
    assert states(road) == {DeliveryState.SENT}


def test_a_hanging_destination_does_not_delay_the_others(
    tmp_path: Path, mammogram_study: DemoStudy, silent_port: int
) -> None:
    road = Road(tmp_path, destinations=("hangs", "works"))
    road.all_of_it(*mammogram_study.files)
    stop = threading.Event()
    with StorageScp().listening() as pacs:
        loops = [
            deliverer(road, silent_port, timeout_s=2, name="hangs"),
            deliverer(road, pacs.port, name="works"),
        ]
        threads = [threading.Thread(target=loop.run, args=(stop,)) for loop in loops]
        for thread in threads:
            thread.start()
        eventually("the destination that works has everything", lambda: len(pacs.stored) == 5)
        eventually("the one that hangs is given up for now", lambda: _of(road, "hangs")[0].error)
        stop.set()
        for thread in threads:
            thread.join()
    assert {delivery.state for delivery in _of(road, "works")} == {DeliveryState.SENT}
    assert {delivery.state for delivery in _of(road, "hangs")} == {DeliveryState.WAITING}


def test_no_result_of_a_study_in_quarantine_is_sent_until_a_person_releases_it(
    road: Road, mammogram_study: DemoStudy
) -> None:
    road.receive(changed(mammogram_study.files[0], SOPInstanceUID="1.2.3", PatientID="SOMEBODY ELSE"))
    with StorageScp().listening() as pacs:
        assert deliverer(road, pacs.port).deliver_due() == 0
    assert pacs.stored == []


def _of(road: Road, destination: str) -> list[Delivery]:
    return [delivery for delivery in road.deliveries() if delivery.destination == destination]
