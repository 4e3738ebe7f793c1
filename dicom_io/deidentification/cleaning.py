"""Removes a person's identity from a data set, in sequences too (PS3.15 Annex E, Basic Application Level
Confidentiality Profile)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import permutations

from pydicom import DataElement, Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import UID

from dicom_io.attributes import text
from dicom_io.deidentification.attributes import CODING_SCHEMES, EDITION, EQUIPMENT, PIXELS, Fate, fate_of
from dicom_io.errors import NotReadable

_DUMMIES: Mapping[str, object] = {
    "AS": "000Y", "DA": "19000101", "DT": "19000101000000", "TM": "000000", "UR": "https://removed.invalid",
    "DS": "0", "IS": "0", "OB": b"\0\0",
}  # fmt: skip
"""By VR; of texts `_TEXT`, of binary numbers 0."""
_TEXT = "REMOVED"
_SAY_NOTHING = frozenset((_TEXT, "0", *(value for value in _DUMMIES.values() if isinstance(value, str))))
"""The values that are written in place of others."""
_TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT")
_SHORTEST = 3
"""Letters or digits of an identifier that is looked for in the texts that stay."""
_LONG = 5
"""Letters or digits of an ID that is looked for inside of words and in numbers too. A shorter one is there by chance:
"512" is also a number of rows, and "102" is in the code "R-102D6"."""
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{0,16}")
"""What the VR CS allows (PS3.5 section 6.2)."""
_CODES = frozenset({"CodeValue", "LongCodeValue", "URNCodeValue", "CodingSchemeDesignator", "CodingSchemeVersion"})
_WORD = re.compile(r"[^\W_]+")
_LETTERS_OR_DIGITS = re.compile(r"[^\W\d_]+|\d+")
_DIGITS = 64
_NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV", "US or SS"})


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
        ids: IDs, accession numbers, birth dates and so on: their letters and digits alone, in lower case. The longer
            runs of digits in them are IDs too, with and without leading zeros.
        names: the words of each name, in lower case.
        uids: all but those of the standard.
    """

    ids: frozenset[str]
    names: frozenset[frozenset[str]]
    uids: frozenset[str]

    def is_in(self, value: str, *, is_equipment: bool, is_code: bool) -> bool:
        """Whether a text holds a UID, a longer ID in any place, or a shorter ID or a part of a name as one of its
        words. A text that names equipment may have one part of a name (the manufacturer of a patient called Siemens),
        but neither a whole name of several parts nor two longer parts of one. In names of equipment and in codes a word
        does not end between a letter and a digit for a shorter ID."""
        lower = value.lower()
        together, words = _together(lower), _words(lower)
        whole_words = frozenset(_WORD.findall(lower))
        short_in = whole_words if is_equipment or is_code else words | whole_words
        if any(each in together if len(each) >= _LONG else each in short_in for each in self.ids):
            return True
        if any(uid in value for uid in self.uids):
            return True
        return any(_is_named(parts, words, together, one_is_enough=not is_equipment) for parts in self.names)

    def is_in_number(self, value: str) -> bool:
        """Whether a number is a longer ID, or holds one in the digits before its point. Behind the point an ID is all
        the digits: it would be there by chance else."""
        whole, _, fraction = value.strip().lstrip("+-").partition(".")
        texts = {whole, _as_whole_number(value)}
        longer = [each for each in self.ids if len(each) >= _LONG]
        return any(each == fraction or any(each in text for text in texts) for each in longer)


def identity_in(dataset: Dataset) -> Identity:
    """The identity that a data set states, in its sequences too."""
    ids, names, uids = set[str](), set[frozenset[str]](), set[str]()
    for element in _elements(dataset):
        values = _values(element)
        if element.VR == "PN":
            # A name may be written in several alphabets, with = between them (PS3.5 section 6.2.1.1).
            for name in (name for value in values for name in value.split("=")):
                names.add(frozenset(word for word in _words(name.lower()) if not word.isdecimal()))
                ids.update(_long_numbers(name))
        elif element.keyword in _IDENTIFIERS:
            ids.update(_together(value.lower()) for value in values)
            ids.update(number for value in values for number in _long_numbers(value))
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
        clean = _cleaned(dataset, how.other_uid, rows)
        found = next(_left(clean, identity_in(dataset)), None)
    except NotReadable:
        raise
    except Exception as cause:  # a malformed value can raise anything in pydicom
        raise NotReadable("The header has a value that cannot be read.") from cause
    if found is not None:
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
    if element.VR == "CS" and not all(map(_CODE_STRING.fullmatch, _values(element))):
        allowed = [value if _CODE_STRING.fullmatch(value) else _TEXT for value in _values(element)]
        return DataElement(element.tag, "CS", allowed)
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
    """The keywords of attributes in which something of the identity is left. Pixels are not looked at, and a value that
    is written in place of another says nothing."""
    for element in _elements(clean):
        if element.VR == "SQ" or element.keyword in PIXELS:
            continue
        values = [value for value in _values(element) if value not in _SAY_NOTHING]
        if any(_is_left(element, value, identity) for value in values):
            yield element.keyword


def _is_left(element: DataElement, value: str, identity: Identity) -> bool:
    if element.VR == "UI":
        return value in identity.uids
    if element.VR == "AT":
        return _together(value.lower()) in identity.ids
    if element.VR in _NUMBERS:
        return identity.is_in_number(value)
    return identity.is_in(value, is_equipment=element.keyword in EQUIPMENT, is_code=element.keyword in _CODES)


def _is_named(parts: frozenset[str], words: frozenset[str], together: str, *, one_is_enough: bool) -> bool:
    """Whether a text names a person: by all parts of a name, two longer ones, or one where that is enough."""
    longer = _longer(parts)
    if len(longer & words) > (0 if one_is_enough else 1):
        return True
    if len(parts) > 1 and sum(map(len, parts)) > _SHORTEST and parts <= words:
        return True
    return any(f"{one}{other}" in together for one, other in permutations(longer, 2))


def _longer(texts: Iterable[str]) -> frozenset[str]:
    """Those that are long enough to be looked for alone."""
    return frozenset(text for text in texts if len(text) >= _SHORTEST)


def _words(value: str) -> frozenset[str]:
    """Its runs of letters and its runs of digits."""
    return frozenset(_LETTERS_OR_DIGITS.findall(value))


def _together(value: str) -> str:
    """Its letters and digits alone."""
    return "".join(_WORD.findall(value))


def _long_numbers(value: str) -> Iterator[str]:
    for digits in re.findall(r"\d+", value):
        yield from (each for each in (digits, digits.lstrip("0")) if len(each) >= _LONG)


def _as_whole_number(value: str) -> str:
    """A number that is written in another way (4.711E6, 4711000.0) as digits; "": it is no whole number."""
    try:
        number = abs(Decimal(value.strip()))
    except InvalidOperation:
        return ""
    # More digits than any ID, and than fit into a value of DS.
    if not number.is_finite() or number.adjusted() > _DIGITS or number != number.to_integral_value():
        return ""
    return f"{number:.0f}"


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
