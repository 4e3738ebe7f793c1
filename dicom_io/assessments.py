"""A radiologist's BI-RADS categories out of a structured report by somebody else.

TID 4200 Breast Imaging Report (PS3.16) and whatever else holds (111005, DCM, "Assessment Category") and says that a
person observed it. Concepts are matched by code, never by meaning. A category without a person
observer, or of a device or an algorithm, does not count: a machine must never be mistaken for a radiologist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path as FilePath

from pydicom import Dataset

from dicom_io.attributes import code, items, text
from dicom_io.content_tree import Item, Path, paths_to, read_tree
from dicom_io.device import is_ours
from dicom_io.errors import NotReadable
from dicom_io.moments import moment, moment_of
from dicom_io.results.birads_codes import category_of_code
from dicom_io.segmentations import read_header
from models.types.birads import Category, most_severe
from models.types.mammogram import Laterality

_COMPUTER_AIDED = frozenset(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (50, 65, 69))
"""Mammography, Chest and Colon CAD SR (PS3.4 Annex B.5): always made by machines."""
_CATEGORY = ("DCM", "111005")
_OVERALL = ("DCM", "111413")
_OBSERVER_TYPE, _PERSON, _PERSON_NAME = ("DCM", "121005"), ("DCM", "121006"), ("DCM", "121008")
_DEVICE_TYPE = ("DCM", "121007")
_DEVICE = frozenset(("DCM", str(number)) for number in range(121012, 121018))
"""Device Observer UID, Name, Manufacturer, Model Name, Serial Number and Physical Location: a device observed, even
where no observer type says so."""
_ALGORITHM = frozenset(("DCM", str(number)) for number in range(111000, 111004))
"""Algorithm Family, Name, Parameters and Version."""
_CURRENT = frozenset(
    {("DCM", number) for number in ("121070", "121071", "121072", "121073", "121076", "121077", "121111", "111412")}
    | {("DCM", number) for number in ("111413", "111033", "111034", "111059", "125007", "126010")}
    | {("LN", number) for number in ("59776-5", "19005-8", "55110-1", "55112-7")}
)
"""Headings and items that state what is found now (PS3.16 CID 7001, 7002, 6052 and 6053, also by their codes before
2015): Findings, Impressions, Conclusions, Summary and one of each, Overall Assessment, measurements. Below any other
heading (Previous Findings, History, Indications, Comparison to Previous Studies, Physical Examination Results, …) a
category is that of another exam, or why this one was made."""
MOST_CATEGORIES = 500
_LATERALITY = frozenset({("SCT", "272741003"), ("SRT", "G-C171")})
_SITE = frozenset({("SCT", "363698007"), ("SRT", "G-C0E3")})
_FINDING, _FOLLOW_UP = frozenset({("DCM", "121071")}), frozenset({("DCM", "111053")})
_PROCEDURE = frozenset({("DCM", "121058")})
"""Finding Site, Finding, Recommended Follow-up and Procedure Reported have a laterality beneath them."""
_SIDES = {
    "L": ("7771000", "80248007", "G-A101", "T-04030"),
    "R": ("24028007", "73056007", "G-A100", "T-04020"),
    "LR": ("51440002", "63762007", "G-A102", "T-04080"),
}
_SIDES_OF = {value: tuple(map(Laterality, sides)) for sides, values in _SIDES.items() for value in values}
"""Left, right, both (PS3.16 CID 6022 and 244); breasts; in SNOMED CT and SNOMED RT, whose values are disjoint."""


@dataclass(frozen=True)
class StatedAssessment:
    """A category as a document (SR, HL7 message or CSV row) states it.

    Attributes:
        document: its document: a SOP Instance UID, a message's control ID, a file and its line.
        study_instance_uid: of its study; "" if the document does not state it, like the next two.
        accession_number: of the order.
        patient_id: several IDs are joined by a backslash, as DICOM joins values.
        laterality: None: the exam.
        assessed_at: the time of the assessment; None if the document does not state it.
        order: the key of the order, if later documents about the same order replace this one; else "".
    """

    document: str
    study_instance_uid: str
    accession_number: str
    patient_id: str
    laterality: Laterality | None
    category: Category
    assessed_at: datetime | None
    order: str = ""


def read_assessments(dataset: Dataset) -> list[StatedAssessment]:
    """The categories that a person assigned, one for each breast or the exam; empty if the report has none.

    Only what stands below headings of current findings, impressions and assessments counts (`_CURRENT`), or directly in
    the document. An overall assessment (111413) goes before those of findings: of the exam before all of them, of a
    breast before those of that breast. Of several findings of one breast the most severe category counts. Laterality is
    searched from the assessment outwards; that both breasts were examined (Procedure Reported) makes it the exam's,
    that a finding is bilateral makes it each breast's.

    Raises:
        NotReadable: it holds categories and none may be used (not final, by a machine, without a person observer, below
            another heading, or in a code that is no BI-RADS category), or its content is missing or damaged. The
            message is without patient data.
    """
    if not items(dataset, "ContentSequence"):
        raise NotReadable("A structured report without content.")
    root = read_tree(dataset)
    found = list(paths_to(root, _CATEGORY))
    if not found:
        return []
    if len(found) > MOST_CATEGORIES:
        raise NotReadable(f"It holds more than {MOST_CATEGORIES} BI-RADS categories: no report does.")
    if not _is_final(dataset):
        raise NotReadable("Its BI-RADS category is not final: the report is preliminary, or not said to be complete.")
    if is_ours(dataset):
        raise NotReadable("Its BI-RADS category was written by a mammo-node.")
    if text(dataset, "SOPClassUID") in _COMPUTER_AIDED:
        raise NotReadable("Its BI-RADS category is a computer's: the report is a CAD SR.")
    verified = _is_verified(dataset)
    by_person = [path for path in found if _is_by_person(path, verified)]
    if not by_person:
        raise NotReadable(
            "Its BI-RADS category is not said to be a person's: no person observer, one beside a device, or an "
            "algorithm."
        )
    current = [path for path in by_person if _is_current(path)]
    if not current:
        raise NotReadable(
            "Its BI-RADS category is below no heading of current findings, impressions or assessments: it may be of an "
            "earlier exam."
        )
    overall, of_findings = _Sides(), _Sides()
    for path in current:
        category = _category(path[-1])
        group = overall if any(item.name == _OVERALL for item in path) else of_findings
        for side in _sides(path):
            group.setdefault(side, []).append(category)
    if None not in overall:
        overall.update({side: several for side, several in of_findings.items() if side not in overall})
    study, accession = _study(dataset), _accession(dataset)
    return [
        StatedAssessment(
            document=text(dataset, "SOPInstanceUID"),
            study_instance_uid=study,
            accession_number=accession,
            patient_id=text(dataset, "PatientID"),
            laterality=side,
            category=most_severe(several),
            assessed_at=_assessed_at(dataset),
        )
        for side, several in sorted(overall.items(), key=lambda pair: pair[0] or "")
    ]


_Sides = dict[Laterality | None, list[Category]]


def _category(item: Item) -> Category:
    category = category_of_code(*item.value) if item.value else None
    if category is None:
        raise NotReadable("Its assessment category is missing, or its code is no BI-RADS category.")
    return category


def _is_current(path: Path) -> bool:
    """Whether each heading and item between the document and a category, if it is named, is of the current exam."""
    return all(item.name is None or item.name in _CURRENT for item in path[1:-1])


def _is_by_person(path: Path, verified: bool) -> bool:
    """Whether a person observed: by the nearest item with an observer, else by the verification of the document.

    An algorithm near the category, or a device beside the person, makes it a machine's category. A person who verified
    the document takes responsibility for the device, but not for the algorithm.
    """
    *outer, category = path
    beside = outer[-1] if outer else category
    if beside.holds(_ALGORITHM) or any(item.named(_ALGORITHM) for item in outer):
        return False
    for item in reversed(path):
        observers = item.named(_DEVICE | {_OBSERVER_TYPE, _PERSON_NAME})
        if observers:
            by_device = any(observer.name in _DEVICE or observer.value == _DEVICE_TYPE for observer in observers)
            return any(observer.value == _PERSON or observer.person for observer in observers) and (
                verified or not by_device
            )
    return verified


def _is_final(document: Dataset) -> bool:
    return code(document, "CompletionFlag") == "COMPLETE" and code(document, "PreliminaryFlag") != "PRELIMINARY"


def _is_verified(document: Dataset) -> bool:
    by_somebody = any(
        text(observer, "VerifyingObserverName") for observer in items(document, "VerifyingObserverSequence")
    )
    return code(document, "VerificationFlag") == "VERIFIED" and by_somebody


def _sides(path: Path) -> Sequence[Laterality | None]:
    """The breasts that a category is about: said of it, or of what it stands in, the nearest first."""
    *outer, _ = path
    for item in reversed(path):
        # What stands beside the category is about the same; what stands farther out may be about another finding.
        beside = (_FINDING, _FOLLOW_UP) if outer and item is outer[-1] else ()
        for concepts in (_LATERALITY, _SITE, *beside):
            if sides := _agreed(item.named(concepts)):
                return sides
        if sides := _agreed(item.named(_PROCEDURE)):
            return sides if len(sides) == 1 else (None,)
    return (None,)


def _agreed(stating: Iterable[Item]) -> Sequence[Laterality | None]:
    """The sides that items or their laterality name; the exam where they name different ones; empty where none does."""
    named = {sides for item in stating for holder in (item, *item.named(_LATERALITY)) if (sides := _sides_of(holder))}
    return named.pop() if len(named) == 1 else (None,) if named else ()


def sides_of_code(value: str) -> tuple[Laterality, ...]:
    """The breasts that a code value stands for, in SNOMED CT or SNOMED RT; empty where it stands for none."""
    return _SIDES_OF.get(value, ())


def _sides_of(item: Item) -> tuple[Laterality, ...]:
    return sides_of_code(item.value[1]) if item.value else ()


def predecessors(dataset: Dataset) -> frozenset[str]:
    """The SOP Instance UIDs of the documents that a report takes the place of (PS3.3 section C.17.2.3)."""
    return frozenset(
        uid
        for study in items(dataset, "PredecessorDocumentsSequence")
        for series in items(study, "ReferencedSeriesSequence")
        for document in items(series, "ReferencedSOPSequence")
        if (uid := text(document, "ReferencedSOPInstanceUID"))
    )


def _study(dataset: Dataset) -> str:
    """The study that the report is about: its own, unless the images that it names as evidence, or the request that it
    answers, are of another; "" where they are of several others."""
    own = text(dataset, "StudyInstanceUID")
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "ReferencedRequestSequence"):
        named = {uid for item in items(dataset, keyword) if (uid := text(item, "StudyInstanceUID"))}
        if named:
            return own if own in named else named.pop() if len(named) == 1 else ""
    return own


def _accession(dataset: Dataset) -> str:
    requests = {text(item, "AccessionNumber") for item in items(dataset, "ReferencedRequestSequence")} - {""}
    return text(dataset, "AccessionNumber") or (requests.pop() if len(requests) == 1 else "")


def _assessed_at(dataset: Dataset) -> datetime | None:
    verified = [
        at
        for observer in items(dataset, "VerifyingObserverSequence")
        if (at := moment_of(observer, "VerificationDateTime", dataset))
    ]
    return max(verified, default=None) or moment(dataset, "ContentDate", "ContentTime")


@dataclass(frozen=True)
class ReadReport:
    """The content of a report.

    Attributes:
        replaces: the SOP Instance UIDs of the documents that it replaces, including its own.
        refusal: why its categories are not used; None if they are, or if there are none.
        takes_back: the SOP Instance UIDs of the documents that it replaces without a category that is used: what they
            state may have changed. Empty for a report that is not final.
    """

    stated: tuple[StatedAssessment, ...]
    replaces: frozenset[str]
    refusal: str | None
    takes_back: frozenset[str] = frozenset()


def read_report(path: FilePath) -> ReadReport:
    """Reads a structured report. The node does so in a worker process, so this module imports no database.

    Raises:
        NotReadable: the file is damaged.
        OSError: the file cannot be read.
    """
    dataset = read_header(path)
    itself = frozenset({text(dataset, "SOPInstanceUID")})
    try:
        stated = tuple(read_assessments(dataset))
        why = None
    except NotReadable as refusal:
        stated, why = (), str(refusal)
    earlier = predecessors(dataset)
    if stated:
        return ReadReport(stated, itself | earlier, None)
    return ReadReport((), itself, why, earlier if _is_final(dataset) and not is_ours(dataset) else frozenset())
