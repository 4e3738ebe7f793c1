"""The audit trail says what came from whom, and what was sent to whom, with patient and study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from audit_messages import assert_events_valid, entered
from pydicom import dcmread
from road import Road, changed
from storage_scp import StorageScp

from dicom_io.audit.codes import BEGIN_TRANSFERRING, EXPORT, INSTANCES_TRANSFERRED
from dicom_io.audit.message import Action, AuditMessage, Outcome, together
from dicom_io.network.peer import Peer
from dicom_io.network.scu import CStoreDestination
from dicom_io.results.outputs import contents_of
from dicom_io.results.profiles import PROFILES
from node.audit.events import Recipient
from node.delivery.backoff import RetryPolicy
from node.delivery.deliverer import Deliverer
from node.demo.studies import DemoStudy

pytestmark = pytest.mark.slow

POLICY = RetryPolicy(first_s=30, ceiling_s=3600, dead_after_s=7200)
PACS = Recipient("PACS", "127.0.0.1", "NODE")


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path)


def deliverer(road: Road, port: int, to: Recipient = PACS) -> Deliverer:
    destination = CStoreDestination(Peer("PACS", "127.0.0.1", port, 10, "NODE"), contents_of(PROFILES["ohif"]))
    return Deliverer("pacs", destination, POLICY, road.sessions, road.data_dir, road.clock, recipient=to)


def ids(messages: Sequence[AuditMessage]) -> set[tuple[str, ...]]:
    return {tuple(audited.id for audited in message.objects) for message in messages}


def test_each_image_that_came_is_named_with_its_sender_study_and_patient(
    road: Road, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    header = dcmread(mammogram_study.files[0], stop_before_pixels=True)
    road.receive(*mammogram_study.files)
    came = entered(road.sessions)
    assert [(message.event, message.action) for message in came] == [(INSTANCES_TRANSFERRED, Action.CREATE)] * 4
    assert ids(came) == {(header.StudyInstanceUID, header.PatientID)}
    sender, node = came[0].participants
    assert (sender.user, sender.alternative, sender.address) == ("PACS", "AETITLES=PACS", "127.0.0.1")
    assert (sender.is_requestor, node.is_requestor, node.name) == (True, False, "mammo-node")
    assert together(came).objects[0].sop_classes == ((header.SOPClassUID, 4),)
    assert_events_valid(road.sessions, tmp_path)


def test_what_comes_again_is_told_from_what_is_new_and_from_what_contradicts(
    road: Road, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    first = mammogram_study.files[0]
    other_pixels = dcmread(first)
    other_pixels.PixelData = bytes(len(other_pixels.PixelData))
    road.receive(first, first, changed(first, PatientName="Another^Name"), other_pixels)
    assert [(message.action, message.outcome) for message in entered(road.sessions)] == [
        (Action.CREATE, Outcome.SUCCESS),
        (Action.READ, Outcome.SUCCESS),
        (Action.UPDATE, Outcome.SUCCESS),
        (Action.CREATE, Outcome.SERIOUS),
    ]
    assert "set aside" in entered(road.sessions)[-1].why
    assert_events_valid(road.sessions, tmp_path)


def test_what_is_refused_has_no_event_that_it_came(road: Road, mammogram_study: DemoStudy) -> None:
    damaged = dcmread(mammogram_study.files[0])
    del damaged.PixelData
    (answer,) = road.receive(damaged)
    assert int(answer.status) != 0
    assert entered(road.sessions) == []


def test_what_is_sent_is_named_before_and_after_with_its_recipient(
    road: Road, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    road.all_of_it(*mammogram_study.files)
    before = len(entered(road.sessions))
    with StorageScp().listening() as pacs:
        deliverer(road, pacs.port).deliver_due()
    begun, *sent = entered(road.sessions)[before:]
    assert (begun.event, [message.event for message in sent]) == (BEGIN_TRANSFERRING, [INSTANCES_TRANSFERRED] * 5)
    assert begun.objects == together(sent).objects
    assert [participant.user for participant in begun.participants][1:] == ["PACS"]
    assert ids(sent) == {(road.study().study_instance_uid, road.instances()[0].patient_id)}
    assert_events_valid(road.sessions, tmp_path)


def test_what_could_not_be_sent_is_told_once_it_is_given_up(
    road: Road, mammogram_study: DemoStudy, closed_port: int
) -> None:
    road.all_of_it(*mammogram_study.files)
    delivering = deliverer(road, closed_port)
    delivering.deliver_due()
    assert INSTANCES_TRANSFERRED not in {message.event for message in entered(road.sessions)[4:]}
    road.clock.seconds += POLICY.dead_after_s
    delivering.deliver_due()
    given_up = [message for message in entered(road.sessions)[4:] if message.event == INSTANCES_TRANSFERRED]
    assert {message.outcome for message in given_up} == {Outcome.SERIOUS}
    assert len(given_up) == 5
    assert all(message.why for message in given_up)


def test_results_that_leave_dicom_are_an_export(road: Road, mammogram_study: DemoStudy, tmp_path: Path) -> None:
    road.all_of_it(*mammogram_study.files)
    with StorageScp().listening() as pacs:
        ehr = replace(PACS, name="ehr", address="https://ehr.example/fhir", calling="", exports=True)
        deliverer(road, pacs.port, ehr).deliver_due()
    exports = entered(road.sessions)[4:]
    assert {message.event for message in exports} == {EXPORT}
    assert exports[0].participants[1].address == "https://ehr.example/fhir"
    assert_events_valid(road.sessions, tmp_path)
