"""An uncertain category in the text of a report is refused, never guessed."""

from __future__ import annotations

import pytest
from assessing import REFUSED, understood

from node.assessments.text.report import categories_in
from node.assessments.text.spelling import names

RANGES = (
    "BI-RADS 2-3",
    "BI-RADS 2\u20133",
    "BI-RADS 2/3",
    "left BI-RADS 2-3, right BI-RADS 2",
    "BI-RADS 3 to 4",
    "BI-RADS 3 or 4",
    "BI-RADS 3 bis 4",
    "BI-RADS 3 oder 4",
    "BI-RADS 3 versus 4",
    "BI-RADS 3/BI-RADS 4",
    "BI-RADS II-III",
    "BI-RADS II bis III",
    "BI-RADS 4A/B",
    "BIRADS4a-b",
    "BI-RADS 4A or B",
    "BI-RADS 1, 2 or 3",
    "BI-RADS (0-6): 4",
    "BI-RADS 0-6 scale",
    "upgraded from BI-RADS 2 to 4",
)


@pytest.mark.parametrize("text", RANGES)
def test_a_range_of_categories_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="range"):
        categories_in(text)


UNCERTAIN = (
    "No evidence of BI-RADS 5 lesion.",
    "No evidence of\nBI-RADS 5 lesion.",
    "Kein Hinweis auf BI-RADS 5.",
    "BI-RADS 5 excluded",
    "not BI-RADS 4",
    "Previously BI-RADS 3",
    "Prior mammogram of 2024 was BI-RADS 2.",
    "Prior mammogram:\nMass left.\nBI-RADS 2",
    "Prior exam of Dr. Smith: BI-RADS 2",
    "03/12/2024: BI-RADS 2",
    "Vorbefund vom 03.04.2024: BI-RADS 2.",
    "In der Voruntersuchung BI-RADS 2",
    "Q1 2020 BI-RADS 2",
    "Draft: BI-RADS 3",
    "Provisional BI-RADS 3",
    "BI-RADS 6 in 2019",
    "Upgraded from BI-RADS 2, BI-RADS 4",
    "ADDENDUM: the BI-RADS 2 above is wrong, correct is 4",
    "Sister had BI-RADS 5",
    "If stable, BI-RADS 2",
    "Contralateral to left: BI-RADS 2",
    "Not left: BI-RADS 2",
    "possibly BI-RADS 4",
    "Previously no BI-RADS 3, now BI-RADS 2",
    "BI-RADS categories: 0 = incomplete, 1 = negative",
    "at least BI-RADS 4",
    "mammogram 12 Mar 2023 BI-RADS 3",
    "Mammogramm vom 3. März 2023: BI-RADS 3",
    "March 3rd, 2023: BI-RADS 3",
    "BI-RADS 3 in der Vergangenheit",
    "Old BI-RADS 3",
    # the reason for the examination
    "Reason for exam: BI-RADS 0 right. Impression: BI-RADS 2 left.",
    "Indication: BI-RADS 3",
    "Follow-up of a BI-RADS 3 lesion left",
    "Recalled for BI-RADS 0",
    "V.a. BI-RADS 4 links",
    "Z.n. BI-RADS 3",
    "Suspicion of BI-RADS 5",
    "Work-up of BI-RADS 0",
    "s/p BI-RADS 4 biopsy",
    "Following biopsy of a BI-RADS 4 lesion: concordant.",
    "BI-RADS 3 follow-up of the right breast",
    "BI-RADS 0 on 03-MAR-2024",
    "BI-RADS 3 (prev. 4)",
    "Baseline BI-RADS 3",
    "Comparison:\n\nBI-RADS 4 left",
    "PRIOR REPORT:\nRight breast: BI-RADS 4.\nLeft breast: BI-RADS 1.",
    "PRIOR REPORT:\nRight breast:\nBI-RADS 4.\n\nIMPRESSION:\nBI-RADS 2.",
    "Previous mammogram 2024:\nFindings: mass.\nImpression: BI-RADS 4",
    "Second reading:\nLeft: BI-RADS 4\nRight: BI-RADS 1",
    "AI RESULTS:\nLeft breast: BI-RADS 4\nRight breast: BI-RADS 1",
    "Prior report:\nMass.\n\nNo change of the cyst.\n\nBI-RADS 4 left",
    "Amended: BI-RADS 2",
    "BI-RADS 4 or higher",
    "BI-RADS 3 oder höher",
    "BI-RADS 3 en hoger",
    "BI-RADS 3 or so",
    "BI-RADS 4 means suspicious",
    "BI-RADS 4 unlikely",
    "BI-RADS 4 retracted",
    "BI-RADS 2 (2020)",
    "BI-RADS 4 at another hospital",
    "e.g. BI-RADS 4",
    "Other breast: BI-RADS 2",
    # one of several readers, or a person who is not responsible for the report
    "Second reader: BI-RADS 2",
    "Second\nreader: BI-RADS 2",
    "Reader 2: BI-RADS 4",
    "Reader 1:\nMass left.\nBI-RADS 4",
    "R1: BI-RADS 3",
    "first reading BI-RADS 3, consensus BI-RADS 4",
    "1st read: BI-RADS 3",
    "Second opinion: BI-RADS 4",
    "Radiologist A: BI-RADS 2",
    "Resident: BI-RADS 3",
    "BI-RADS 3 (Dr. A)",
    "Preliminary read: BI-RADS 3",
    "Arbitration: BI-RADS 3",
    "Tumor board: BI-RADS 4",
    "Peer review: BI-RADS 2",
    "According to Dr. Jones BI-RADS 4",
    "Patient states BI-RADS 3",
    "Zweitbefund: BI-RADS 4",
    "Befunder 2: BI-RADS 4",
    "Konsensus: BI-RADS 4",
    "Oberarzt: BI-RADS 4",
    "Tweede beoordelaar: BI-RADS 2",
    # of another hospital, or of an algorithm
    "Outside hospital: BI-RADS 4",
    "AI: BI-RADS 4",
    "mammo-node: BI-RADS 4",
    "CAD result left: BI-RADS 5",
    "The AI tool suggests BI-RADS 4",
    "BI-RADS 4 left according to the AI",
    "BI-RADS 4 (KI)",
)


