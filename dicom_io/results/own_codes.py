"""Concepts for which the standard has no code: ours, under a private coding scheme (PS3.16 section 8.2)."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.device import MANUFACTURER
from dicom_io.results import birads_codes
from dicom_io.uids import derive_uid
from models.types.birads import Agreement, Category
from models.types.mammogram import Laterality
from models.types.reference import ReferenceTenth

DESIGNATOR = "99MAMMONODE"

# 111047 (Probability of cancer) is kept for calibrated probabilities: viewers print a name and its number, no remark.
MALIGNANCY_SCORE = Code("SCORE", DESIGNATOR, "Malignancy score, not a probability")
SCORE_UNIT = Code("{score}", "UCUM", "score, 0 to 1")
PREVALENCE = Code("PREVALENCE", DESIGNATOR, "Prevalence of cancer that the probability holds for")

# Its meaning in a report is ReferenceTenth.name: viewers print a number's name and nothing else.
REFERENCE_TENTH = Code("REFERENCE_TENTH", DESIGNATOR, "Tenth of a reference set that the exam's score is in")
TENTH_UNIT = Code("{of_10}", "UCUM", "of 10, 10 has the highest scores")

RECALL = Code("RECALL", DESIGNATOR, "Probability against the site's recall threshold")
RECALL_THRESHOLD = Code("RECALL_THRESHOLD", DESIGNATOR, "Recall threshold")
RECALLED = {
    True: Code("ABOVE", DESIGNATOR, "Above the recall threshold"),
    False: Code("NOT_ABOVE", DESIGNATOR, "Not above the recall threshold"),
}

# A machine's category is no assessment: another concept name, and values that cannot be mistaken for BI-RADS
# categories.
CATEGORY_RANGE = Code("CATEGORY_RANGE", DESIGNATOR, "BI-RADS category whose likelihood range holds this probability")
_RANGES = {
    category: Code(f"RANGE_{category}", DESIGNATOR, f"{words}, the range of {category}")
    for category, words in (
        (Category.THREE, "> 0 to <= 2 %"),
        (Category.FOUR, "> 2 to < 95 %"),
        (Category.FOUR_A, "> 2 to <= 10 %"),
        (Category.FOUR_B, "> 10 to <= 50 %"),
        (Category.FOUR_C, "> 50 to < 95 %"),
        (Category.FIVE, ">= 95 %"),
    )
}
_NIL_IN_BREAST = Code("RANGE_1-2_BREAST", DESIGNATOR, "<= 0.3 % of a breast, the range of 1 and 2")
_NIL_IN_EXAM = Code("RANGE_1-2_EXAM", DESIGNATOR, "<= 0.6 % of an exam, the range of 1 and 2")

CODED_CATEGORIES = birads_codes.CODES | {
    Category.ONE_OR_TWO: Code("1-2", DESIGNATOR, "1 or 2 - Negative or benign, not told apart")
}
"""For sites with coded_category: software that matches codes does not read 1-2 as 1 or as 2."""
POINTS_AWAY = Code("POINTS_AWAY", DESIGNATOR, "Distance of probability from that category's range")

# The radiologist's category is never written under 111005, by which software finds assessments.
CONCORDANCE = Code("CONCORDANCE", DESIGNATOR, "Models and radiologist: agreement on recall")
QUOTED_CATEGORY = Code("QUOTED_CATEGORY", DESIGNATOR, "Radiologist's assessment category, quoted")
QUOTED_FROM = Code("QUOTED_FROM", DESIGNATOR, "Way by which the quoted category came")
AGREEMENTS = {
    Agreement.AGREE: Code("AGREE", DESIGNATOR, "Agree on recall"),
    Agreement.AI_HIGHER: Code("AI_HIGHER", DESIGNATOR, "AI alone recalls"),
    Agreement.AI_LOWER: Code("AI_LOWER", DESIGNATOR, "Radiologist alone recalls"),
    Agreement.NOT_COMPARED: Code("NOT_COMPARED", DESIGNATOR, "Not compared"),
}


def range_of(category: Category, laterality: Laterality | None) -> Code:
    """A category's likelihood range, in words as its meaning; of a breast, or (None) of the exam.

    Raises:
        KeyError: 0 and 6 stand for no likelihood.
    """
    if category in (Category.ONE, Category.TWO, Category.ONE_OR_TWO):
        return _NIL_IN_BREAST if laterality else _NIL_IN_EXAM
    return _RANGES[category]


def tenth_name(tenth: ReferenceTenth) -> Code:
    """The concept name of a tenth: the name of its reference set is part of it."""
    return Code(REFERENCE_TENTH.value, DESIGNATOR, tenth.name)


def coding_scheme() -> Dataset:
    """The item for 99MAMMONODE in the Coding Scheme Identification Sequence (PS3.3 section C.12.1.1.2)."""
    item = Dataset()
    item.CodingSchemeDesignator = DESIGNATOR
    item.CodingSchemeUID = derive_uid(MANUFACTURER, "coding scheme")
    item.CodingSchemeName = f"{MANUFACTURER}'s own concepts"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item
