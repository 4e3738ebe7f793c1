"""The radiologist's categories in the node's report: referenced and compared, never written as the node's own."""

from dataclasses import replace

from pydicom import Dataset
from readings import ENCODING
from reports import OLD_REPORT, calibrated, comments_of, evidence, named, number, report_on, some_exam, value, walk

from dicom_io.device import is_ours
from dicom_io.results.statements import AGREEMENT_RULE
from models.birads.concordance import KNOWN_CANCER, NOT_CALIBRATED, concordances
from models.types.birads import Assessment, Category
from models.types.exam import ExamReading
from models.types.mammogram import Laterality

LEFT_BY_SR = Assessment(Laterality.LEFT, Category.FOUR_B, "SR", OLD_REPORT)
RIGHT_BY_HL7 = Assessment(Laterality.RIGHT, Category.SIX, "HL7")
EXAM_BY_CSV = Assessment(None, Category.ZERO, "CSV")


def _compared(*assessments: Assessment, exam: ExamReading | None = None) -> ExamReading:
    exam = exam or calibrated(some_exam())
    return replace(exam, concordances=concordances(exam, assessments))


def _evaluations(report: Dataset) -> list[Dataset]:
    return named(report, "CONCORDANCE")


def test_each_assessment_is_compared_with_the_probability_of_its_breast():
    left, right, whole = _evaluations(report_on(_compared(LEFT_BY_SR, RIGHT_BY_HL7, EXAM_BY_CSV)))
    stands = [item.ConceptCodeSequence[0].CodeValue for item in (left, right, whole)]
    assert stands == ["AI_LOWER", "NOT_COMPARED", "AGREE"]
    assert value(left, "272741003") == "7771000"
    assert value(right, "272741003") == "24028007"
    assert named(whole, "272741003") == []
    assert [value(item, "QUOTED_CATEGORY") for item in (left, right, whole)] == [
        "MA.II.A.5.4B",
        "MA.II.A.5.6",
        "397138000",
    ]
    assert [number(item, "111047") for item in (left, right, whole)] == [0.1, 3.1, 3.1]
    assert number(left, "POINTS_AWAY") == -9.9, "0.1 % lies below 10 %"
    assert named(right, "POINTS_AWAY") == named(whole, "POINTS_AWAY") == [], "6 and 0 have no range"


def test_the_report_has_sentences_that_compare_both_and_state_the_rule():
    comments = comments_of(report_on(_compared(LEFT_BY_SR, RIGHT_BY_HL7)))
    assert (
        "Left breast: the radiologist's BI-RADS category (by SR): 4B; radiologist alone recalls; the probability, "
        "0.1 %, lies 9.9 percentage points below that category's range (> 10 to <= 50 %, the range of 4B)."
    ) in comments
    assert (f"Right breast: the radiologist's BI-RADS category (by HL7): 6; not compared: {KNOWN_CANCER}.") in comments
    assert AGREEMENT_RULE in comments
    for rule in ("whether both recall", "a category above 3 or with 0", "Category 6 is not compared"):
        assert rule in AGREEMENT_RULE


def test_without_an_assessment_the_report_does_not_mention_agreement():
    report = report_on(calibrated(some_exam()))
    assert _evaluations(report) == []
    assert AGREEMENT_RULE not in comments_of(report)


def test_an_uncalibrated_score_is_not_compared_and_the_report_states_why():
    report = report_on(_compared(LEFT_BY_SR, exam=some_exam()))
    (item,) = _evaluations(report)
    assert item.ConceptCodeSequence[0].CodeValue == "NOT_COMPARED"
    assert named(item, "111005") == []
    assert any(f"not compared: {NOT_CALIBRATED}." in comment for comment in comments_of(report))


def test_the_radiologists_document_is_referenced_if_the_study_holds_it():
    report = report_on(_compared(LEFT_BY_SR, RIGHT_BY_HL7))
    left, right = (named(item, "QUOTED_CATEGORY")[0] for item in _evaluations(report))
    assert value(left, "121001") == "121003"
    assert named(left, "121002")[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == OLD_REPORT
    assert OLD_REPORT in evidence(report)
    assert named(left, "QUOTED_FROM")[0].TextValue == "SR"
    assert named(right, "121001") == named(right, "121002") == []
    assert named(right, "QUOTED_FROM")[0].TextValue == "HL7"


def test_a_quoted_category_is_never_read_as_an_assessment():
    report = report_on(_compared(LEFT_BY_SR, RIGHT_BY_HL7, EXAM_BY_CSV))
    assert is_ours(report)
    assert report.VerificationFlag == "UNVERIFIED"
    assert "VerifyingObserverSequence" not in report
    assert [item.ConceptCodeSequence[0].CodeMeaning for item in named(report, "121005")] == ["Device"]
    assert not any(item.ValueType == "PNAME" for item in walk(report) if "ValueType" in item)
    assert named(report, "111005") == [], "quoted categories have another name"


def test_a_report_with_concordance_has_its_own_series_description():
    report = report_on(_compared(LEFT_BY_SR), encoding=replace(ENCODING, revision=2))
    assert report.SeriesDescription == "AI report 2 (replaces 1), mammo-node, research use only"