@pytest.mark.parametrize("text", UNCERTAIN)
def test_a_negated_past_changed_conditional_or_quoted_category_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="also has a negation"):
        categories_in(text)


WHICH_BREAST = (
    "Status post right mastectomy, BI-RADS 2 left breast.",
    "Left breast unremarkable, BI-RADS 4 right breast.",
    "BI-RADS 2 rechts, links 6 Monate Kontrolle",
    "Left breast normal, BI-RADS 4 right, BI-RADS 2 left",
    "BI-RADS 4 right, BI-RADS 1 left, biopsy of the right breast",
    "BI-RADS 2 R 4",
    "BI-RADS 4 (mass in left breast, right breast unremarkable)",
    "BI-RADS 2, s/p mastectomy left",
    "Left breast: status post mastectomy. BI-RADS 2.",
    "Right breast:\nMore dense than left, BI-RADS 3.",
    "Right breast:\nMass. BI-RADS 4.\nLeft breast:\nScar.\nBI-RADS 4.",
    "Scar in right breast and left BI-RADS 3",
    "Mass in the right breast. BI-RADS 4, the left breast is normal.",
    "Herd rechts. BI-RADS 4, links unauffällig.",
    "Right mass. BI-RADS 0 biopsy of the left.",
    "rechts u. links BI-RADS 2",
    "rechts bzw. links BI-RADS 2",
    "LUOQ mass, BI-RADS 4",
    "BI-RADS 4 LIQ",
    "BI-RADS 2 RL",
    "No suspicious mass in the left breast, BI-RADS 4",
    "RIGHT BREAST:\nFindings: as on the left.\nBI-RADS: 2",
    "1. Left mass, unlike the right one. BI-RADS 4.\n2. Scar right. BI-RADS 2.",
    "BI-RADS 4 right. BI-RADS 1.",
    "Dr. L. Smith: BI-RADS 2",
    "BI-RADS 2 L. Smith MD",
    "Re: BI-RADS 2",
    "RMLO: BI-RADS 2",
    "R: mass. scarL: BI-RADS 4",
    "Lesion 1 BI-RADS 4, lesion 2 BI-RADS 2",
    "BI-RADS 4 5",
    "BI-RADS 2, Kategorie 4",
    "\tRight\tLeft\nBI-RADS\t2\t4",
    "BI-RADS 2\nRIGHT, BI-RADS 4\nLEFT.",
    "BI-RADS 0 / links: (",
    "BI-RADS 1 all right",
    # of the exam, or of the breast that its section is about, where the other breast has none
    "Left breast: mass. Right breast: normal. BI-RADS 4",
    "Left breast: mass.\nRight breast: normal.\nBI-RADS 4",
    "Left breast: mass.\n\nRight breast: normal.\n\nBI-RADS 4",
    "Left breast:\nMass.\nRight breast:\nNormal.\nBI-RADS 4",
    "Right breast has a mass. Left breast: scar. BI-RADS 4.",
    "Left breast: suspicious mass, biopsy recommended. Right breast: normal. BI-RADS 1.",
    "Suspicious mass in the left breast, biopsy recommended. Right breast normal. BI-RADS 1.",
    "Left breast: mass. Right breast: normal. BI-RADS assessment: 1",
    "Left breast: No change. BI-RADS 2. Right breast biopsy showed carcinoma.",
    "right: Herd. BI-RADS 2.\n\nmass in Left.",
    "Right breast: known carcinoma under treatment.\nLeft breast: stable. BI-RADS 2.",
    "Rechte Brust: suspekter Herdbefund, Stanzbiopsie empfohlen. Linke Brust: unauffällig. BI-RADS 1.",
    "Rechts suspekter Herd, Biopsie. Links unauffällig. BI-RADS 1.",
    "Right breast: normal. Assessment: BI-RADS 1.\nLeft breast: suspicious mass.",
    "Right breast normal. The left one has a mass. BI-RADS 1",
    # a side that stands alone beside the category
    "BI-RADS: 2\nLaterality: Left",
    "BI-RADS:2;Laterality:Left",
    "Laterality: Left\nBI-RADS: 2",
    "BI-RADS=4;SIDE=R",
    "BI-RADS 4;R",
    "BI-RADS 4; right",
    "BI-RADS 4. Right breast.",
    "BI-RADS 4. (rechts)",
    "Mass at 10 o'clock, LT. BI-RADS 4.",
    "Site: left; BI-RADS 4",
    # a letter that may be an initial
    "Unremarkable. BI-RADS 2 R Patel MD",
    "BI-RADS 1 L Davies",
    "BI-RADS 2 - R Jones",
    "BI-RADS 2, R Jones",
    "BI-RADS 2 Li Wei",
    # "right" and "left" of something else than a breast
    "The right decision: BI-RADS 3",
    "The right answer is BI-RADS 4",
    "The right BI-RADS category: 4",
    "BI-RADS 3 is right",
    "That's right, BI-RADS 2",
    "Right diagnosis: BI-RADS 2",
    "BI-RADS 4, mass right behind the nipple",
    "Right-handed, BI-RADS 2",
    "Right upper lobe nodule, BI-RADS 2",
    "Left lung nodule, BI-RADS 2",
    "Rechte Hand verletzt, BI-RADS 2",
    "BI-RADS 2, nothing left to biopsy",
    "BI-RADS 2, few calcifications left",
    "BI-RADS 2: what is left is scar",
    "Left over calcifications, BI-RADS 2",
    "BI-RADS 2, clip left in place",
    "BI-RADS 0, films left at reception",
    "BI-RADS 3, two weeks left",
    "BI-RADS 3, one lesion left",
    "Right now BI-RADS 3",
    "BI-RADS 2 is the right one",
    "Right breast:\nNo change. The left one has a mass.\nBI-RADS 4",
    "Mrs. Left: BI-RADS 2",
    "Room L BI-RADS 2",
    "We left it at BI-RADS 3",
    "Mass left of the nipple, BI-RADS 3",
    "On the right side of the left breast BI-RADS 3",
    "The patient left, BI-RADS 0",
    "BI-RADS 1: scar left breast. Right:\nmass, left one too. BI-RADS 1",
)


