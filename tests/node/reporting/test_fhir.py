"""The report for a FHIR server says what the SR says, and is valid by R4."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from fhir_server import valid
from pydicom import Dataset
from readings import ENCODING, blob, lesion, read_image
from reports import (
    L_CC,
    R_CC,
    REPORTED,
    SHAPE,
    calibrated,
    comments_of,
    discordant,
    groups_of,
    named,
    report_on,
    some_exam,
    some_images,
    some_sources,
)

from dicom_io.errors import NotEncodable
from dicom_io.results.encoding import Encoding
from models.types.exam import ExamReading
from node.reporting.fhir import encode_fhir

SCORE, PROBABILITY, RANGE, CATEGORY = "SCORE", "111047", "CATEGORY_RANGE", "111005"


def bundle_of(
    exam: ExamReading,
    sources: dict[str, Dataset] | None = None,
    encoding: Encoding = ENCODING,
    before: bytes | None = None,
) -> dict[str, Any]:
    return dict(json.loads(encode_fhir(exam, sources or some_sources(), encoding, before)))


def resources(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    found = [entry["resource"] for entry in bundle["entry"]]
    return [resource for resource in found if resource["resourceType"] == kind]


def observations(exam: ExamReading, encoding: Encoding = ENCODING) -> dict[str, dict[str, Any]]:
    """By the words of their score, without "score"."""
    found = resources(bundle_of(exam, encoding=encoding), "Observation")
    return {observation["code"]["text"].removesuffix(", score"): observation for observation in found}


def report(exam: ExamReading, **given: Any) -> dict[str, Any]:
    (found,) = resources(bundle_of(exam, **given), "DiagnosticReport")
    return found


def components(observation: dict[str, Any]) -> dict[str, Any]:
    """The numbers and codes of an Observation's components, by code."""
    return {
        part["code"]["coding"][0]["code"]: (
            part["valueQuantity"]["value"]
            if "valueQuantity" in part
            else part["valueCodeableConcept"]["coding"][0]["code"]
        )
        for part in observation.get("component", [])
    }


@pytest.mark.parametrize("exam", REPORTED.values(), ids=REPORTED)
def test_every_resource_is_valid(exam: Callable[[], ExamReading]):
    bundle = valid(bundle_of(exam(), encoding=replace(ENCODING, coded_category=True)))
    assert len({entry["fullUrl"] for entry in bundle["entry"]}) == len(bundle["entry"])
    assert bundle["entry"][-1]["resource"]["resourceType"] == "DiagnosticReport"


@pytest.mark.parametrize("exam", REPORTED.values(), ids=REPORTED)
def test_the_words_are_those_of_the_sr(exam: Callable[[], ExamReading]):
    sr = report_on(exam())
    fhir = report(exam())
    (summary,) = named(sr, "121111")
    assert fhir["conclusion"].splitlines() == summary.TextValue.splitlines()
    assert "Research use only, not for diagnosis." in fhir["conclusion"]
    said = [unescape(text.split("</p>")[0]) for text in fhir["text"]["div"].split("<p>")[1:]]
    assert said == [text for text in comments_of(sr) if text in said], "the others are about single lesions"
    written = resources(bundle_of(exam()), "Observation")
    of_lesions = [note["text"] for observation in written for note in observation.get("note", [])]
    assert set(comments_of(sr)) <= {*said, *of_lesions}
    assert fhir["conclusionCode"][0]["coding"][0]["code"] == named(sr, "111017")[0].ConceptCodeSequence[0].CodeValue


@pytest.mark.parametrize("exam", REPORTED.values(), ids=REPORTED)
def test_the_numbers_and_codes_are_those_of_the_sr(exam: Callable[[], ExamReading]):
    encoding = replace(ENCODING, coded_category=True)
    of_sr = {}
    for group in groups_of(report_on(exam(), encoding=encoding)).values():
        (score,) = named(group, SCORE)
        of_sr[score.ConceptNameCodeSequence[0].CodeMeaning.removesuffix(", score")] = {
            name: float(named(group, name)[0].MeasuredValueSequence[0].NumericValue)
            for name in (SCORE, PROBABILITY, "PREVALENCE", "RECALL_THRESHOLD", "REFERENCE_TENTH", "111012", "103339001")
            if named(group, name)
        } | {
            name: named(group, name)[0].ConceptCodeSequence[0].CodeValue
            for name in ("RECALL", RANGE, CATEGORY, "121071")
            if named(group, name)
        }
    quoted = {"CONCORDANCE", "QUOTED_CATEGORY"}
    of_fhir = {
        name: {SCORE: found["valueQuantity"]["value"]}
        | {code: value for code, value in components(found).items() if code not in quoted}
        for name, found in observations(exam(), encoding).items()
        if "valueQuantity" in found
    }
    assert of_fhir == of_sr


def test_a_score_that_is_not_calibrated_gives_no_probability_and_no_category():
    for observation in observations(some_exam()).values():
        assert not {PROBABILITY, RANGE, CATEGORY} & components(observation).keys()


def test_a_category_is_coded_only_if_the_site_asks_for_it():
    found = observations(calibrated(some_exam()))
    assert components(found["exam"])[RANGE] == "RANGE_4A"
    assert components(found["left breast"])[RANGE] == "RANGE_1-2_BREAST"
    assert all(CATEGORY not in components(observation) for observation in found.values())


