"""Whether what two headers state of their patient contradicts (safety rule 5). Imports no DICOM library, because the
database tables use it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class StatedPatient:
    """The patient as a header states it; "" for what it does not state.

    Attributes:
        patient_id: Patient ID (0010,0020).
        issuer: Issuer of Patient ID (0010,0021), as it is compared.
        birth_date: Patient's Birth Date (0010,0030).
        name: Patient's Name (0010,0010), as it is compared; "" where an ID is stated: names are changed and misspelt.
    """

    patient_id: str
    birth_date: str
    issuer: str = ""
    name: str = ""


def compared_name(name: str) -> str:
    """A person's name (VR PN, PS3.5 section 6.2.1) without what does not tell two people apart: case, repeated spaces,
    and carets and equals signs at the end."""
    groups = ["^".join(map(plain_words, group.split("^"))).rstrip("^") for group in name.split("=")]
    return "=".join(groups).rstrip("=")


def plain_words(words: str) -> str:
    """Words without case, repeated spaces and forms of one letter."""
    return " ".join(unicodedata.normalize("NFKC", words).casefold().split())


def contradiction(stated: Iterable[StatedPatient]) -> str:
    """In which attribute headers of one study contradict each other: its keyword; "" if they may be one patient's.

    What is not stated contradicts nothing; a study whose instances are received asks more of an absent ID
    (node/studies/lifecycle.py).
    """
    patients = set(stated)
    if len({patient.patient_id for patient in patients} - {""}) > 1:
        return "PatientID"
    if len({patient.issuer for patient in patients} - {""}) > 1:
        return "IssuerOfPatientID"
    if len({patient.birth_date for patient in patients} - {""}) > 1:
        return "PatientBirthDate"
    names = sorted({patient.name for patient in patients} - {""})
    return "PatientName" if any(_are_two(left, right) for left, right in combinations(names, 2)) else ""


def _are_two(left: str, right: str) -> bool:
    """Whether two names differ in a group (alphabetic, ideographic, phonetic) that both have, or share none."""
    both = [(one, other) for one, other in zip(left.split("="), right.split("="), strict=False) if one and other]
    return not both or any(one != other for one, other in both)
