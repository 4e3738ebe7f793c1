"""Removes a person's identity from a data set, in sequences too (PS3.15 Annex E, Basic Application Level
Confidentiality Profile)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from pydicom import DataElement, Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID

from dicom_io.attributes import text
from dicom_io.deidentification.attributes import CODING_SCHEMES, EDITION, EQUIPMENT, Fate, fate_of
from dicom_io.errors import NotReadable

_DUMMIES: Mapping[str, object] = {
    "AS": "000Y", "DA": "19000101", "DT": "19000101000000", "TM": "000000", "UR": "https://removed.invalid",
    "DS": "0", "IS": "0", "OB": b"\0\0",
}  # fmt: skip
"""By VR; of texts `_TEXT`, of binary numbers 0."""
_TEXT = "REMOVED"
_TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT")
_SHORTEST = 3
"""Letters or digits of an identifier that is looked for in the texts that stay."""


@dataclass(frozen=True)
class Anonymity:
    """How identity is replaced.

    Attributes:
        other_uid: gives the UID that replaces one; always the same for the same, so that references stay right.
        patient: the Patient ID to write.
        by: what de-identifies, with its version.
    """

    other_uid: Callable[[str], str]
    patient: str
    by: str


@dataclass(frozen=True)
class Identity:
    """What leads to the patient, or to people who are named, in a data set: looked for in what stays.

    Attributes:
        ids: IDs, accession numbers, birth dates and so on, in lower case.
        names: the parts of each name, in lower case.
        uids: all but those of the standard.
    """

    ids: frozenset[str]
    names: frozenset[frozenset[str]]
    uids: frozenset[str]

    def is_in(self, value: str, *, is_equipment: bool) -> bool:
        """Whether a text holds a UID, an ID or a part of a name as one of its words. A text that names equipment may
        have one part of a name (the manufacturer of a patient called Siemens), but neither a whole name of several
        parts nor two longer parts of one."""
        words = set(_words(value))
        if self.ids & words or any(uid in value for uid in self.uids):
            return True
        if not is_equipment:
            return any(_longer(parts & words) for parts in self.names)
        return any(len(parts) > 1 and (parts <= words or len(_longer(parts & words)) > 1) for parts in self.names)


def identity_in(dataset: Dataset) -> Identity:
    """The identity that a data set states, in its sequences too."""
    ids, names, uids = set[str](), set[frozenset[str]](), set[str]()
    for element in _elements(dataset):
        values = _values(element)
        if element.VR == "PN":
            # A name may be written in several alphabets, with = between them (PS3.5 section 6.2.1.1).
            names.update(_parts(name) for value in values for name in value.split("="))
        elif element.keyword in _IDENTIFIERS:
            ids.update(value.lower() for value in values)
        elif element.VR == "UI":
            uids.update(value for value in values if not _is_of_the_standard(value))
    return Identity(_longer(ids), frozenset(names), frozenset(uids))


def cleaned(dataset: Dataset, how: Anonymity, rows: Mapping[BaseTag, Fate]) -> Dataset:
    """A copy without what identifies anybody, with the marks of de-identification (PS3.3 section C.12.1, PS3.15 section
    E.1.1). Pixels are copied as they are, and there is no File Meta Information.

    Args:
        rows: see dicom_io.deidentification.attributes.table.

    Raises:
        NotReadable: an attribute cannot be read, has no dummy value, or still holds something of the identity.
    """
    try:
        identity = identity_in(dataset)
        clean = _cleaned(dataset, how.other_uid, rows)
    except NotReadable:
        raise
    except Exception as cause:  # a malformed value can raise anything in pydicom
        raise NotReadable("The header has a value that cannot be read.") from cause
    if found := next(_left(clean, identity), None):
        raise NotReadable(f"{found} still holds a name, an ID or a UID of the original.")
    clean.PatientID = how.patient
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = [how.by, f"PS3.15 {EDITION} table E.1-1", "pixels not cleaned"]
    method = Dataset()
    method.CodeValue, method.CodingSchemeDesignator = "113100", "DCM"
    method.CodeMeaning = "Basic Application Confidentiality Profile"
    clean.DeidentificationMethodCodeSequence = Sequence([method])
    clean.LongitudinalTemporalInformationModified = "REMOVED"
    return clean


def _cleaned(dataset: Dataset, other_uid: Callable[[str], str], rows: Mapping[BaseTag, Fate]) -> Dataset:
    clean = Dataset()
    for tag in dataset.keys():  # noqa: SIM118 - iterating a Dataset gives elements
        element = dataset[tag]
        kept = _element(element, fate_of(element.tag, element.VR, rows), other_uid, rows)
        if kept is not None:
            clean.add(kept)
    if "CodeMeaning" in clean and text(dataset, "CodingSchemeDesignator") not in CODING_SCHEMES:
        clean.CodeMeaning = _TEXT
    return clean


def _cleaned_item(item: Dataset, other_uid: Callable[[str], str], rows: Mapping[BaseTag, Fate]) -> Dataset:
    """Without pixels, such as those of a small picture: only the image's own are written anew."""
    clean = _cleaned(item, other_uid, rows)
    clean.pop("PixelData", None)
    return clean


