"""A radiologist's category that was withdrawn or corrected is not quoted any more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from assessing import FINDING, LEFT, assessments, category_row, finding, item, oru, report_on, text_row
from pydicom import Dataset
from road import Road, texts
from telling import HERE, about, latest_report
from typer.testing import CliRunner

from config.hl7 import Hl7
from models.types.birads import Category
from node.assessments.hl7.intake import Hl7Intake
from node.cli.main import build
from node.demo.studies import DemoStudy
from node.store.tables import AuditEvent

pytestmark = pytest.mark.slow

WITHDRAWN = "was withdrawn or corrected"


def answered(intake: Hl7Intake, message: bytes) -> str:
    return re.search(r"MSA\|(\w\w)", intake.answer(message, HERE).decode())[1]


def quoted(road: Road) -> list[str]:
    """What the latest report says of the radiologist's categories: "Left breast 4", or that they were withdrawn."""
    road.report()
    lines = list(dict.fromkeys(texts(latest_report(road)).splitlines()))
    found = [re.search(r"(.*): the radiologist's BI-RADS category \(by \w+\): (\w+);", line) for line in lines]
    withdrawn = ["withdrawn" for line in lines if WITHDRAWN in line]
    return [f"{each[1].strip()} {each[2]}" for each in found if each] + withdrawn


@pytest.fixture
def entered(road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset) -> Road:
    """A reported study with "BI-RADS 4" of the left breast, by HL7."""
    road.all_of_it(*mammogram_study.files)
    assert answered(intake, oru("Left breast: BI-RADS 4", control_id="M1", **about(image))) == "AA"
    assert quoted(road) == ["Left breast 4"]
    return road


@pytest.mark.parametrize(
    "rows",
    [
        [text_row("Addendum: the sides were interchanged. The finding is in the left breast.", "C")],
        [text_row("Wrong patient. Please disregard the report.", "C")],
        [text_row("Wrong patient. Please disregard the report.")],
        [text_row("The report is being revised.", "C")],
        [text_row("Addendum: BI-RADS 2 left", "C")],
        [text_row("Left breast: BI-RADS 4", "W")],
        [category_row("4", "L", status="D")],
        [text_row("No result.", "X")],
        [text_row("Left breast: perhaps BI-RADS 3 or 4.")],
        [],
    ],
)
def test_a_category_is_not_quoted_after_a_message_that_takes_it_back_or_cannot_be_understood(
    entered: Road, intake: Hl7Intake, image: Dataset, rows: list[str]
) -> None:
    order = {} if rows else {"obr": "OBR|1|P1||MAMMO^Mammography|||||||||||||||||||||X|||||||7^Rita"}
    message = oru(*rows, control_id="M2", **about(image), **order)
    assert answered(intake, message) == "AE"
    assert (entered.data_dir / "hl7-refused").exists()
    assert quoted(entered) == ["withdrawn"]
    assert entered.study().revision == 3
    assert answered(intake, message) == "AE", "sent again"
    assert quoted(entered) == ["withdrawn"]
    assert entered.study().revision == 3


def test_a_later_clear_message_is_entered_anew_and_old_messages_that_come_again_are_not(
    entered: Road, intake: Hl7Intake, image: Dataset
) -> None:
    first = oru("Left breast: BI-RADS 4", control_id="M1", **about(image))
    revoked = oru(text_row("Please disregard the report.", "C"), control_id="M2", **about(image))
    answered(intake, revoked)
    answered(intake, first)
    assert quoted(entered) == ["withdrawn"], "an interface engine repeats the first message"
    assert answered(intake, oru("Right breast: BI-RADS 4", control_id="M3", **about(image))) == "AA"
    assert quoted(entered) == ["Right breast 4"]
    answered(intake, revoked)
    assert quoted(entered) == ["Right breast 4"], "the correction that came before it is repeated"
    answered(intake, oru("Left breast: BI-RADS 4", control_id="M4", **about(image)))
    assert quoted(entered) == ["Left breast 4"], "the same content as the first message, in a new one"


