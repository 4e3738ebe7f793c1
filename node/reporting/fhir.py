"""The report for a FHIR server (R4): a transaction Bundle of a DiagnosticReport and one Observation for the exam, each
breast and each lesion, in the words and codes of the SR.

Every resource is a conditional update by an identifier that the study keeps: what is sent again changes nothing, and a
revision replaces the report before it. A lesion or breast that a revision no longer has becomes entered-in-error.

Status: nobody has verified the report. In R4 only `partial` says so ("data in the report may be incomplete or
unverified"): `preliminary` is "verified early results", and `final` and what follows it are "verified by an authorized
person" (hl7.org/fhir/R4/codesystem-diagnostic-report-status). An Observation's `preliminary` is "may be incomplete or
unverified".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from html import escape
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.device import MODEL
from dicom_io.results import codes, own_codes
from dicom_io.results.encoding import Encoding, place
from dicom_io.results.scored import Coded, Figure, Scored, outcome, scored_lesions, scored_wholes
from dicom_io.results.statements import NOTHING_READ, statements, summary_sentences, withheld_sentences
from dicom_io.uids import derive_uid
from models.types.exam import ExamReading
from models.types.mammogram import Laterality
from models.types.words import RESEARCH_USE
from node.reporting.about import About, about

Resource = dict[str, Any]

_URI = "urn:ietf:rfc:3986"
_LOINC_STUDY = {"system": "http://loinc.org", "code": "18748-4", "display": "Diagnostic imaging study"}
_RADIOLOGY = {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD", "display": "Radiology"}
_IDENTIFIER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
_NO_VALUE = {
    "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "error", "display": "Error",
}  # fmt: skip
_SYSTEMS = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "SCT": "http://snomed.info/sct",
    "UCUM": "http://unitsofmeasure.org",
    "BI": "urn:oid:2.16.840.1.113883.6.76",
    own_codes.DESIGNATOR: f"urn:oid:{own_codes.coding_scheme().CodingSchemeUID}",
}
"""The URIs of the SR's coding schemes (PS3.16 section 8, hl7.org/fhir/R4/terminologies-systems)."""
_BREASTS = {
    codes.LATERALITIES[Laterality.LEFT]: Code("80248007", "SCT", "Left breast"),
    codes.LATERALITIES[Laterality.RIGHT]: Code("73056007", "SCT", "Right breast"),
    codes.BOTH: Code("63762007", "SCT", "Both breasts"),
}
"""CID 6022: an Observation has one body site, which includes the side."""


@dataclass(frozen=True, eq=False)
class _Study:
    """What all resources of a report have in common."""

    about: About
    encoding: Encoding

    def uid(self, *parts: str) -> str:
        """The identifier of a resource: the same in every revision of the study."""
        return derive_uid("FHIR", self.about.study_instance_uid, self.encoding.device.uid, *parts)

    def common(self) -> Resource:
        """Patient, order and time."""
        about = self.about
        taken: Resource = {"subject": _patient(about)}
        if about.accession_number:
            taken["basedOn"] = [_reference("ServiceRequest", _typed("ACSN", about.accession_number))]
        if about.performed is not None:
            taken["effectiveDateTime"] = _moment(about.performed)
        return taken

    def imaging_study(self, display: str = "") -> Resource:
        """The ImagingStudy by its Study Instance UID (hl7.org/fhir/R4/imagingstudy, section 8.14.4)."""
        identifier = {"system": "urn:dicom:uid", "value": f"urn:oid:{self.about.study_instance_uid}"}
        return _reference("ImagingStudy", identifier, display)


def encode_fhir(exam: ExamReading, sources: Mapping[str, Dataset], encoding: Encoding, before: bytes | None) -> bytes:
    """The Bundle as JSON: equal input gives equal bytes.

    Args:
        sources: the header of each instance of the study, by SOP Instance UID.
        before: the Bundle of the revision that this one replaces.

    Raises:
        NotEncodable: there is no source, or the sources disagree on patient or study.
    """
    study = _Study(about(exam, sources, encoding.patient_id_system), encoding)
    observations = dict(_observations(exam, study))
    entries = [_entry(uid, observation) for uid, observation in observations.items()]
    entries += [_entry(uid, observation) for uid, observation in _withdrawn(before, observations)]
    entries.append(_entry(study.uid("report"), _report(exam, study, list(observations))))
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return json.dumps(bundle, ensure_ascii=False).encode()


def _report(exam: ExamReading, study: _Study, results: list[str]) -> Resource:
    encoding = study.encoding
    sentences = encoding.language.report(statement.sentence for statement in statements(exam, encoding.bundles[0]))
    paragraphs = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return {
        "resourceType": "DiagnosticReport",
        "language": encoding.language.code,
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>'},
        "identifier": [_own(study.uid("report"))],
        "status": "partial",
        "category": [{"coding": [_RADIOLOGY]}],
        "code": {
            "coding": [_coding(codes.IMAGING_MEASUREMENT_REPORT), _LOINC_STUDY],
            "text": f"AI report, {MODEL}, {RESEARCH_USE}",
        },
        **study.common(),
        "issued": encoding.written_at.isoformat(timespec="seconds"),
        "result": [{"reference": _urn(uid)} for uid in results],
        "imagingStudy": [study.imaging_study()],
        "conclusion": "\n".join(encoding.language.report(summary_sentences(exam, encoding.revision))),
        "conclusionCode": [_concept(outcome(exam))],
    }


