"""BI-RADS assessment categories as codes: CID 6027 "Assessment from BI-RADS" (PS3.16), which pydicom lists empty.

A category is matched by code and never by meaning: DICOM's meanings of 4B and 4C are not those of the 5th edition.
"""

from __future__ import annotations

from pydicom.sr.coding import Code

from models.types.birads import Category

ASSESSMENT_CATEGORY = Code("111005", "DCM", "Assessment Category")
CODES = {
    Category.ZERO: Code("397138000", "SCT", "0 - Incomplete - Need additional imaging evaluation +/- priors"),
    Category.ONE: Code("397140005", "SCT", "1 - Negative"),
    Category.TWO: Code("397141009", "SCT", "2 - Benign"),
    Category.THREE: Code("397143007", "SCT", "3 - Probably Benign"),
    Category.FOUR: Code("397144001", "SCT", "4 - Suspicious"),
    Category.FOUR_A: Code("MA.II.A.5.4A", "BI", "4A - Low suspicion", "4.0"),
    Category.FOUR_B: Code("MA.II.A.5.4B", "BI", "4B - Intermediate suspicion", "4.0"),
    Category.FOUR_C: Code("MA.II.A.5.4C", "BI", "4C - Moderate suspicion", "4.0"),
    Category.FIVE: Code("397145000", "SCT", "5 - Highly suggestive of malignancy"),
    Category.SIX: Code("MA.II.A.5.6", "BI", "6 - Known biopsy proven malignancy", "4.0"),
}
"""The code of every category except ONE_OR_TWO, which has none."""

# Codes of older documents: SNOMED RT, and BI-RADS codes up to 2003 (CP-527).
_SNOMED_RT = {
    "F-037BB": Category.ZERO,
    "F-037BC": Category.ONE,
    "F-037BD": Category.TWO,
    "F-037BF": Category.THREE,
    "F-037C0": Category.FOUR,
    "F-037C1": Category.FIVE,
}
_OLD_BIRADS = {
    "II.AC.a": Category.ZERO,
    "II.AC.b.1": Category.ONE,
    "II.AC.b.2": Category.TWO,
    "II.AC.b.3": Category.THREE,
    "II.AC.b.4": Category.FOUR,
    "II.AC.b.5": Category.FIVE,
}
# Of the Uruguayan extension of SNOMED CT (its namespace is 1000179). International SNOMED CT has no such codes, so that
# value sets of other countries use these (HL7 Portugal, Lithuania, United States).
_SNOMED_EXTENSION = {
    "6121000179106": Category.FOUR_A,
    "6131000179108": Category.FOUR_B,
    "6141000179100": Category.FOUR_C,
    "6111000179101": Category.SIX,
}
_KNOWN = (
    {(code.scheme_designator, code.value): category for category, code in CODES.items()}
    # One terminology under three names (PS3.16 section 8.1).
    | {(scheme, value): category for scheme in ("SRT", "SNM3", "99SDM") for value, category in _SNOMED_RT.items()}
    | {("BI", value): category for value, category in _OLD_BIRADS.items()}
    | {("SCT", value): category for value, category in _SNOMED_EXTENSION.items()}
)


_SCHEMES = dict.fromkeys(("SNOMED-CT", "SNOMEDCT", "SNOMED CT", "SNOMED", "2.16.840.1.113883.6.96"), "SCT")
"""Names under which SNOMED CT is sent outside DICOM: HL7 v2 table 0396 before version 2.7, and its OID."""


def category_of_code(designator: str, value: str) -> Category | None:
    """The category of a code (Coding Scheme Designator, Code Value); None if it is no category."""
    scheme = designator.strip()
    return _KNOWN.get((_SCHEMES.get(scheme.upper(), scheme), value.strip()))
