"""Objects that a revision replaces or drops are rejected at their destinations once their successors are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from orthanc import debian_orthanc
from pydicom import Dataset
from pydicom.uid import generate_uid
from readings import DEVICE
from road import Road, changed
from simple_models import BUNDLE
from sqlalchemy import select
from storage_scp import StorageScp

from config.peers import DicomDestination
from dicom_io.network.peer import Peer
from dicom_io.network.scu import CStoreDestination
from dicom_io.results.outputs import OUTPUTS, contents_of
from dicom_io.results.profiles import PROFILES, ResultKind
from node.delivery.backoff import RetryPolicy
from node.delivery.deliverer import Deliverer
from node.delivery.outbox import ResultDestination
from node.delivery.rejection import RejectionWriter
from node.demo.studies import DemoStudy
from node.store.states import DeliveryState
from node.store.tables import Delivery, Result

pytestmark = pytest.mark.slow

POLICY = RetryPolicy(first_s=30, ceiling_s=3600, dead_after_s=72 * 3600)


@pytest.fixture
def pacs() -> Iterator[StorageScp]:
    with StorageScp().listening() as pacs:
        yield pacs


@pytest.fixture
def road(tmp_path: Path, mammogram_study: DemoStudy, pacs: StorageScp) -> Road:
    """A study that was reported to a PACS: four SEGs and an SR."""
    road = Road(tmp_path)
    road.all_of_it(*mammogram_study.files)
    deliver(road, pacs)
    assert len(pacs.stored) == 5
    return road


def notes_at(pacs: StorageScp) -> list[Dataset]:
    return [entry for entry in pacs.stored if entry.Modality == "KO" and "Rejected" in entry.SeriesDescription]


def deliver(road: Road, pacs: StorageScp) -> None:
    contents = contents_of(PROFILES["ohif"], rejection_notes=True)
    destination = CStoreDestination(Peer("PACS", "127.0.0.1", pacs.port, 60, "NODE"), contents)
    deliverer = Deliverer("pacs", destination, POLICY, road.sessions, road.data_dir, road.clock)
    deliverer.deliver_due()
    deliverer.transport.close()


def reject(road: Road, *, commits: bool = False) -> int:
    destination = ResultDestination("pacs", PROFILES["ohif"], rejection_notes=True)
    return RejectionWriter(destination, commits, road.sessions, road.data_dir, DEVICE, BUNDLE, road.clock).write_notes()


def turned_around(study: DemoStudy) -> Dataset:
    """The study's last image, with the other breast in its header: no other image is called otherwise for that."""
    image = changed(study.files[-1])
    image.ImageLaterality = "R" if image.ImageLaterality == "L" else "L"
    return image


def rejected(note: Dataset) -> set[str]:
    return {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in note.ContentSequence
        if "ReferencedSOPSequence" in item
    }


def title(note: Dataset) -> str:
    return str(note.ConceptNameCodeSequence[0].CodeValue)


def test_only_destinations_with_that_setting_get_rejection_notes() -> None:
    destination = DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104)
    assert destination.rejection_notes is False
    key_objects = OUTPUTS[ResultKind.REJECTION].content
    assert key_objects not in contents_of(PROFILES["ohif"])
    assert key_objects in contents_of(PROFILES["ohif"], rejection_notes=True)
    assert contents_of(PROFILES["all"], rejection_notes=True) == contents_of(PROFILES["all"])


def test_a_first_report_rejects_nothing(road: Road) -> None:
    assert reject(road) == 0


def test_a_replaced_report_is_rejected_once_and_only_after_its_successor_was_delivered(
    road: Road, pacs: StorageScp, mammogram_study: DemoStudy
) -> None:
    first = str(road.results("SR")[0].SOPInstanceUID)
    road.all_of_it(changed(mammogram_study.files[0], SOPInstanceUID=generate_uid()))
    assert reject(road) == 0, "the new report waits yet"
    pacs.answer = lambda event: 0xA700 if event.dataset.Modality == "SR" else 0x0000
    deliver(road, pacs)
    assert reject(road) == 0, "the new SEG is there, the new report is not"
    pacs.answer = lambda _: 0x0000
    road.clock.seconds += 31
    deliver(road, pacs)
    assert reject(road) == 1
    assert reject(road) == 0
    deliver(road, pacs)
    (note,) = notes_at(pacs)
    assert pacs.stored[-1] is note
    assert (title(note), rejected(note)) == ("113001", {first})
    assert {delivery.state for delivery in road.deliveries()} == {DeliveryState.SENT}


def test_with_storage_commitment_a_replaced_report_is_rejected_only_after_its_successor_is_committed(
    road: Road, pacs: StorageScp, mammogram_study: DemoStudy
) -> None:
    road.all_of_it(changed(mammogram_study.files[0], SOPInstanceUID=generate_uid()))
    deliver(road, pacs)
    assert reject(road, commits=True) == 0
    with road.sessions.begin() as session:
        for delivery in session.scalars(select(Delivery).join(Delivery.result).where(Result.last_revision == 2)):
            delivery.state = DeliveryState.COMMITTED
    assert reject(road, commits=True) == 1


