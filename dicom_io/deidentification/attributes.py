"""What becomes of each attribute by PS3.15 table E.1-1 (Basic Application Level Confidentiality Profile).

The table is that of the package dicom-anonymizer, which makes it from the standard (edition 2026c). Only the table is
used: the package replaces attributes of the data set itself, and not those in sequences, and draws UIDs at random.
Where the table leaves a choice by the object's definition (X/Z, X/D, Z/D, X/Z/D), what conforms everywhere is done.

The table has no row for most attributes. Those that may hold words, names, dates or addresses are emptied too, except
for technical ones (`TECHNICAL`); so is data whose meaning is not known, and all else that is known of the patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from dicomanonymizer import simpledicomanonymizer
from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.sr._concepts_dict import concepts
from pydicom.tag import BaseTag

EDITION = "2026c"


class Fate(Enum):
    """What becomes of an attribute's value."""

    REMOVED = "X"
    EMPTY = "Z"
    DUMMY = "D"
    OTHER_UID = "U"
    CLEANED_INSIDE = "U*"
    """A sequence that stays, for the references in it; its items are cleaned."""
    KEPT = "K"


EQUIPMENT = frozenset(
    {
        "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "SegmentAlgorithmName", "FilterType",
        "ConvolutionKernel", "DetectorManufacturerName", "DetectorManufacturerModelName",
    }
)  # fmt: skip
"""Attributes of words that stay and name equipment or its parts. Their words may be people's names too (Siemens, say):
one part of a name in them is no leak."""
TECHNICAL = EQUIPMENT | frozenset(
    {
        "AcquisitionDeviceProcessingCode", "WindowCenterWidthExplanation", "LUTExplanation", "ModalityLUTType",
        "RescaleType",
        "CodeValue", "LongCodeValue", "URNCodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning",
    }
)  # fmt: skip
"""Attributes of words that stay: they name equipment, processing, or a code."""
PIXELS = frozenset({"PixelData", "LUTData"})
"""Data that stays; the pixels are written anew (image.py)."""

CODING_SCHEMES = frozenset((*concepts, "SRT", "SNM3", "99SDM", "BI"))
"""Designators of the standard's dictionary of codes (PS3.16), and those of older editions: a code's meaning stays with
them alone, since that of a site's own code may be any text."""

_PATIENT = 0x0010
"""The group of what is known of the patient."""
_FIRST_GROUP = 0x0008
"""Lower ones are for messages and files."""
_OVERLAYS_AND_CURVES = frozenset((*range(0x5000, 0x5100, 2), *range(0x6000, 0x6100, 2)))
_WORDS = frozenset({"AE", "AS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"})
_DATA = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW", "US or OW"})
_FATES = {
    "replace": Fate.DUMMY,
    "empty": Fate.EMPTY,
    "delete": Fate.REMOVED,
    "replace_UID": Fate.OTHER_UID,
    "empty_or_replace": Fate.DUMMY,
    "delete_or_empty": Fate.EMPTY,
    "delete_or_replace": Fate.DUMMY,
    "delete_or_empty_or_replace": Fate.DUMMY,
    "delete_or_empty_or_replace_UID": Fate.CLEANED_INSIDE,
}
"""By the name of the package's function for a code of the table."""


def table() -> Mapping[BaseTag, Fate]:
    """The rows of table E.1-1 for single attributes, by tag."""
    actions = simpledicomanonymizer.initialize_actions(f"dicomfields_{EDITION}")
    return MappingProxyType(
        {
            BaseTag((tag[0] << 16) + tag[1]): _FATES[action.__name__]
            for tag, action in actions.items()
            if len(tag) == 2  # the others are the repeating groups 50xx and 60xx
        }
    )


def fate_of(tag: BaseTag, vr: str, rows: Mapping[BaseTag, Fate]) -> Fate:
    """What becomes of an attribute, by its row of the table, else by its kind.

    Args:
        rows: see `table`.
    """
    if tag.group < _FIRST_GROUP or tag.group in _OVERLAYS_AND_CURVES or tag.is_private or tag.element == 0:
        return Fate.REMOVED
    if tag in rows:
        return _safe(rows[tag], vr)
    if not dictionary_has_tag(tag) or tag.group == _PATIENT:
        return Fate.REMOVED
    keyword = keyword_for_tag(tag)
    if vr == "UI":
        return Fate.OTHER_UID
    if vr in _WORDS and keyword not in TECHNICAL:
        return Fate.EMPTY
    if vr in _DATA and keyword not in PIXELS:
        return Fate.REMOVED
    return Fate.KEPT


def _safe(fate: Fate, vr: str) -> Fate:
    """A sequence cannot have a dummy value that says nothing: it is removed. Nor has data whose VR is not known."""
    return Fate.REMOVED if fate is Fate.DUMMY and vr in ("SQ", "UN") else fate
