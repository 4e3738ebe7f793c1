"""Concepts for which the standard has no code: ours, under a private coding scheme (PS3.16 section 8.2)."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.device import MANUFACTURER
from dicom_io.results import birads_codes
from dicom_io.uids import derive_uid
from models.types import Agreement, Category

DESIGNATOR = "99MAMMONODE"

# 111047 (Probability of cancer) is kept for calibrated probabilities: viewers print a name and its number, no remark.
MALIGNANCY_SCORE = Code("SCORE", DESIGNATOR, "Malignancy score, not a probability")
SCORE_UNIT = Code("{score}", "UCUM", "score, 0 to 1")
PREVALENCE = Code("PREVALENCE", DESIGNATOR, "Prevalence of cancer that the probability holds for")

IMPLIED_CATEGORIES = birads_codes.CODES | {
    Category.ONE_OR_TWO: Code("1-2", DESIGNATOR, "1 or 2 - Negative or benign, not told apart")
}
"""What a probability can imply, and more: who matches codes takes 1-2 neither for 1 nor for 2."""

# The radiologist's category never stands under 111005, by which readers of reports find assessments.
CONCORDANCE = Code("CONCORDANCE", DESIGNATOR, "Implied category against radiologist's")
QUOTED_CATEGORY = Code("QUOTED_CATEGORY", DESIGNATOR, "Radiologist's assessment category, quoted")
QUOTED_FROM = Code("QUOTED_FROM", DESIGNATOR, "Way by which the quoted category came")
AGREEMENTS = {
    Agreement.AGREE: Code("AGREE", DESIGNATOR, "Agree"),
    Agreement.AI_HIGHER: Code("AI_HIGHER", DESIGNATOR, "AI higher"),
    Agreement.AI_LOWER: Code("AI_LOWER", DESIGNATOR, "AI lower"),
    Agreement.NOT_COMPARED: Code("NOT_COMPARED", DESIGNATOR, "Not compared"),
}


def coding_scheme() -> Dataset:
    """Whose codes these are: an item of the Coding Scheme Identification Sequence (PS3.3 section C.12.1.1.2)."""
    item = Dataset()
    item.CodingSchemeDesignator = DESIGNATOR
    item.CodingSchemeUID = derive_uid(MANUFACTURER, "coding scheme")
    item.CodingSchemeName = f"{MANUFACTURER}'s own concepts"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item