def _element(
    element: DataElement, fate: Fate, other_uid: Callable[[str], str], rows: Mapping[BaseTag, Fate]
) -> DataElement | None:
    match fate:
        case Fate.REMOVED:
            return None
        case Fate.EMPTY:
            return DataElement(element.tag, element.VR, None)
        case Fate.DUMMY:
            return DataElement(element.tag, element.VR, None if element.is_empty else _dummy(element, other_uid))
    if element.VR == "SQ":
        items = Sequence([_cleaned_item(item, other_uid, rows) for item in element.value])
        return DataElement(element.tag, "SQ", items)
    if element.VR == "UI":
        return DataElement(element.tag, "UI", _others(element, other_uid))
    return element


def _dummy(element: DataElement, other_uid: Callable[[str], str]) -> object:
    if element.VR == "UI":
        return _others(element, other_uid)
    if element.VR in _TEXTS:
        return _TEXT
    if element.VR in ("FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"):
        return 0
    if element.VR not in _DUMMIES:
        raise NotReadable(f"{element.keyword} has the VR {element.VR}, for which there is no dummy value.")
    return _DUMMIES[element.VR]


def _others(element: DataElement, other_uid: Callable[[str], str]) -> list[UID]:
    """The UIDs that replace those of an element; those of the standard, of SOP classes say, stay."""
    return [UID(value if _is_of_the_standard(value) else other_uid(value)) for value in _values(element)]


def _is_of_the_standard(uid: str) -> bool:
    """Whether PS3.6 has it, as the UID of a SOP class, say."""
    return UID(uid).name != uid


def _left(clean: Dataset, identity: Identity) -> Iterator[str]:
    """The keywords of attributes in which something of the identity is left."""
    for element in _elements(clean):
        if element.VR == "UI" and identity.uids & set(_values(element)):
            yield element.keyword
        elif element.VR in _TEXTS:
            is_equipment = element.keyword in EQUIPMENT
            if any(identity.is_in(value, is_equipment=is_equipment) for value in _values(element)):
                yield element.keyword


def _parts(name: str) -> frozenset[str]:
    return frozenset(filter(None, re.split(r"[\s^=,.]+", name.lower())))


def _longer(texts: Iterable[str]) -> frozenset[str]:
    """Those that are long enough to be looked for alone."""
    return frozenset(text for text in texts if len(text) >= _SHORTEST)


def _words(value: str) -> Iterator[str]:
    """A text and its words, in lower case."""
    yield value.lower()
    yield from re.split(r"[\s^=,.;:/\\()]+", value.lower())


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    for element in dataset:
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)


def _values(element: DataElement) -> list[str]:
    if element.is_empty:
        return []
    value = element.value
    return [str(each).strip() for each in (value if isinstance(value, MultiValue | list) else [value])]


_IDENTIFIERS = frozenset(
    {
        "PatientID", "OtherPatientIDs", "PatientBirthDate", "AccessionNumber", "AdmissionID",
        "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest",
        "PatientAddress", "PatientTelephoneNumbers", "InsurancePlanIdentification",
    }
)  # fmt: skip
