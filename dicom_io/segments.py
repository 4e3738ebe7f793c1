"""The segments that a DICOM SEG describes (PS3.3 section C.8.20.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom import Dataset

from dicom_io.attributes import code, items, number, text
from models.types.reading import FindingKind

# Segmented Property Type codes: those that mammo-node writes (CID 7150 and 6014), and those that others use for the
# same.
_KINDS = {
    "129788004": FindingKind.MASS,  # SCT, Mammographic breast mass
    "129793001": FindingKind.MASS,  # SCT, Mammography breast density: a mass in one view only
    "4147007": FindingKind.MASS,  # SCT, Mass
    "M-03000": FindingKind.MASS,  # SRT, Mass
    "129769006": FindingKind.CALCIFICATION,  # SCT, Calcification Cluster
    "129770007": FindingKind.CALCIFICATION,  # SCT, Individual Calcification
    "111459": FindingKind.MASS_WITH_CALCIFICATIONS,  # DCM, Mass with calcifications
    "F-01775": FindingKind.CALCIFICATION,  # SRT, Calcification Cluster
}
_LESION = r"(?:calc|mass)\w*"
_MICRO_LESION = r"\w*(?:calc|mass)\w*"
_NOTHING_OF = (
    r"(?:without|w/o|outside|neither|free (?:of|from)|absence of|lack(?:s|ing)?|negative for|not?(?!\.|\W*\d))"
)
# "No. 2" is a number. The words between belong to what is absent until another part of the description begins.
_BETWEEN = r"(?:[\s/-]+(?!(?:and|but|with)\b)(?:associat\w+\s+with|\w+)){0,6}?[\s/-]+"
# "Without calcifications", "neither mass nor calcs", "noncalcified", "outside of a mass", "calcifications: none": what
# is not there does not count.
_ABSENT = re.compile(
    rf"\b{_NOTHING_OF}{_BETWEEN}{_MICRO_LESION}(?:\s+n?or{_BETWEEN}{_MICRO_LESION})*"
    rf"|\b(?:non|un)[\s-]*{_LESION}"
    rf"|\b{_MICRO_LESION}(?:\W+(?:is|are))?\W+(?:absent|none|free(?! of| from)|not (?:seen|present))\b",
    re.IGNORECASE,
)
# "Mass or calcification" is not both, and does not say which.
_EITHER = re.compile(rf"\b{_MICRO_LESION}\s+(?:or|vs\.?|versus)\s+(?:\w+\s+)?{_MICRO_LESION}", re.IGNORECASE)
# The first pattern that occurs in what is left decides.
_WORDS = (
    (re.compile(r"mass.*calc|calc.*mass", re.IGNORECASE | re.DOTALL), FindingKind.MASS_WITH_CALCIFICATIONS),
    (re.compile("mass", re.IGNORECASE), FindingKind.MASS),
    (re.compile("calc", re.IGNORECASE), FindingKind.CALCIFICATION),
    (re.compile("tumou?r|nodule", re.IGNORECASE), FindingKind.MASS),
)


@dataclass(frozen=True)
class Segment:
    """A segment as the header describes it.

    Attributes:
        number: Segment Number.
        label: Segment Label.
        kind: by the code of the property type, else by the words of label, description and code meaning; None if
            unknown.
        automatic_by: Segment Algorithm Name if the algorithm type is AUTOMATIC ("" if it has none); else None.
        by_hand: whether the algorithm type is MANUAL.
    """

    number: int
    label: str
    kind: FindingKind | None
    automatic_by: str | None
    by_hand: bool


def segments_of(dataset: Dataset) -> list[Segment]:
    """The segments that the header describes, without the background of a LABELMAP (PS3.3 section C.8.20.2)."""
    described = [_described(item) for item in items(dataset, "SegmentSequence")]
    return [segment for segment in described if segment.number != 0]


def _described(item: Dataset) -> Segment:
    label = text(item, "SegmentLabel")
    algorithm_type = code(item, "SegmentAlgorithmType")
    return Segment(
        number=int(number(item, "SegmentNumber") or 0),
        label=label,
        kind=_kind(item, label),
        automatic_by=text(item, "SegmentAlgorithmName") if algorithm_type == "AUTOMATIC" else None,
        by_hand=algorithm_type == "MANUAL",
    )


def _kind(item: Dataset, label: str) -> FindingKind | None:
    types = items(item, "SegmentedPropertyTypeCodeSequence")
    for coded in types:
        if kind := _KINDS.get(text(coded, "CodeValue")):
            return kind
    descriptions = (label, text(item, "SegmentDescription"), *(text(coded, "CodeMeaning") for coded in types))
    for description in descriptions:
        present = _EITHER.sub("", _ABSENT.sub("", description))
        for pattern, kind in _WORDS:
            if pattern.search(present):
                return kind
    return None