def test_objects_with_an_image_in_the_wrong_breast_are_rejected_for_patient_safety(
    road: Road, pacs: StorageScp, mammogram_study: DemoStudy
) -> None:
    segs, (report,) = road.results("SEG"), road.results("SR")
    image = turned_around(mammogram_study)
    about = {str(seg.SOPInstanceUID) for seg in segs if image.SOPInstanceUID in str(seg.ReferencedSeriesSequence)}
    road.all_of_it(image)
    deliver(road, pacs)
    assert reject(road) == 1
    deliver(road, pacs)
    (note,) = notes_at(pacs)
    assert title(note) == "113037"
    assert len(about) == 1
    assert rejected(note) == about | {str(report.SOPInstanceUID)}


def test_objects_of_a_wrong_patient_are_rejected_and_the_note_names_only_the_right_one(
    road: Road, pacs: StorageScp, mammogram_study: DemoStudy
) -> None:
    before = {str(result.SOPInstanceUID) for result in road.results()}
    wrong = str(road.results()[0].PatientName)
    road.receive(*(changed(file, PatientName="Right^Person") for file in mammogram_study.files))
    road.close()
    road.read()
    road.report()
    deliver(road, pacs)
    assert reject(road) == 1
    deliver(road, pacs)
    (note,) = notes_at(pacs)
    assert (title(note), rejected(note)) == ("113037", before)
    assert note.PatientName == "Right^Person"
    assert wrong not in str(note)


def test_an_object_that_was_never_sent_is_not_rejected(
    road: Road, pacs: StorageScp, mammogram_study: DemoStudy
) -> None:
    with road.sessions.begin() as session:
        report = session.scalars(select(Delivery).join(Delivery.result).where(Result.kind == "SR")).one()
        report.state = DeliveryState.DEAD
    road.all_of_it(changed(mammogram_study.files[0], SOPInstanceUID=generate_uid()))
    deliver(road, pacs)
    assert reject(road) == 0


def test_an_object_that_is_right_again_after_its_rejection_is_sent_under_another_uid(
    road: Road, pacs: StorageScp, mammogram_study: DemoStudy
) -> None:
    first = {str(seg.SOPInstanceUID) for seg in road.results("SEG", 1)}
    for image in (turned_around(mammogram_study), changed(mammogram_study.files[-1])):
        road.all_of_it(image)
        deliver(road, pacs)
        assert reject(road) == 1
        deliver(road, pacs)
    third = {str(seg.SOPInstanceUID) for seg in road.results("SEG", 3)}
    assert len(first & third) == 3, "what was never wrong stays"
    back = [uid for note in notes_at(pacs) for uid in rejected(note)]
    assert len(back) == len(set(back)) == 4, "a SEG and a report in each"
    assert not third & set(back)


def test_an_undelivered_rejection_note_is_kept_after_the_next_revision(
    road: Road, pacs: StorageScp, mammogram_study: DemoStudy
) -> None:
    road.all_of_it(changed(mammogram_study.files[0], SOPInstanceUID=generate_uid()))
    deliver(road, pacs)
    reject(road)
    road.all_of_it(turned_around(mammogram_study))  # keeps back unsent results of earlier revisions
    deliver(road, pacs)
    assert [title(note) for note in notes_at(pacs)] == ["113001"]


def test_orthanc_stores_a_rejection_note_as_a_key_object_selection_of_the_study(
    tmp_path: Path, mammogram_study: DemoStudy
) -> None:
    with debian_orthanc(tmp_path / "orthanc") as orthanc:
        road = Road(tmp_path / "node")
        contents = contents_of(PROFILES["ohif"], rejection_notes=True)
        destination = CStoreDestination(Peer("ORTHANC", "127.0.0.1", orthanc.dicom_port, 10, "NODE"), contents)
        deliverer = Deliverer("pacs", destination, POLICY, road.sessions, road.data_dir, road.clock)
        road.all_of_it(*mammogram_study.files)
        deliverer.deliver_due()
        road.all_of_it(turned_around(mammogram_study))
        deliverer.deliver_due()
        assert reject(road) == 1
        deliverer.deliver_due()
        destination.close()
        assert {delivery.state for delivery in road.deliveries()} == {DeliveryState.SENT}
        (note,) = road.results("REJECTION")
        query = {"Level": "Instance", "Expand": True, "Query": {"SOPInstanceUID": str(note.SOPInstanceUID)}}
        found: Any = orthanc.post("/tools/find", query)
        (kept,) = found
        tags: Any = orthanc.get(f"/instances/{kept['ID']}/simplified-tags")
        assert tags["SOPClassUID"] == "1.2.840.10008.5.1.4.1.1.88.59"
        assert tags["StudyInstanceUID"] == mammogram_study.study_instance_uid
        assert tags["ConceptNameCodeSequence"][0]["CodeValue"] == "113037"
