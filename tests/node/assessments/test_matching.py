"""A radiologist's assessment opens the study's next revision, whose report compares it with the models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from assessing import (
    ALGORITHM,
    LEFT,
    RIGHT,
    assessments,
    category_row,
    finding,
    item,
    oru,
    report_on,
    side_and_category,
)
from pydicom import Dataset
from road import Road, changed, texts
from telling import HERE, about, latest_report, tell

from dicom_io.network.answers import Status
from dicom_io.results.profiles import PROFILES
from models.types.birads import Category
from node.assessments.hl7.intake import Hl7Intake
from node.assessments.matching import NO_SUCH_STUDY, OTHER_PATIENT
from node.delivery.outbox import ResultDestination
from node.demo.studies import DemoStudy
from node.store.states import JobState, StudyState

pytestmark = pytest.mark.slow


def test_an_assessment_of_a_reported_study_gives_a_revision_that_names_its_predecessor(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(*mammogram_study.files)
    (first,) = road.results("SR")
    segs = len(road.results("SEG"))
    tell(intake, "Left breast: BI-RADS 2. Right breast: BI-RADS 4.", **about(image))
    assert (road.study().state, road.study().revision) == (StudyState.CLOSED, 2)
    assert road.study().why == "a radiologist's assessment has come"
    road.report()
    second = latest_report(road)
    named = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert named.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert "Left breast: the radiologist's BI-RADS category (by HL7): 2" in texts(second)
    assert "AI alone recalls" in texts(second)
    assert "radiologist alone recalls" in texts(second)
    assert len(road.results("SEG")) == segs
    assert road.study().why == ""


def test_agreement_is_reported(road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset) -> None:
    road.all_of_it(*mammogram_study.files)
    tell(intake, "Left breast: BI-RADS 5. Right breast: BI-RADS 1.", "Impression: BI-RADS 0", **about(image))
    road.report()
    lines = dict.fromkeys(texts(latest_report(road)).splitlines())  # the summary contains them first
    compared = [line for line in lines if "radiologist's BI-RADS category (by" in line]
    assert len(compared) == 3
    assert all("agree" in line for line in compared)


def test_an_sr_of_a_radiologist_is_referenced_and_a_second_copy_opens_no_revision(
    road: Road, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(*mammogram_study.files)
    sr = report_on(image, finding(Category.TWO, LEFT), finding(Category.ONE, RIGHT))
    road.receive(sr)
    road.report()
    assert (road.study().state, road.study().revision) == (StudyState.REPORTED, 2)
    assert sr.SOPInstanceUID in latest_report(road).to_json()
    road.receive(sr)
    road.report()
    assert road.study().revision == 2
    assert len(assessments(road)) == 2


def test_a_destination_of_discordant_results_also_gets_the_report_that_ends_the_disagreement(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    strict = ResultDestination("pacs", PROFILES["ohif"], only_discordant=True)
    road.reporter = replace(road.reporter, destinations=[strict])
    road.all_of_it(*mammogram_study.files)
    assert road.deliveries() == []
    sent = []
    for number, category in enumerate(("2", "5"), start=1):
        tell(intake, f"Left breast: BI-RADS {category}.", control_id=f"M{number}", **about(image))
        road.report()
        sent.append(len(road.deliveries()))
    assert "agree" in texts(latest_report(road))
    assert sent == [5, 6], "the segmentations and a report, then the report that agrees"


def test_after_an_sr_of_a_radiologist_only_the_report_and_the_page_are_sent_again(
    tmp_path: Path, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road = Road(tmp_path, profile="all")
    road.all_of_it(*mammogram_study.files)
    before = {(result.Modality, result.SOPInstanceUID) for result in road.results()}
    road.receive(report_on(image, finding(Category.TWO, LEFT)))
    road.report()
    new = {(result.Modality, result.SOPInstanceUID) for result in road.results()} - before
    assert {modality for modality, _ in new} == {"SR", "OT"}
    assert len(new) == 2
    assert ("SR", latest_report(road).SOPInstanceUID) in new


def test_a_corrected_sr_replaces_its_earlier_version(road: Road, mammogram_study: DemoStudy, image: Dataset) -> None:
    road.all_of_it(*mammogram_study.files)
    sr = report_on(image, finding(Category.TWO, LEFT), finding(Category.ONE, RIGHT))
    road.receive(sr)
    road.report()
    road.receive(report_on(image, finding(Category.FIVE, LEFT), SOPInstanceUID=sr.SOPInstanceUID))
    road.report()
    assert road.study().revision == 3
    assert side_and_category(assessments(road)) == [("L", "5")]


def test_a_large_sr_is_read_completely(road: Road, mammogram_study: DemoStudy, image: Dataset) -> None:
    road.all_of_it(*mammogram_study.files)
    road.receive(report_on(image, *(finding(Category.TWO, LEFT) for _ in range(400)), finding(Category.FOUR, LEFT)))
    assert side_and_category(assessments(road)) == [("L", "4")]


def test_a_report_of_the_node_that_is_sent_back_is_no_assessment(road: Road, mammogram_study: DemoStudy) -> None:
    road.all_of_it(*mammogram_study.files)
    road.receive(*road.results())
    assert assessments(road) == []
    assert (road.study().state, road.study().revision) == (StudyState.REPORTED, 1)


def test_a_report_of_another_algorithm_is_kept_and_its_category_is_not_used(
    road: Road, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(*mammogram_study.files)
    foreign = report_on(image, finding(Category.FIVE, LEFT, item(ALGORITHM, "Another AI")))
    (answer,) = road.receive(foreign)
    assert answer.status == Status.SUCCESS
    assert assessments(road) == []
    kept = road.instances()[-1]
    assert (road.data_dir / kept.path).is_file()
    assert "or an algorithm" in (kept.refusal or "")
    assert road.study().revision == 1
    road.receive(changed(mammogram_study.files[0], SOPInstanceUID="1.2.3.99"))  # opens the next revision
    road.read()
    road.close()
    road.report()
    assert "algorithm" not in texts(latest_report(road))


def test_an_assessment_by_any_route_waits_for_its_study(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.receive(report_on(image, finding(Category.FOUR, LEFT)))
    tell(intake, "BI-RADS 2 right", **about(image))
    assert [assessment.why for assessment in assessments(road)] == [NO_SUCH_STUDY, NO_SUCH_STUDY]
    road.close()
    assert road.study().state is StudyState.NOT_READ
    road.all_of_it(*mammogram_study.files)
    assert [assessment.study_id for assessment in assessments(road)] == [1, 1]
    assert (road.study().state, road.study().revision) == (StudyState.REPORTED, 1)
    assert "the radiologist's BI-RADS category (by SR): 4" in texts(latest_report(road))


def said_in_the_report(road: Road) -> list[str]:
    """ "Left breast 5": the radiologist's categories in the latest report."""
    road.report()
    sentences = dict.fromkeys(texts(latest_report(road)).splitlines())  # the summary contains them first
    lines = [line for line in sentences if "radiologist's BI-RADS category (by" in line]
    return [line.split(":")[0].strip() + " " + line.split("): ")[1].split(";")[0].strip() for line in lines]