def _observations(exam: ExamReading, study: _Study) -> Iterator[tuple[str, Resource]]:
    """The exam's first, then those of breasts and lesions, each with its identifier."""
    wholes = list(scored_wholes(exam, coded_category=study.encoding.coded_category))
    if not wholes:
        uid = study.uid("exam")
        # Without a value though images were read: their scores do not compare (`ExamReading.withheld`).
        why = next(withheld_sentences(exam), NOTHING_READ)
        yield uid, _unread(study, uid, why)
    for scored in reversed(wholes):
        uid = study.uid(scored.name)
        yield uid, _observation(study, uid, scored, (*scored.verdict, *scored.compared))
    for lesion in scored_lesions(exam):
        uid = study.uid("lesion", lesion.tracked.uid)
        observation = _observation(study, uid, lesion.scored, (lesion.found,), lesion.properties)
        observation["identifier"].append({"system": "urn:dicom:uid", "value": f"urn:oid:{lesion.tracked.uid}"})
        observation["note"] = [
            {"text": text} for text in (lesion.tracked.identifier, *map(study.encoding.language.say, lesion.sentences))
        ]
        yield uid, observation


def _observation(
    study: _Study, uid: str, scored: Scored, coded: tuple[Coded, ...], properties: tuple[Figure, ...] = ()
) -> Resource:
    figures = [scored.probability, *scored.holds_for, scored.tenth, *properties]
    components = [_figure(figure) for figure in figures if figure is not None]
    components += [{"code": _concept(said.concept), "valueCodeableConcept": _concept(said.value)} for said in coded]
    return {
        "resourceType": "Observation",
        "identifier": [_own(uid)],
        "status": "preliminary",
        **_figure(scored.score),
        **study.common(),
        "issued": study.encoding.written_at.isoformat(timespec="seconds"),
        "bodySite": _concept(_BREASTS[scored.laterality] if scored.laterality else codes.BREAST),
        "method": {"text": f"{scored.algorithm}, {scored.version}"},
        "device": _reference("Device", _own(study.encoding.device.uid), f"{MODEL}, {RESEARCH_USE}"),
        "derivedFrom": [study.imaging_study(place(scored.image))],
        **({"component": components} if components else {}),
    }


def _unread(study: _Study, uid: str, why: str) -> Resource:
    """The exam that has no value: `cancelled` is "not started or not completed"."""
    return {
        "resourceType": "Observation",
        "identifier": [_own(uid)],
        "status": "cancelled",
        "code": {"coding": [_coding(own_codes.MALIGNANCY_SCORE)], "text": "exam, score"},
        **study.common(),
        "issued": study.encoding.written_at.isoformat(timespec="seconds"),
        "dataAbsentReason": {"coding": [_NO_VALUE], "text": study.encoding.language.say(why)},
        "bodySite": _concept(codes.BREAST),
        "device": _reference("Device", _own(study.encoding.device.uid), f"{MODEL}, {RESEARCH_USE}"),
        "derivedFrom": [study.imaging_study()],
    }


def _withdrawn(before: bytes | None, present: Mapping[str, Resource]) -> Iterator[tuple[str, Resource]]:
    """The Observations of the revision before that this one does not have, as withdrawn."""
    for entry in json.loads(before)["entry"] if before else []:
        observation = entry["resource"]
        uid = observation["identifier"][0]["value"].removeprefix("urn:oid:")
        if observation["resourceType"] == "Observation" and uid not in present:
            yield uid, {**observation, "status": "entered-in-error"}


def _entry(uid: str, resource: Resource) -> Resource:
    condition = urlencode({"identifier": f"{_URI}|urn:oid:{uid}"})
    return {
        "fullUrl": _urn(uid),
        "resource": resource,
        "request": {"method": "PUT", "url": f"{resource['resourceType']}?{condition}"},
    }


def _patient(about: About) -> Resource:
    if not about.patient_id:
        return {"type": "Patient", "display": "The images state no patient ID."}
    identifier = _typed("MR", about.patient_id)
    if about.issuer.uri:
        identifier["system"] = about.issuer.uri
    if about.issuer.name:
        identifier["assigner"] = {"display": about.issuer.name}
    return _reference("Patient", identifier)


def _reference(to: str, identifier: Resource, display: str = "") -> Resource:
    return {"type": to, "identifier": identifier} | ({"display": display} if display else {})


def _typed(code: str, value: str) -> Resource:
    return {"type": {"coding": [{"system": _IDENTIFIER_TYPES, "code": code}]}, "value": value}


def _own(uid: str) -> Resource:
    return {"system": _URI, "value": f"urn:oid:{uid}"}


def _urn(uid: str) -> str:
    """A UID derived from a UUID (2.25.…) as that UUID."""
    return UUID(int=int(uid.removeprefix("2.25."))).urn


def _figure(figure: Figure) -> Resource:
    quantity = {"value": figure.value, "unit": figure.unit.meaning}
    quantity |= {"system": _SYSTEMS[figure.unit.scheme_designator], "code": figure.unit.value}
    return {"code": _concept(figure.concept), "valueQuantity": quantity}


def _concept(code: Code) -> Resource:
    return {"coding": [_coding(code)], "text": code.meaning}


def _coding(code: Code) -> Resource:
    version = {"version": code.scheme_version} if code.scheme_version else {}
    return {"system": _SYSTEMS[code.scheme_designator], **version, "code": code.value, "display": code.meaning}


def _moment(when: datetime | date) -> str:
    """A dateTime (hl7.org/fhir/R4/datatypes): a time has a zone."""
    return when.isoformat(timespec="seconds") if isinstance(when, datetime) else str(when)