@pytest.mark.parametrize("text", WHICH_BREAST)
def test_a_category_of_an_uncertain_breast_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="which breast"):
        categories_in(text)


WHOSE = (
    "Surgeon: BI-RADS 4",
    "GP: BI-RADS 4",
    "Huisarts: BI-RADS 4",
    "Dr. Smith: BI-RADS 2",
    "Deep learning: BI-RADS 4",
    "A product of some vendor: BI-RADS 4",
    "Likely BI-RADS 3",
    "Target BI-RADS 2",
    "Similar to BI-RADS 3",
    "Women with BI-RADS 4 are recalled",
    "For BI-RADS 3, follow-up at 6 months is advised",
    "Sent for BI-RADS 4",
    "Hx of BI-RADS 3",
    "Reason: BI-RADS 0",
    "bei BI-RADS 0 im Screening",
)


@pytest.mark.parametrize("text", WHOSE)
def test_a_category_after_words_that_do_not_belong_to_a_report_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="words before BI-RADS"):
        categories_in(text)


UNREADABLE = (
    "BI-RADS",
    "BI-RADS 4.5",
    "BI-RADS 7",
    "BI-RADS 4D",
    "BI-RADS four",
    "BI-RADS 4?",
    "BI-RADS 4 b links",
    "BI-RADS 4 A mass is seen",
    "BI-RADS 4 (B)",
    "BI-RADS 4, subcategory B",
    "BI-RADS 4 (category B)",
    "BI-RADS 4 Unterkategorie b",
    "BI-RADS 4: A",
    "BI-RADS 4 intermediate (B)",
    "BI-RADS 4 [C]",
    "BI-RADS 3 plus",
    "BI-RADS 3++",
    "BI-RADS 3...4",
    "BI-RADS V. Auflage: 2",
    "BI-RADS 5 Atlas: 2",
    "BI-RADS 4 B/C",
    "BI-RADS 3; 4",
    "BI-RADS 2, right; 4, left",
    "BI-RADS 4 ABC",
    "BI-RASD 4 left",
    "В\u0406-R\u0410D\u0405 4",
    "BI-RADS\n\n4",
    "Findings BI-RADS\n1. Mass left",
    "B.I.R.A.D.S. 4",
    "leftBI-RADS 4",
    "BI-RADS 2BI-RADS 4",
    "Right breast: BI-RADS 2Left breast: BI-RADS 4",
    "BI-RADS 2left BI-RADS 4right",
    "BI-RADS right2left4",
    "BI-RADS(R) 4",
    "Breast composition: BI-RADS 3",
    "BI-RADS 4\ufffd left",
    "BI&#8209;RADS 4 left",
    "ＢＩ－ＲＡＤＳ ４ left",
    "R BI-RADS 2013: 0",
    # "Verdacht auf", and numbers that count
    "Beurteilung: BI-RADS V. a. invasives Karzinom rechts.",
    "BI-RADS links: V.a. Karzinom",
    "BI-RADS links: V.a Karzinom",
    "BI-RADS: 3 lesions left",
    "BI-RADS: 3 benign findings left",
    "BI-RADS 4-view mammogram left",
    "no finding that is BI-RADS 4",
    "BI-RADS: 3 new suspicious lesions left",
    "BI-RADS: 1 lesion left",
    "BI-RADS assessment: 2 masses in the left breast",
    "BI-RADS 3 Herde links",
    "BI-RADS 2 haarden links",
    "BI-RADS 4 views left",
    "BI-RADS 2-view left",
    "BI-RADS 3-D mammography left",
    "BI-RADS ~3 left",
    # what may be a category without the word BI-RADS
    "Category: 4. BI-RADS 2 left.",
    "BI-RADS 2 right. Left 4A seen.",
    "ACR 4. BI-RADS 2.",
    "BI-RADS 2. 4 left.",
    # several, or of the exam and of a breast that do not go together
    "BI-RADS 1: negative; BI-RADS 2: benign",
    "BI-RADS 2 left. BI-RADS 4 left.",
    "BI-RADS 2. BI-RADS 3.",
    "Left breast: BI-RADS 2. Right breast: BI-RADS 4.\nOverall: BI-RADS 2",
    # other languages, and lines that may or may not continue
    "Sein droit: BI-RADS 2",
    "Mama derecha: BI-RADS 2",
    "右乳 BI-RADS 4类",
    "правая BI-RADS 4",
    "Payudara kanan BI-RADS 2",
    "BI-RADS 2 bilatérale",
    "BI-RADS 1 obustronnie",
    "Desna dojka BI-RADS 2",
    "sağ meme BI-RADS 2",
    "Mama D: BI-RADS 2",
    "BI-RADS 2\nNo follow-up",
)