@pytest.mark.parametrize("exam", REPORTED.values(), ids=REPORTED)
def test_nothing_claims_that_a_person_verified_it(exam: Callable[[], ExamReading]):
    revised = bundle_of(exam(), encoding=replace(ENCODING, revision=2))
    assert resources(revised, "DiagnosticReport")[0]["status"] == "partial"
    assert {observation["status"] for observation in resources(revised, "Observation")} <= {"preliminary", "cancelled"}
    assert not any({"performer", "resultsInterpreter"} & entry["resource"].keys() for entry in revised["entry"])


def test_a_study_of_which_nothing_could_be_read_says_so_in_words_and_code():
    exam = some_exam([])
    (observation,) = observations(exam).values()
    assert observation["status"] == "cancelled"
    assert observation["dataAbsentReason"]["coding"][0]["code"] == "error"
    assert "Nothing in this study could be read" in report(exam)["conclusion"]
    assert "Not read: tomosynthesis" in report(exam)["conclusion"]


def test_the_radiologists_category_is_quoted_and_is_no_assessment():
    left = components(observations(discordant())["left breast"])
    assert (left["CONCORDANCE"], left["QUOTED_CATEGORY"]) == ("AI_LOWER", "MA.II.A.5.4B")
    assert CATEGORY not in left


def test_it_refers_to_study_patient_and_order_by_their_identifiers():
    fhir = report(some_exam())
    assert fhir["imagingStudy"][0]["identifier"]["value"].endswith(some_sources()[R_CC].StudyInstanceUID)
    assert fhir["subject"]["identifier"]["value"] == some_sources()[R_CC].PatientID
    assert fhir["basedOn"][0]["identifier"]["value"] == some_sources()[R_CC].AccessionNumber
    assert "PatientName" not in some_sources()[R_CC] or str(some_sources()[R_CC].PatientName) not in json.dumps(fhir)


def _issued(**attributes: object) -> dict[str, Dataset]:
    sources = some_sources()
    for source in sources.values():
        for keyword, value in attributes.items():
            setattr(source, keyword, value)
    return sources


def _qualified(value: str, kind: str) -> list[Dataset]:
    item = Dataset()
    item.UniversalEntityID, item.UniversalEntityIDType = value, kind
    return [item]


OURS = "urn:oid:1.2.3"


@pytest.mark.parametrize(
    ("stated", "setting", "system", "assigner"),
    [
        ({}, "", None, None),
        ({}, OURS, OURS, None),
        ({"IssuerOfPatientID": "OTHER"}, OURS, None, "OTHER"),
        ({"IssuerOfPatientIDQualifiersSequence": _qualified("1.9.8", "ISO")}, OURS, "urn:oid:1.9.8", None),
        ({"IssuerOfPatientIDQualifiersSequence": _qualified("https://h.example/id", "URI")}, "",
         "https://h.example/id", None),
        ({"IssuerOfPatientID": "H", "IssuerOfPatientIDQualifiersSequence": _qualified("h.example", "DNS")}, OURS,
         None, "H"),
    ],
)  # fmt: skip
def test_the_patient_id_names_its_issuer(
    stated: dict[str, object], setting: str, system: str | None, assigner: str | None
):
    encoding = replace(ENCODING, patient_id_system=setting)
    identifier = report(some_exam(), sources=_issued(**stated), encoding=encoding)["subject"]["identifier"]
    assert (identifier.get("system"), identifier.get("assigner", {}).get("display")) == (system, assigner)


def test_a_study_without_a_patient_id_claims_none():
    subject = report(some_exam(), sources=_issued(PatientID=""))["subject"]
    assert "identifier" not in subject


def test_a_study_of_two_patients_is_not_reported():
    sources = some_sources()
    sources[L_CC].PatientID = "SOMEBODY-ELSE"
    with pytest.raises(NotEncodable, match="PatientID"):
        encode_fhir(some_exam(), sources, ENCODING, None)


def test_the_same_report_is_the_same_bytes_and_a_revision_has_the_same_identifiers():
    once, twice = (encode_fhir(some_exam(), some_sources(), ENCODING, None) for _ in range(2))
    assert once == twice
    later = bundle_of(some_exam(), encoding=replace(ENCODING, revision=2), before=once)
    assert [entry["request"] for entry in later["entry"]] == [entry["request"] for entry in json.loads(once)["entry"]]
    assert (
        "This is revision 2: it replaces all earlier reports" in resources(later, "DiagnosticReport")[0]["conclusion"]
    )


def test_what_a_revision_does_not_have_any_more_is_withdrawn_and_no_result_of_the_report():
    first = encode_fhir(some_exam(), some_sources(), ENCODING, None)
    fewer = some_exam([some_images()[1], read_image(R_CC, SHAPE, lesion(40, 30, blob(31, 40, 9)))])
    second = encode_fhir(fewer, some_sources(), replace(ENCODING, revision=2), first)
    third = bundle_of(fewer, encoding=replace(ENCODING, revision=3), before=second)
    withdrawn = {entry["fullUrl"] for entry in third["entry"] if entry["resource"]["status"] == "entered-in-error"}
    assert len(withdrawn) == 2, "both lesions of the right breast have another outline now"
    referred = {result["reference"] for result in resources(third, "DiagnosticReport")[0]["result"]}
    assert not withdrawn & referred
    assert withdrawn | referred | {third["entry"][-1]["fullUrl"]} == {entry["fullUrl"] for entry in third["entry"]}
