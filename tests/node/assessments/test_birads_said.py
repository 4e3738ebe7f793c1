"""The text of a report gives the category that its writer meant."""

from __future__ import annotations

import pytest
from assessing import REFUSED, understood

from node.assessments.text.report import categories_in, category_in, sides_in

SAID = {
    # of the exam
    "BI-RADS 4A": " 4A",
    "BIRADS: 4a": " 4A",
    "BIRADS4": " 4",
    "BI RADS 4": " 4",
    "BIRAD 4": " 4",
    "bi-rads® 3": " 3",
    "BI-RADS category 4": " 4",
    "ACR BI-RADS 0": " 0",
    "BI-RADS Final Assessment Category 2": " 2",
    "BI-RADS: III": " 3",
    "BI-RADS IVa": " 4A",
    "BI-RADS 4 b.": " 4B",
    "BI-RADS 4 a mass is seen": " 4",
    "BI-RADS 4\nA mass is seen": " 4",
    "BI-RADS 3 - probably benign": " 3",
    "Impression:\nBI-RADS\ncategory 5 - highly suggestive of malignancy": " 5",
    "Lt. ACR BI-RADS 2": " 2",
    "Drüsengewebe ACR 2. BI-RADS 2": " 2",
    "No mammographic evidence of malignancy, BI-RADS 1": " 1",
    "Kein Hinweis auf Malignität: BI-RADS 1": " 1",
    "IMPRESSION: BI-RADS 2 - Benign findings.": " 2",
    "BI-RADS 2: benign findings": " 2",
    "BI-RADS Category 2 benign findings": " 2",
    "BI-RADS 3 - lesions in both breasts": "LR 3",
    "No suspicious mass, no calcifications, BI-RADS 1": " 1",
    "Right breast: no findings, BI-RADS 1": "R 1",
    "Rechts: keine suspekten Befunde, BI-RADS 1": "R 1",
    "BI-RADS 4, call right away": " 4",
    "BI-RADS 4, 6 months follow-up": " 4",
    "BI-RADS 4, in 6 Monaten": " 4",
    "BI-RADS 2 re-evaluate in 1 year": " 2",
    "BI-RADS 1\nThis study was read with the aid of CAD.": " 1",
    "Incomplete (BI-RADS 0)": " 0",
    # with the density of the breast
    "BI-RADS 2 (ACR-Dichte b)": " 2",
    "BI-RADS 4 links, ACR c": "L 4",
    "BI-RADS 4, density c": " 4",
    "Dichte: ACR III, BI-RADS: II": " 2",
    "Brustdichte ACR 2, BIRADS 1 beidseits": "LR 1",
    "Density: B\nBI-RADS: 2": " 2",
    "Breast composition: c; BI-RADS 4A": " 4A",
    # no findings
    "No mammographic evidence of malignancy\nBI-RADS 1": " 1",
    "No suspicious mass or calcification, BI-RADS 1": " 1",
    "Benign findings without evidence of malignancy, BI-RADS 2": " 2",
    "No findings suggestive of malignancy - BI-RADS 1": " 1",
    "No suspicious abnormality in the left breast, BI-RADS 2": "L 2",
    "Kein Malignomverdacht (BI-RADS 1)": " 1",
    "Kein Hinweis auf Malignität beidseits, BI-RADS 1": "LR 1",
    "Geen tekenen van maligniteit beiderzijds, BI-RADS 1": "LR 1",
    "Dense. BI-RADS 4": " 4",
    "Bilateral mammogram: BI-RADS 4": " 4",
    "Mammographie beidseits:\nHerd links. BI-RADS 4": " 4",
    "BI-RADS 2.\n\nSigned: Dr. L. Smith": " 2",
    "Digital mammogram with CAD: BI-RADS 1": " 1",
    "Verdacht auf Karzinom: BI-RADS 5": " 5",
    "BI-RADS 4, referred for biopsy": " 4",
    "A woman of 58, 60 years old. BI-RADS 2, follow-up in 1 year": " 2",
    "BI-RADS score of 2": " 2",
    "BI-RADS #2": " 2",
    "IMPRESSION: 1. Benign. 2. BI-RADS 2.": " 2",
    "Result: BI-RADS 2": " 2",
    "Benign BI-RADS 2": " 2",
    "BI-RADS 3, return right away": " 3",
    "BI-RADS 0: Incomplete - Need Additional Imaging Evaluation and/or Prior Mammograms for Comparison": " 0",
    "BI-RADS 3: Probably benign - Initial Short-Interval Follow-Up Suggested": " 3",
    "BI-RADS 5: Highly suggestive of malignancy - Appropriate Action Should Be Taken.": " 5",
    "COMPARISON:\nNone.\n\nFINDINGS:\nMass.\n\nIMPRESSION:\nBI-RADS 4": " 4",
    "Referring physician: Dr. Smith.\nBI-RADS 2": " 2",
    # of a breast
    "BI-RADS 4, 2 cm mass left": "L 4",
    "BI-RADS 4 left 2 cm mass": "L 4",
    "left and right: BI-RADS 2": "LR 2",
    "B/L BI-RADS 2": "LR 2",
    "BI-RADS 4 on the right": "R 4",
    "The right breast has a mass, BI-RADS 4": "R 4",
    "Right upper outer quadrant mass, BI-RADS 4": "R 4",
    "Left axillary node, BI-RADS 4": "L 4",
    "Left diagnostic mammogram: BI-RADS 4": "L 4",
    "Right breast 10:00 N+5 mass, BI-RADS 4": "R 4",
    "BI-RADS 1 bilaterally": "LR 1",
    "BI-RADS-Kategorie 2 beidseits": "LR 2",
    "BI-RADS categorie 2, beide mammae": "LR 2",
    "Left breast previously BI-RADS 3, now BI-RADS 2": "L 2",
    "BI-\nRADS 4 left": "L 4",
    "BI-RADS 4 R, biopsy": "R 4",
    "BI-RADS 4 li Herd": "L 4",
    "BI-RADS 4 calcifications left": "L 4",
    "BI-RADS IV lesions left": "L 4",
    "BI-RADS V links": "L 5",
    "BI-RADS 4 left mass": "L 4",
    "Right nipple retracted. Needle withdrawn. Marker placed correctly. BI-RADS 4 right.": "R 4",
    # lists
    "Left breast: BI-RADS 4A. Right breast: BI-RADS 2.": "L 4A, R 2",
    "BI-RADS right 2, left 4": "R 2, L 4",
    "BI-RADS right 2; left 4": "R 2, L 4",
    "BI-RADS:\nRight: 2\nLeft: 4": "R 2, L 4",
    "BIRADS: R2, L4": "R 2, L 4",
    "Rt. breast : BIRADS - II\nLt. breast : BIRADS - IV": "R 2, L 4",
    "Right is BI-RADS 2 and left is BI-RADS 4": "R 2, L 4",
    "BI-RADS: R2 L4": "R 2, L 4",
    "R: BI-RADS 2, L: BI-RADS 4": "R 2, L 4",
    "R: BI-RADS 2. L: BI-RADS 4.": "R 2, L 4",
    "Lt breast: BI-RADS 4. Rt breast: BI-RADS 2.": "L 4, R 2",
    "BI-RADS 2 (right) and 4 (left)": "R 2, L 4",
    "BI-RADS 2 on the right and 4 on the left": "R 2, L 4",
    "BI-RADS 2 rechts, 4a links": "R 2, L 4A",
    "BI-RADS: 2 (re.) / 4 (li.)": "R 2, L 4",
    "BI-RADS 2 re, 4 li": "R 2, L 4",
    "Linkerborst BI-RADS 4b, rechterborst BI-RADS 1": "L 4B, R 1",
    "Impression: right breast BI-RADS 4, left breast BI-RADS 2.": "R 4, L 2",
    "Side\tBI-RADS\nRight\t2\nLeft\t4": "R 2, L 4",
    "1. BI-RADS 4 left.\n2. BI-RADS 2 right.": "L 4, R 2",
    "R+L BI-RADS 1": "LR 1",
    "BI-RADS 2 B/L": "LR 2",
    "BI-RADS category 2 for the right breast, category 4 for the left": "R 2, L 4",
    "Right normal (BI-RADS 1), left cyst (BI-RADS 2).": "R 1, L 2",
    "Kein Hinweis auf Malignität rechts (BI-RADS 1), links Herd (BI-RADS 4)": "R 1, L 4",
    "* BI-RADS 2 right breast\n* BI-RADS 4A left breast": "R 2, L 4A",
    "1. Right breast: Benign. BI-RADS 2.\n2. Left breast: Suspicious. BI-RADS 4B.": "R 2, L 4B",
    "1. Left mass. Biopsy. BI-RADS 4.\n2. Right breast clear. BI-RADS 1.\nOverall: BI-RADS 4": "L 4, R 1,  4",
    # lines of one form
    "BI-RADS Right: 2 Benign\nBI-RADS Left: 4A Low suspicion": "R 2, L 4A",
    "Right Breast, BI-RADS 2\nLeft Breast, BI-RADS 4": "R 2, L 4",
    "BI-RADS 2, Right Breast\nBI-RADS 4, Left Breast": "R 2, L 4",
    "Mammography BI-RADS (right): 2\nMammography BI-RADS (left): 4": "R 2, L 4",
    "RIGHT BREAST BI-RADS: 2\nLEFT BREAST BI-RADS: 4\nOVERALL BI-RADS: 4": "R 2, L 4,  4",
    # headings
    "Right breast: BI-RADS 5. Left breast: scar. BI-RADS 2.": "R 5, L 2",
    "Right breast: BI-RADS 5.\nLeft breast:\nScar. BI-RADS 2.": "R 5, L 2",
    "Right breast: BI-RADS 2\nLeft breast: BI-RADS 4": "R 2, L 4",
    "Left breast\nBI-RADS 4\nRight breast\nBI-RADS 2": "L 4, R 2",
    "Right breast:\n\nBI-RADS 2\n\nLeft breast:\n\nBI-RADS 4": "R 2, L 4",
    "Right breast. BI-RADS 2. Left breast. Mass, biopsy.": "R 2",
    "Right breast:\nMass.\nBI-RADS 2.\nLeft breast:\nScar.\nBI-RADS 2.": "R 2, L 2",
    "Mamma rechts:\nACR-Dichte B. BI-RADS 1.\nMamma links:\nHerd 12 mm. BI-RADS IV.": "R 1, L 4",
    "Right breast: a mass of 12 mm. Suspicious. BI-RADS 4.\nIMPRESSION: BI-RADS 4": "R 4,  4",
    "Left breast: BI-RADS 2. Right breast: BI-RADS 4.\nOverall: BI-RADS 4": "L 2, R 4,  4",
    "Right breast\nDensity: B\nBI-RADS: 1\n\nLeft breast\nDensity: B\nFindings: mass\nBI-RADS: 4": "R 1, L 4",
    "RIGHT\n Density: B\n BI-RADS: 2\nLEFT\n Density: B\n BI-RADS: 2": "R 2, L 2",
    "Right breast\nFindings: cyst. BI-RADS 2.\nLeft breast\nFindings: mass. BI-RADS 4.": "R 2, L 4",
    "Right breast:\nMass: none\nBI-RADS: 1\nLeft breast:\nMass: 9 mm\nBI-RADS: 4\nOverall BI-RADS: 4": "R 1, L 4,  4",
    "HISTORY:\nCOMPARISON:\nFINDINGS:\nNormal.\nIMPRESSION: BI-RADS 1": " 1",
    "PRIOR MAMMOGRAM:\nNone.\nIMPRESSION: BI-RADS 1": " 1",
    "COMPARISON:\nNone.\nRight breast: BI-RADS 2\nLeft breast: BI-RADS 1": "R 2, L 1",
    # lines that continue
    "Right breast: mass of\n12 mm. BI-RADS 4.": "R 4",
    "Suspicious mass of the left breast,\nBI-RADS category 4A.": "L 4A",
    "Mass in the\nright breast. BI-RADS 4.": " 4",
    "BI-RADS 2 in the\nright breast, BI-RADS 4 in the\nleft breast.": "R 2, L 4",
    # a conclusion after both breasts, and text after the only named breast
    "Left breast: mass. Right breast: normal.\nImpression: BI-RADS 4": " 4",
    "Left breast: mass.\nRight breast: normal.\n\nOverall BI-RADS 4": " 4",
    "Linke Brust: Herd. Rechte Brust: unauffällig.\nBeurteilung: BI-RADS 4": " 4",
    "Linkerborst: massa. Rechterborst: normaal.\nConclusie: BI-RADS 4": " 4",
    "FINDINGS:\nThe right breast has a scar. The left breast is normal.\n\nIMPRESSION:\nBenign.\n\nBI-RADS 2": " 2",
    "The right breast has a mass. The left one is normal.\n\nIMPRESSION:\nMass of the right breast.\n\nBI-RADS 0": " 0",
    "Impression: BI-RADS 4.\nFindings: Mass in the left breast, right breast normal.": " 4",
    "Right breast:\nNormal.\n\nBI-RADS 4": " 4",
    # no category
    "BI-RADS density 3": "nothing",
    "BI-RADS 3 density": "nothing",
    "Breast density: BI-RADS 3": "nothing",
    "According to BI-RADS 5th edition": "nothing",
    "BI-RADS 2013": "nothing",
    "4A": "nothing",
}