@pytest.mark.parametrize("text", UNREADABLE)
def test_an_uncertain_category_is_refused_and_never_ignored(text: str) -> None:
    assert names(text) > 0
    assert understood(text) == REFUSED


CORRECTED = (
    "Addendum: the laterality above is wrong.",
    "ADDENDUM 2 March: right should read left.",
    "CORRECTION: left and right were interchanged.",
    "This report was sent for the wrong patient.",
    "Report retracted.",
    "The above report is hereby withdrawn.",
    "Please disregard this report.",
    "Images of another patient.",
    "Left and right are mixed up.",
    "Corrected report.",
    "Nachtrag: Seitenverwechslung.",
    "Korrektur: Die Seiten wurden vertauscht.",
    "Befund storniert.",
    "Falsche Patientin.",
    "Correctie: links en rechts verwisseld.",
    "Verkeerde patiënt.",
    "Verslag ingetrokken.",
)


@pytest.mark.parametrize("words", CORRECTED)
@pytest.mark.parametrize("form", ["BI-RADS 4 right. BI-RADS 1 left.\n\n{}", "{}\n\nBI-RADS 4 right."])
def test_a_text_that_corrects_or_retracts_a_report_is_refused(words: str, form: str) -> None:
    with pytest.raises(ValueError, match="corrects or withdraws"):
        categories_in(form.format(words))
