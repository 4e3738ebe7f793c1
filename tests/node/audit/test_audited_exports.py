"""What enters by HL7 and tables, and what leaves in folders, has an event with its patients, valid by the schema."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from annotating import disc, segmentation
from assessing import oru
from audit_messages import assert_events_valid, entered
from pydicom import dcmread
from road import Road
from sqlalchemy import delete
from typer.testing import CliRunner

from config.hl7 import Hl7
from dicom_io.audit.codes import DESTINATION_MEDIA, EXPORT, PATIENT_RECORD
from dicom_io.audit.message import Action, AuditMessage
from node.assessments.hl7.intake import Hl7Intake
from node.cli.main import build
from node.demo.studies import DemoStudy
from node.store.tables import AuditEvent

pytestmark = pytest.mark.slow


@pytest.fixture
def road(tmp_path: Path, mammogram_study: DemoStudy) -> Road:
    """A reported study, of whose first image an expert has drawn a mass."""
    road = Road(tmp_path / "data")
    road.all_of_it(*mammogram_study.files)
    image = dcmread(mammogram_study.files[0])
    road.receive(segmentation({"mass": disc((image.Rows, image.Columns), 60, 60, 15)}, image))
    return road


def events_of(road: Road, act: Callable[[], object]) -> list[AuditMessage]:
    """The events that something enters."""
    with road.sessions.begin() as session:
        session.execute(delete(AuditEvent))
    act()
    return entered(road.sessions)


def command(road: Road, *arguments: object) -> None:
    config = road.data_dir.parent / "node.toml"
    config.write_text(f'data_dir = "{road.data_dir}"\n')
    ran = CliRunner().invoke(build(), [*map(str, arguments), "--config", str(config)])
    assert ran.exit_code == 0, ran.output + str(ran.exception)


def hl7(road: Road, *blocks: bytes) -> Callable[[], object]:
    intake = Hl7Intake(road.sessions, road.data_dir, Hl7(), road.clock)
    return lambda: [intake.answer(block, "127.0.0.1") for block in blocks]


def test_the_categories_of_an_hl7_message_are_an_event_of_their_patient_and_their_sender(
    road: Road, tmp_path: Path
) -> None:
    message = oru("BI-RADS 4 left. BI-RADS 2 right.", patient="P7", control_id="M42")
    (event,) = events_of(road, hl7(road, message))
    assert (event.event, event.action) == (PATIENT_RECORD, Action.UPDATE)
    sender, node = event.participants
    assert (sender.user, sender.address, sender.is_requestor) == ("HOSPITAL|RIS", "127.0.0.1", True)
    assert node.name == "mammo-node"
    assert [(about.id, about.details) for about in event.objects] == [("P7", (("MSH-10", "M42"),))]
    assert_events_valid(road.sessions, tmp_path)


def test_a_message_without_a_patients_id_is_an_event_of_the_patient_of_its_study(road: Road, tmp_path: Path) -> None:
    study, patient = road.study().study_instance_uid, road.instances()[0].patient_id
    (event,) = events_of(road, hl7(road, oru("BI-RADS 4 left", study=study, patient="")))
    assert [about.id for about in event.objects] == [patient]
    assert_events_valid(road.sessions, tmp_path)


@pytest.mark.parametrize("text", ["fine", "BI-RADS 4 left|preliminary"])
def test_a_message_that_enters_no_category_has_no_event(road: Road, text: str) -> None:
    words, _, preliminary = text.partition("|")
    row = f"TX|1||{words}||||||{'P' if preliminary else 'F'}"
    assert events_of(road, hl7(road, oru(row))) == []


def test_a_message_that_comes_again_is_one_event(road: Road) -> None:
    block = oru("BI-RADS 4 left")
    assert len(events_of(road, hl7(road, block, block))) == 1


def test_the_categories_of_a_table_are_an_event_of_each_patient_and_who_imported_them(
    road: Road, tmp_path: Path
) -> None:
    table = tmp_path / "birads.csv"
    table.write_text(
        "study_instance_uid,accession_number,patient_id,laterality,category,assessed_at\n"
        "1.2.3,,ONE,L,4,\n1.2.3,,ONE,R,2,\n1.2.4,,TWO,L,2,\n"
    )
    events = events_of(road, lambda: command(road, "birads", "import", table))
    assert [(event.event, [about.id for about in event.objects]) for event in events] == [
        (PATIENT_RECORD, ["ONE"]),
        (PATIENT_RECORD, ["TWO"]),
    ]
    assert {event.participants[0].alternative for event in events} == {"the command line"}
    assert_events_valid(road.sessions, tmp_path)


EXPORTS = {
    "without identity": ("export", "--deidentify"),
    "with identity": ("annotations", "export", "--out"),
    "as pictures": ("annotations", "export", "--as", "coco", "--out"),
}


@pytest.mark.parametrize("what", EXPORTS)
def test_studies_that_leave_in_a_folder_are_an_export_with_their_patients_and_the_place(
    road: Road, tmp_path: Path, what: str
) -> None:
    out = tmp_path / "out"
    (event,) = events_of(road, lambda: command(road, *EXPORTS[what], out))
    assert (event.event, event.action) == (EXPORT, Action.READ)
    person, _, media = event.participants
    assert person.alternative == "the command line"
    assert (media.user, media.roles) == (out.as_uri(), (DESTINATION_MEDIA,))
    assert [about.id for about in event.objects] == [road.study().study_instance_uid, road.instances()[0].patient_id]
    assert_events_valid(road.sessions, tmp_path)