def test_an_order_that_is_taken_back_and_another_that_states_a_category_may_be_one_message(
    entered: Road, intake: Hl7Intake, image: Dataset
) -> None:
    message = oru("Right breast: BI-RADS 2", control_id="M2", **about(image)).decode()
    second = "OBR|2|P9||ECHO^Ultrasound|||20260301110000||||||||||||||||||C|||||||7^Rita"
    second += "\rOBX|1|TX|1^Text^L||Axilla: nodes.||||||C"
    both = message.replace("\rZDS", f"\rZDS|{image.StudyInstanceUID}\r{second}\rZDS").encode()
    for _ in range(2):
        assert answered(intake, both) == "AA"
        assert quoted(entered) == ["Right breast 2"]


def test_messages_about_other_studies_and_refused_senders_withdraw_nothing(
    entered: Road, intake: Hl7Intake, image: Dataset
) -> None:
    elsewhere = {"study": "1.2.99", "accession": "B7", "obr": "OBR|1|P77|B7|MAMMO|||||||||||||||||||||C|||||||7^Rita"}
    assert answered(intake, oru(text_row("Please disregard the report.", "C"), control_id="M2", **elsewhere)) == "AA"
    assert answered(intake, oru(text_row("Perhaps BI-RADS 3."), control_id="M3", **elsewhere)) == "AE"
    revoked = oru(text_row("Please disregard the report.", "C"), control_id="M4", **about(image))
    assert b"MSA|AR" in intake.answer(revoked, "192.0.2.1")
    assert answered(intake, oru(text_row("Wait for it.", "P"), control_id="M5", **about(image))) == "AA"
    assert quoted(entered) == ["Left breast 4"]


def test_a_category_that_is_withdrawn_before_its_images_come_is_in_no_report(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    answered(intake, oru("Left breast: BI-RADS 4", control_id="M1", **about(image)))
    assert answered(intake, oru(text_row("Wrong patient.", "C"), control_id="M2", **about(image))) == "AE"
    road.all_of_it(*mammogram_study.files)
    assert quoted(road) == ["withdrawn"]


def test_a_structured_report_that_replaces_another_without_a_category_withdraws_it(
    road: Road, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(*mammogram_study.files)
    first = report_on(image, finding(Category.FIVE, LEFT))
    road.receive(first)
    assert quoted(road) == ["Left breast 5"]
    named, series, study = Dataset(), Dataset(), Dataset()
    named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID = first.SOPClassUID, first.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = first.SeriesInstanceUID, [named]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = first.StudyInstanceUID, [series]
    road.receive(report_on(image, item(FINDING, "Wrong patient."), PredecessorDocumentsSequence=[study]))
    assert quoted(road) == ["withdrawn"]
    road.receive(first)
    assert quoted(road) == ["withdrawn"], "the first one again"


def test_a_person_withdraws_the_categories_of_a_study_by_a_command(
    entered: Road, intake: Hl7Intake, image: Dataset, tmp_path: Path
) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{entered.data_dir}"\n')
    command = ["birads", "withdraw", "1", "--config", str(config)]
    ran = CliRunner().invoke(build(), command)
    assert (ran.exit_code, ran.stdout) == (0, "study 1: 1 assessment withdrawn\n")
    assert quoted(entered) == ["withdrawn"]
    assert CliRunner().invoke(build(), command).stdout == "study 1: 0 assessments withdrawn\n"
    listed = CliRunner().invoke(build(), ["birads", "list", "--config", str(config)]).stdout
    assert "(withdrawn or corrected)" in listed
    with entered.sessions() as session:
        assert "CATEGORIES_WITHDRAWN" in "".join(str(event.message) for event in session.query(AuditEvent))
    answered(intake, oru("Right breast: BI-RADS 2", control_id="M5", **about(image)))
    assert quoted(entered) == ["Right breast 2"]
    assert len(assessments(entered)) == 2


def test_a_category_is_withdrawn_and_entered_anew_in_either_database(
    tmp_path: Path, queue_url: str, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road = Road(tmp_path / "data", database_url=queue_url)
    intake = Hl7Intake(road.sessions, road.data_dir, Hl7(), road.clock)
    road.all_of_it(*mammogram_study.files)
    answers = [
        answered(intake, oru("Left breast: BI-RADS 4", control_id="M1", **about(image))),
        answered(intake, oru(text_row("Please disregard the report.", "C"), control_id="M2", **about(image))),
    ]
    assert (answers, quoted(road)) == (["AA", "AE"], ["withdrawn"])
    assert answered(intake, oru("Left breast: BI-RADS 3", control_id="M3", **about(image))) == "AA"
    assert quoted(road) == ["Left breast 3"]
