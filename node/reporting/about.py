"""Whom and what a message is about: patient, order and study, as the images state them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from pydicom import Dataset
from pydicom.valuerep import DA

from dicom_io.attributes import items, text
from dicom_io.errors import NotEncodable
from dicom_io.moments import moment
from dicom_io.results.checks import identities_of
from dicom_io.results.sources import demographics, described_by, referenced_request
from models.types.exam import ExamReading

_SCHEMES = {"urn:oid:": "ISO", "urn:uuid:": "UUID"}


@dataclass(frozen=True)
class Issuer:
    """The authority that issued a patient ID (PS3.3 section C.7.1.1).

    Attributes:
        name: local; "" if not stated.
        universal_id, universal_id_type: of the types ISO (an OID), UUID, URI, DNS, …; "" if not stated.
    """

    name: str = ""
    universal_id: str = ""
    universal_id_type: str = ""

    @property
    def uri(self) -> str:
        """The universal ID as a URI; "" if it has none."""
        schemes = {kind: scheme for scheme, kind in _SCHEMES.items()}
        if self.universal_id_type == "URI":
            return self.universal_id
        scheme = schemes.get(self.universal_id_type)
        return f"{scheme}{self.universal_id}" if scheme else ""


@dataclass(frozen=True, eq=False)
class About:
    """What identifies the subject of a message; "" where the images do not state it.

    Attributes:
        patient: the patient attributes of a result (PS3.3 section C.7.1.1).
        performed: when the study began; a date if its time is not known.
    """

    study_instance_uid: str
    patient: Dataset
    patient_id: str
    issuer: Issuer
    accession_number: str
    placer_order_number: str
    performed: datetime | date | None


def about(exam: ExamReading, sources: Mapping[str, Dataset], patient_id_system: str) -> About:
    """Patient, order and study of a report.

    Args:
        sources: the header of each instance of the study, by SOP Instance UID.
        patient_id_system: the URI of the issuer of patient IDs where the images name none.

    Raises:
        NotEncodable: there is no instance to take them from, or the instances disagree on them (safety rule 5).
    """
    if not sources:
        raise NotEncodable("A message needs at least one instance of its study.")
    identities_of(exam, sources)
    source = described_by(exam.images, sources)
    patient = demographics(source)
    requests = items(referenced_request(source), "ReferencedRequestSequence")
    placers = [text(request, "PlacerOrderNumberImagingServiceRequest") for request in requests]
    return About(
        study_instance_uid=str(source.StudyInstanceUID),
        patient=patient,
        patient_id=text(patient, "PatientID"),
        issuer=_issuer(patient, patient_id_system),
        accession_number=text(patient, "AccessionNumber"),
        placer_order_number=placers[0] if len(set(placers)) == 1 else "",
        performed=moment(patient, "StudyDate", "StudyTime") or _day(text(patient, "StudyDate")),
    )


def _issuer(patient: Dataset, patient_id_system: str) -> Issuer:
    name = text(patient, "IssuerOfPatientID")
    for qualifiers in items(patient, "IssuerOfPatientIDQualifiersSequence"):
        universal_id, kind = text(qualifiers, "UniversalEntityID"), text(qualifiers, "UniversalEntityIDType").upper()
        if universal_id and kind:
            return Issuer(name, universal_id, kind)
    if name or not patient_id_system:
        return Issuer(name)
    for scheme, kind in _SCHEMES.items():
        if patient_id_system.startswith(scheme):
            return Issuer("", patient_id_system.removeprefix(scheme), kind)
    return Issuer("", patient_id_system, "URI")


def _day(stated: str) -> date | None:
    if not re.fullmatch(r"\d{8}", stated):
        return None
    try:
        day = DA(stated)
    except ValueError:
        return None
    return date(day.year, day.month, day.day) if isinstance(day, date) else None
