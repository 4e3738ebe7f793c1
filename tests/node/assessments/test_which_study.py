"""An assessment finds its study by UID or accession number, and never another patient's."""

from __future__ import annotations

import pytest
from assessing import LEFT, assessments, finding, report_on
from pydicom import Dataset
from road import Road, changed, texts
from telling import about, latest_report, tell

from models.types.birads import Category
from node.assessments.hl7.intake import Hl7Intake
from node.assessments.matching import AMBIGUOUS, NO_SUCH_ACCESSION, NO_SUCH_STUDY, OTHER_PATIENT, TWO_STUDIES
from node.demo.studies import DemoStudy

pytestmark = pytest.mark.slow


def _with_accession(mammogram_study: DemoStudy, accession: str, place: int = 0, **changes: object) -> Dataset:
    return changed(mammogram_study.files[place], AccessionNumber=accession, **changes)


def test_without_a_study_uid_the_accession_number_matches(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    tell(intake, "BI-RADS 2", study="", accession="A7", patient=image.PatientID)
    assert [assessment.why for assessment in assessments(road)] == [NO_SUCH_ACCESSION]
    road.receive(_with_accession(mammogram_study, "A7"))
    assert [(assessment.study_id, assessment.why) for assessment in assessments(road)] == [(1, "")]


def test_an_accession_number_of_two_studies_matches_neither(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.receive(_with_accession(mammogram_study, "A7"))
    road.receive(_with_accession(mammogram_study, "A7", 1, StudyInstanceUID="1.2.77", SOPInstanceUID="1.2.77.1"))
    tell(intake, "BI-RADS 2", study="", accession="A7", patient=image.PatientID)
    assert [(assessment.study_id, assessment.why) for assessment in assessments(road)] == [
        (None, AMBIGUOUS.format(count=2))
    ]


@pytest.mark.parametrize("by_accession", [True, False])
def test_another_patients_assessment_never_matches(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset, by_accession: bool
) -> None:
    road.receive(_with_accession(mammogram_study, "A7"))
    study = "" if by_accession else image.StudyInstanceUID
    tell(intake, "BI-RADS 2", study=study, accession="A7", patient="SOMEBODY-ELSE")
    assert [(assessment.study_id, assessment.why) for assessment in assessments(road)] == [(None, OTHER_PATIENT)]


@pytest.mark.parametrize("second_comes_later", [True, False])
def test_the_uid_of_one_study_with_the_accession_number_of_another_matches_neither(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset, second_comes_later: bool
) -> None:
    second = _with_accession(mammogram_study, "A8", 1, StudyInstanceUID="1.2.77", SOPInstanceUID="1.2.77.1")
    road.all_of_it(_with_accession(mammogram_study, "A7"))
    if not second_comes_later:
        road.receive(second)
    tell(intake, "BI-RADS 4", **about(image) | {"accession": "A8"})
    if second_comes_later:
        assert [assessment.study_id for assessment in assessments(road)] == [1]
        road.receive(second)
    assert [(assessment.study_id, assessment.why) for assessment in assessments(road)] == [(None, TWO_STUDIES)]


def test_a_match_of_any_of_several_patient_ids_is_enough(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.receive(mammogram_study.files[0])
    tell(intake, "BI-RADS 2", study=image.StudyInstanceUID, pid=f"PID|1||N-1^^^NATION~{image.PatientID}^^^HOSPITAL")
    assert [assessment.study_id for assessment in assessments(road)] == [1]


def test_a_corrected_header_matches_a_waiting_assessment_with_its_study(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.receive(_with_accession(mammogram_study, "WRONG"))
    tell(intake, "BI-RADS 2", study="", accession="A7", patient=image.PatientID)
    road.receive(_with_accession(mammogram_study, "A7"))
    assert [assessment.study_id for assessment in assessments(road)] == [1]


def test_images_corrected_to_another_patient_no_longer_have_the_assessment(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.all_of_it(mammogram_study.files[0])
    tell(intake, "BI-RADS 5 left", **about(image))
    road.report()
    road.receive(changed(mammogram_study.files[0], PatientID="OTHER", PatientName="Other^Woman"))
    assert [(assessment.study_id, assessment.why) for assessment in assessments(road)] == [(None, OTHER_PATIENT)]
    road.close()
    road.report()
    assert (latest_report(road).PatientID, road.study().revision) == ("OTHER", 3)
    assert "radiologist's BI-RADS category (by" not in texts(latest_report(road))


def test_a_second_study_with_the_accession_number_separates_the_assessment_from_the_first(
    road: Road, intake: Hl7Intake, mammogram_study: DemoStudy
) -> None:
    road.all_of_it(_with_accession(mammogram_study, "A7"))
    tell(intake, "BI-RADS 5 left", study="", accession="A7", patient="")
    road.report()
    assert "BI-RADS category (by HL7): 5" in texts(latest_report(road))
    second = {"StudyInstanceUID": "1.2.77", "SOPInstanceUID": "1.2.77.1", "PatientID": "SECOND"}
    road.receive(_with_accession(mammogram_study, "A7", 1, **second))
    assert [(assessment.study_id, assessment.why) for assessment in assessments(road)] == [
        (None, AMBIGUOUS.format(count=2))
    ]
    road.report()
    first = [report for report in road.results("SR") if report.StudyInstanceUID != "1.2.77"]
    assert len(first) == 3
    assert "radiologist's BI-RADS category (by" not in texts(first[-1])


def test_a_report_in_its_own_study_matches_by_accession_number(
    road: Road, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.receive(_with_accession(mammogram_study, "A7"))
    road.receive(report_on(image, finding(Category.FIVE, LEFT), StudyInstanceUID="1.2.77", AccessionNumber="A7"))
    assert [assessment.study_id for assessment in assessments(road)] == [1]
    own_image = {"StudyInstanceUID": "1.2.77", "SOPInstanceUID": "1.2.77.1"}
    road.receive(_with_accession(mammogram_study, "A8", 1, **own_image))
    # Its own study has images now, and its accession number is still the other one's: which of both is not certain.
    assert [(assessment.study_id, assessment.why) for assessment in assessments(road)] == [(None, TWO_STUDIES)]


def test_a_report_on_a_study_not_yet_received_is_not_matched_by_accession_number(
    road: Road, mammogram_study: DemoStudy, image: Dataset
) -> None:
    road.receive(_with_accession(mammogram_study, "A7"))
    evidence = Dataset()
    evidence.StudyInstanceUID = "1.2.78"
    about_another = {"CurrentRequestedProcedureEvidenceSequence": [evidence], "AccessionNumber": "A7"}
    road.receive(report_on(image, finding(Category.FIVE, LEFT), StudyInstanceUID="1.2.77", **about_another))
    assert [(assessment.study_id, assessment.why) for assessment in assessments(road)] == [(None, NO_SUCH_STUDY)]
