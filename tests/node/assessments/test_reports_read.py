"""A structured report gives the categories that a person assigned, each to its breast, and never an algorithm's."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from assessing import (
    ALGORITHM,
    BOTH,
    BY_A_DEVICE,
    BY_A_PERSON,
    CATEGORY,
    FINDING,
    LATERALITY,
    LEFT,
    OBSERVER_TYPE,
    PERSON,
    PERSON_NAME,
    PROCEDURE,
    RIGHT,
    SECTION,
    category,
    finding,
    item,
    overall,
    report,
)
from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.assessments import read_assessments
from dicom_io.errors import NotReadable
from models.types.birads import Category, most_severe


def read(sr: Dataset) -> str:
    """ "L 4A, R 2": the categories read from a report."""
    return ", ".join(
        f"{read_assessment.laterality or ''} {read_assessment.category}" for read_assessment in read_assessments(sr)
    )


def test_each_breast_has_the_most_severe_category_of_its_findings() -> None:
    found = item(
        SECTION,
        None,
        finding(Category.TWO, LEFT),
        finding(Category.FOUR_A, LEFT),
        finding(Category.ZERO, LEFT),
        finding(Category.ONE, RIGHT),
    )
    assert read(report(found)) == "L 4A, R 1"


def test_severity_follows_the_management_of_a_category() -> None:
    order = ["1", "2", "3", "6", "0", "4A", "4", "4B", "4C", "5"]
    assert [most_severe(map(Category, order[: place + 1])) for place in range(len(order))] == order


def test_an_overall_assessment_is_preferred_to_those_of_findings() -> None:
    findings = finding(Category.FOUR, LEFT), finding(Category.TWO, RIGHT)
    assert read(report(*findings, overall(Category.TWO))) == " 2"
    assert read(report(*findings, overall(Category.TWO, LEFT))) == "L 2, R 2"


def test_the_laterality_of_the_procedure_is_used_for_a_unilateral_exam() -> None:
    left, both = item(PROCEDURE, None, item(LATERALITY, LEFT)), item(PROCEDURE, None, item(LATERALITY, BOTH))
    assert read(report(left, overall(Category.FOUR))) == "L 4"
    assert read(report(both, overall(Category.FOUR))) == " 4"


def test_a_bilateral_finding_counts_for_each_breast() -> None:
    assert read(report(finding(Category.THREE, BOTH))) == "L 3, R 3"


def test_a_finding_does_not_take_the_side_of_another() -> None:
    aside = item(SECTION, None, item(Code("121071", "DCM", "Finding"), None, item(LATERALITY, LEFT)))
    assert read(report(aside, item(SECTION, None, item(SECTION, None, category(Category.FOUR))))) == " 4"


def test_laterality_is_read_from_the_finding_site_and_from_old_codes() -> None:
    site = item(Code("G-C0E3", "SRT", "Finding Site"), Code("T-04000", "SRT", "Breast"))
    site.ContentSequence = [item(Code("G-C171", "SRT", "Laterality"), Code("G-A100", "SRT", "Right"))]
    assert read(report(item(SECTION, None, category(Code("F-037C0", "SRT", "whatever")), site))) == "R 4"
    assert read(report(finding(Code("II.AC.b.5", "BI", "whatever"), RIGHT))) == "R 5"


def test_the_code_value_is_used_and_never_the_code_meaning() -> None:
    assert read(report(finding(Code("397141009", "SCT", "5 - Highly suggestive"), LEFT))) == "L 2"
    with pytest.raises(NotReadable, match="no BI-RADS category"):
        read(report(finding(Code("1", "99LOCAL", "4 - Suspicious"), LEFT)))


@pytest.mark.parametrize(
    "observer",
    [(item(OBSERVER_TYPE, PERSON),), (item(PERSON_NAME, "Radiologist^Rita"),)],
    ids=["by type", "by name"],
)
def test_a_report_with_a_person_observer_counts_as_a_radiologists(observer: tuple[Dataset, ...]) -> None:
    assert read(report(finding(Category.TWO, LEFT), observer=observer)) == "L 2"


def test_a_report_with_a_verifying_observer_counts_as_a_radiologists() -> None:
    verifier = Dataset()
    verifier.VerifyingObserverName = "Radiologist^Rita"
    verifier.VerificationDateTime = "20260302090000+0100"
    verified = report(finding(Category.TWO), observer=(), VerificationFlag="VERIFIED")
    verified.VerifyingObserverSequence = [verifier]
    (assessment,) = read_assessments(verified)
    assert assessment.assessed_at == datetime(2026, 3, 2, 8, tzinfo=UTC)
    verified.VerificationFlag = "UNVERIFIED"
    with pytest.raises(NotReadable, match="no person observer"):
        read(verified)


def test_a_report_of_an_algorithm_never_counts_as_a_radiologists() -> None:
    found = finding(Category.FOUR, LEFT)
    by_algorithm = finding(Category.FIVE, LEFT, item(ALGORITHM, "Another AI"))
    for sr in (
        report(found, observer=BY_A_DEVICE),
        report(found, observer=()),
        report(by_algorithm),
        report(item(SECTION, None, *BY_A_DEVICE, found)),
        report(found, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.50"),
        report(found, Manufacturer="mammo-node", ManufacturerModelName="mammo-node"),
    ):
        with pytest.raises(NotReadable):
            read(sr)
    assert read(report(finding(Category.TWO, LEFT), by_algorithm)) == "L 2"


DEVICE_NAME = Code("121013", "DCM", "Device Observer Name")


@pytest.mark.parametrize("device", [BY_A_DEVICE, (item(DEVICE_NAME, "AI box"),)], ids=["by type", "by name"])
def test_a_person_beside_a_device_observer_counts_if_the_report_is_verified(device: tuple[Dataset, ...]) -> None:
    sr = report(finding(Category.TWO, LEFT), observer=(*BY_A_PERSON, *device))
    with pytest.raises(NotReadable, match="beside a device"):
        read(sr)
    sr.VerificationFlag = "VERIFIED"
    sr.VerifyingObserverSequence = [_of_study(VerifyingObserverName="Radiologist^Rita")]
    assert read(sr) == "L 2"


def test_a_category_with_an_algorithm_anywhere_beside_it_is_that_of_the_algorithm() -> None:
    for concept in ("111000", "111001", "111002", "111003"):
        algorithm = item(Code(concept, "DCM", "Algorithm"), "Another AI")
        score = item(Code("111047", "DCM", "Probability of cancer"), "0.9", algorithm)
        below = item(FINDING, None, item(LATERALITY, LEFT), category(Category.FIVE))
        below.ContentSequence[-1].ContentSequence = [algorithm]
        beside = finding(Category.FIVE, LEFT, item(SECTION, None, item(SECTION, None, algorithm)))
        for found in (finding(Category.FIVE, LEFT, score), beside, below):
            with pytest.raises(NotReadable, match="algorithm"):
                read(report(found))


@pytest.mark.parametrize(
    "heading",
    [
        Code("121068", "DCM", "Previous Findings"),
        Code("121069", "DCM", "Previous Finding"),
        Code("18834-2", "LN", "Previous Findings"),
        Code("121060", "DCM", "History"),
        Code("11329-0", "LN", "History"),
        Code("55752-0", "LN", "Clinical Information"),
        Code("121062", "DCM", "Request"),
        Code("121109", "DCM", "Indications for Procedure"),
        Code("18785-6", "LN", "Indications for Procedure"),
        Code("111401", "DCM", "Reason for Procedure"),
        Code("121066", "DCM", "Prior Procedure Descriptions"),
        Code("111424", "DCM", "Comparison to previous studies"),
        Code("111423", "DCM", "Physical Examination Results"),
        Code("121110", "DCM", "Patient Presentation"),
        Code("1", "99LOCAL", "Findings"),
    ],
    ids=lambda code: f"{code.meaning} ({code.scheme_designator})",
)
def test_a_category_below_a_heading_of_another_exam_or_of_the_reason_for_it_never_counts(heading: Code) -> None:
    earlier = item(heading, None, item(SECTION, None, finding(Category.FIVE, LEFT)))
    assert read(report(earlier, item(SECTION, None, finding(Category.TWO, LEFT)))) == "L 2"
    assert read(report(item(SECTION, None, finding(Category.TWO, LEFT)), earlier)) == "L 2"
    with pytest.raises(NotReadable, match="may be of an earlier exam"):
        read(report(earlier))
    with pytest.raises(NotReadable, match="may be of an earlier exam"):
        read(report(item(SECTION, None, item(heading, None, category(Category.FIVE)))))


@pytest.mark.parametrize(
    "heading",
    [
        SECTION,
        Code("59776-5", "LN", "Findings"),
        Code("121072", "DCM", "Impressions"),
        Code("19005-8", "LN", "Impressions"),
        Code("121076", "DCM", "Conclusions"),
        Code("55110-1", "LN", "Conclusions"),
        Code("55112-7", "LN", "Summary"),
        Code("111413", "DCM", "Overall Assessment"),
    ],
    ids=lambda code: f"{code.meaning} ({code.scheme_designator})",
)
def test_a_category_below_a_heading_of_findings_impressions_and_assessments_counts(heading: Code) -> None:
    assert read(report(item(heading, None, finding(Category.FOUR, LEFT)))) == "L 4"


@pytest.mark.parametrize(
    "flags", [{"CompletionFlag": "PARTIAL"}, {"CompletionFlag": None}, {"PreliminaryFlag": "PRELIMINARY"}]
)
def test_a_report_that_is_not_final_is_not_used(flags: dict[str, str | None]) -> None:
    with pytest.raises(NotReadable, match="not final"):
        read(report(finding(Category.FIVE, LEFT), **flags))


def test_a_report_of_more_than_500_categories_is_refused() -> None:
    with pytest.raises(NotReadable, match="more than 500"):
        read(report(*(category(Category.TWO) for _ in range(501))))


def test_a_report_without_a_category_is_accepted_and_has_no_assessment() -> None:
    assert read(report(item(SECTION, "The breasts are unremarkable."))) == ""


def test_malformed_reports_are_refused_with_a_reason() -> None:
    without_value = finding(Category.TWO)
    del without_value.ContentSequence[0].ConceptCodeSequence
    deep = item(CATEGORY, None)
    for _ in range(60):
        deep = item(SECTION, None, deep)
    for sr, why in (
        (report(ContentSequence=None), "without content"),
        (report(without_value), "missing"),
        (report(deep), "too deep"),
    ):
        with pytest.raises(NotReadable, match=why):
            read(sr)


def _of_study(**uids: str) -> Dataset:
    entry = Dataset()
    for keyword, value in uids.items():
        setattr(entry, keyword, value)
    return entry


def test_a_report_in_its_own_study_is_about_the_study_of_its_evidence() -> None:
    sr = report(finding(Category.TWO), StudyInstanceUID="1.2.9", AccessionNumber="")
    assert read_assessments(sr)[0].study_instance_uid == "1.2.9"
    sr.ReferencedRequestSequence = [_of_study(StudyInstanceUID="1.2.5", AccessionNumber="A5")]
    assert read_assessments(sr)[0].study_instance_uid == "1.2.5"
    sr.CurrentRequestedProcedureEvidenceSequence = [_of_study(StudyInstanceUID="1.2.4")]
    (assessment,) = read_assessments(sr)
    assert (assessment.study_instance_uid, assessment.accession_number) == ("1.2.4", "A5")
    sr.CurrentRequestedProcedureEvidenceSequence.append(_of_study(StudyInstanceUID="1.2.3"))
    assert read_assessments(sr)[0].study_instance_uid == ""
    sr.StudyInstanceUID = "1.2.3"
    assert read_assessments(sr)[0].study_instance_uid == "1.2.3"