def test_a_corrected_result_replaces_the_earlier_result_of_its_order(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(*mammogram_study.files)
    wrong = oru(category_row("5", "L"), control_id="M1", **about(image))
    assert b"MSA|AA" in intake.answer(wrong, HERE)
    assert said_in_the_report(road) == ["Left breast 5"]
    tell(intake, category_row("5", "R", status="C"), control_id="M2", **about(image))
    assert said_in_the_report(road) == ["Right breast 5"]
    intake.answer(wrong, HERE)  # sent again, late
    assert said_in_the_report(road) == ["Right breast 5"]
    tell(intake, category_row("5", "L", status="C"), control_id="M3", **about(image))
    assert said_in_the_report(road) == ["Left breast 5"]


def test_a_result_corrected_to_another_study_no_longer_counts_for_the_first(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(*mammogram_study.files)
    tell(intake, category_row("5", "L"), control_id="M1", **about(image))
    assert said_in_the_report(road) == ["Left breast 5"]
    tell(intake, category_row("5", "L", status="C"), control_id="M2", study="1.2.78", patient="TWO")
    assert said_in_the_report(road) == []


def test_the_later_of_the_categories_of_exam_and_breasts_counts(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(*mammogram_study.files)
    for number, (result, expected) in enumerate(
        (
            ("BI-RADS 0", ["Exam 0"]),
            ("Left breast: BI-RADS 2. Right breast: BI-RADS 1.", ["Left breast 2", "Right breast 1"]),
            ("BI-RADS 4", ["Exam 4"]),
        )
    ):
        order = _reported_at(f"2026030{number + 1}110000").replace("|P1|", f"|P{number}|")
        tell(intake, result, control_id=f"M{number}", obr=order, **about(image))
        assert said_in_the_report(road) == expected


def test_a_report_replaces_its_predecessor(road: Road, mammogram_study: DemoStudy, image: Dataset) -> None:
    road.all_of_it(*mammogram_study.files)
    wrong = report_on(image, finding(Category.FIVE, LEFT))
    road.receive(wrong)
    assert said_in_the_report(road) == ["Left breast 5"]
    named, series, study = Dataset(), Dataset(), Dataset()
    named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID = wrong.SOPClassUID, wrong.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = wrong.SeriesInstanceUID, [named]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = wrong.StudyInstanceUID, [series]
    successor = {"PredecessorDocumentsSequence": [study], "ContentTime": "130000"}
    road.receive(report_on(image, finding(Category.FIVE, RIGHT), PreliminaryFlag="PRELIMINARY", **successor))
    assert said_in_the_report(road) == ["Left breast 5"]
    road.receive(report_on(image, finding(Category.FIVE, RIGHT), **successor))
    assert said_in_the_report(road) == ["Right breast 5"]


def test_the_first_report_of_an_open_study_contains_the_comparison(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.receive(*mammogram_study.files)
    tell(intake, "BI-RADS 2 left", **about(image))
    assert road.study().state is StudyState.OPEN
    road.read()
    road.close()
    road.report()
    assert road.study().revision == 1
    assert "AI alone recalls" in texts(latest_report(road))


def test_an_assessment_received_while_the_report_is_written_is_in_a_report(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    road.receive(*mammogram_study.files)
    road.read()
    road.close()
    store = road.reporter._store

    def after_the_assessment(*arguments: object) -> None:
        monkeypatch.undo()
        tell(intake, "BI-RADS 2 left", **about(image))
        store(*arguments)

    monkeypatch.setattr(type(road.reporter), "_store", lambda _, *arguments: after_the_assessment(*arguments))
    assert road.reporter.report_one()
    assert road.results() == []
    assert [job.state for job in road.jobs() if job.kind == "report"] == [JobState.CANCELLED, JobState.WAITING]
    road.report()
    assert (road.study().state, road.study().revision) == (StudyState.REPORTED, 1)
    assert "AI alone recalls" in texts(latest_report(road))


def test_the_same_category_again_opens_no_revision_and_another_one_does(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(*mammogram_study.files)
    for number, category in enumerate(("2", "2", "4A"), start=1):
        road.clock.seconds += 60
        tell(intake, f"BI-RADS {category} left", control_id=str(number), **about(image))
        road.report()
    assert road.study().revision == 3
    assert "BI-RADS category (by HL7): 4A" in texts(latest_report(road))


def test_the_later_assessment_counts_even_if_received_first(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(*mammogram_study.files)
    tell(intake, "BI-RADS 4 left", obr=_reported_at("20260302120000+0000"), **about(image))
    tell(intake, "BI-RADS 2 left", obr=_reported_at("20260301120000+0000"), control_id="M2", **about(image))
    road.report()
    assert road.study().revision == 2
    assert "BI-RADS category (by HL7): 4;" in texts(latest_report(road))


def _reported_at(moment: str) -> str:
    return f"OBR|1|P1||MAMMO||||||||||||||||||{moment}|||F|||||||7^Rita"


def test_both_breasts_of_a_message_give_a_single_revision(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(*mammogram_study.files)
    tell(intake, "BI-RADS 2 left. BI-RADS 1 right.", **about(image))
    assert [job.state for job in road.jobs() if job.kind == "report"] == [JobState.DONE, JobState.WAITING]


def test_a_study_in_quarantine_sends_nothing(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(*mammogram_study.files)
    road.receive(changed(mammogram_study.files[0], PatientID="ANOTHER", SOPInstanceUID="1.2.3.98"))
    assert road.study().state is StudyState.QUARANTINED
    tell(intake, "BI-RADS 2 left", **about(image))
    road.report()
    assert road.study().state is StudyState.QUARANTINED
    assert len(road.results("SR")) == 1
    assert [assessment.study_id for assessment in assessments(road)] == [1]


def test_a_report_of_another_patient_in_the_same_study_puts_it_into_quarantine(
    road: Road, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(*mammogram_study.files)
    road.receive(report_on(image, finding(Category.TWO, LEFT), PatientID="SOMEBODY-ELSE"))
    assert road.study().state is StudyState.QUARANTINED
    assert [assessment.why for assessment in assessments(road)] == [OTHER_PATIENT]


def test_no_log_names_the_patient(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        road.all_of_it(*mammogram_study.files)
        road.receive(report_on(image, finding(Category.TWO, LEFT)))
        tell(intake, "BI-RADS 2 left", accession="A7", patient="SOMEBODY-ELSE", study=image.StudyInstanceUID)
        road.report()
    secrets = (image.StudyInstanceUID, image.PatientID, "SOMEBODY-ELSE", "A7", "Rita")
    assert not [secret for secret in secrets if secret in caplog.text]