@pytest.mark.parametrize(("text", "meant"), SAID.items())
def test_category_and_breast_are_read_in_english_german_and_dutch(text: str, meant: str) -> None:
    assert understood(text) == meant


@pytest.mark.parametrize("hyphen", "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad\u200b")
def test_birads_is_recognised_with_any_hyphen_or_none(hyphen: str) -> None:
    assert understood(f"BI{hyphen}RADS 4 right") == "R 4"
    assert understood(f"BI-RADS 2{hyphen}3") == REFUSED if hyphen not in "\u00ad\u200b" else True


def test_a_past_category_beside_the_present_one_is_left_out() -> None:
    assert categories_in("Previously BI-RADS 3, now BI-RADS 2") == [((), "2")]


def test_a_field_or_cell_gives_its_category_or_none() -> None:
    values = (
        "4A",
        "4a ",
        "BI-RADS 4A",
        "BI\u2011RADS 4A",
        "4A - Low suspicion",
        "4A \u2013 Low suspicion",
        "II",
        "IVa",
    )
    assert [category_in(value) for value in values] == ["4A", "4A", "4A", "4A", "4A", "4A", "2", "4A"]
    none = (
        "",
        "7",
        "14",
        "2-3",
        "2\u20133",
        "397144001",
        "ONE",
        "II.AC.b.4",
        "3 to 4",
        "4A/B",
        "III-IV",
        "6 months follow-up",
        "0 of 3",
        "4 - not given",
        "4?",
    )
    assert {category_in(value) for value in none} == {None}
    assert category_in("4A - Low suspicion", alone=True) is None
    sides = ("L", "right", "RT", "links", "both", "B", "", "left breast", "Left breast structure", "L & R", "re.")
    assert [sides_in(value) for value in sides] == [
        ("L",),
        ("R",),
        ("R",),
        ("L",),
        ("L", "R"),
        ("L", "R"),
        (),
        ("L",),
        ("L",),
        ("L", "R"),
        ("R",),
    ]
    unsure = ("unilateral", "not left", "contralateral to left", "left or right", "left > right", "left?", "LCC")
    assert {sides_in(value) for value in unsure} == {None}
