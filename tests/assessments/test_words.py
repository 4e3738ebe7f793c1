"""A report's words give the category that its writer meant, or none at all."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.types import SEVERITY, Category
from node.assessments.birads_text import categories_in, category_in, sides_in
from node.assessments.birads_words import names, unnamed

REFUSED = "refused"


def read(text: str) -> str:
    """ "R 2, L 4": what a text is read to say; "" before a category of the exam."""
    try:
        return ", ".join(f"{''.join(sides)} {category}" for sides, category in categories_in(text)) or "nothing"
    except ValueError:
        return REFUSED


SAID = {
    # the exam's
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
    "BI-RADS 4, call right away": " 4",
    "BI-RADS 4, 6 months follow-up": " 4",
    "BI-RADS 4, in 6 Monaten": " 4",
    "Dense. BI-RADS 4": " 4",
    "Bilateral mammogram: BI-RADS 4": " 4",
    "Mammographie beidseits:\nHerd links. BI-RADS 4": " 4",
    "BI-RADS 2.\n\nSigned: Dr. L. Smith": " 2",
    "Digital mammogram with CAD: BI-RADS 1": " 1",
    "Verdacht auf Karzinom: BI-RADS 5": " 5",
    "BI-RADS 4, referred for biopsy": " 4",
    "A woman of 58, 60 years old. BI-RADS 2, follow-up in 1 year": " 2",
    # a breast's
    "BI-RADS 4, 2 cm mass left": "L 4",
    "BI-RADS 4 left 2 cm mass": "L 4",
    "left and right: BI-RADS 2": "LR 2",
    "BI-RADS 1 bilaterally": "LR 1",
    "BI-RADS-Kategorie 2 beidseits": "LR 2",
    "BI-RADS categorie 2, beide mammae": "LR 2",
    "Left breast previously BI-RADS 3, now BI-RADS 2": "L 2",
    "BI-\nRADS 4 left": "L 4",
    # lists
    "Left breast: BI-RADS 4A. Right breast: BI-RADS 2.": "L 4A, R 2",
    "BI-RADS right 2, left 4": "R 2, L 4",
    "BI-RADS right 2; left 4": "R 2, L 4",
    "BI-RADS:\nRight: 2\nLeft: 4": "R 2, L 4",
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
    # headings
    "Right breast: BI-RADS 5. Left breast: scar. BI-RADS 2.": "R 5, L 2",
    "Right breast: BI-RADS 5.\nLeft breast:\nScar. BI-RADS 2.": "R 5, L 2",
    "Right breast: BI-RADS 2\nLeft breast: BI-RADS 4": "R 2, L 4",
    "Left breast\nBI-RADS 4\nRight breast\nBI-RADS 2": "L 4, R 2",
    "Right breast. BI-RADS 2. Left breast. Mass, biopsy.": "R 2",
    "Right breast:\nMass.\nBI-RADS 2.\nLeft breast:\nScar.\nBI-RADS 2.": "R 2, L 2",
    "Mamma rechts:\nACR-Dichte B. BI-RADS 1.\nMamma links:\nHerd 12 mm. BI-RADS IV.": "R 1, L 4",
    "Right breast: a mass of 12 mm. Suspicious. BI-RADS 4.\nIMPRESSION: BI-RADS 4": "R 4,  4",
    "Left breast: BI-RADS 2. Right breast: BI-RADS 4.\nOverall: BI-RADS 4": "L 2, R 4,  4",
    # lines that go on
    "Right breast: mass of\n12 mm. BI-RADS 4.": "R 4",
    "Mass in the\nright breast. BI-RADS 4.": " 4",
    "BI-RADS 2 in the\nright breast, BI-RADS 4 in the\nleft breast.": "R 2, L 4",
    # a conclusion below both breasts is not that of the last one
    "Left breast: mass. Right breast: normal. BI-RADS 4": " 4",
    "Left breast: mass.\nRight breast: normal.\nBI-RADS 4": " 4",
    "Left breast:\nMass.\nRight breast:\nNormal.\nBI-RADS 4": " 4",
    "Right breast:\nNormal.\n\nBI-RADS 4": " 4",
    "Right breast:\nNo change. The left one has a mass.\nBI-RADS 4": " 4",
    "Right breast has a mass. Left breast: scar. BI-RADS 4.": " 4",
    # no category
    "BI-RADS density 3": "nothing",
    "BI-RADS 3 density": "nothing",
    "Breast density: BI-RADS 3": "nothing",
    "According to BI-RADS 5th edition": "nothing",
    "BI-RADS 2013": "nothing",
    "4A": "nothing",
}


@pytest.mark.parametrize(("text", "meant"), SAID.items())
def test_english_german_and_dutch_say_the_category_and_the_breast(text: str, meant: str) -> None:
    assert read(text) == meant


@pytest.mark.parametrize("hyphen", "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad\u200b")
def test_any_hyphen_or_none_names_birads(hyphen: str) -> None:
    assert read(f"BI{hyphen}RADS 4 right") == "R 4"
    assert read(f"BI-RADS 2{hyphen}3") == REFUSED if hyphen not in "\u00ad\u200b" else True


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
def test_a_range_is_refused_and_nothing_of_it_guessed(text: str) -> None:
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
    # what the patient came with
    "Reason for exam: BI-RADS 0 right. Impression: BI-RADS 2 left.",
    "Indication: BI-RADS 3",
    "Follow-up of a BI-RADS 3 lesion left",
    "Recalled for BI-RADS 0",
    "V.a. BI-RADS 4 links",
    "Z.n. BI-RADS 3",
    "Suspicion of BI-RADS 5",
    # of another hospital, or a machine's
    "Outside hospital: BI-RADS 4",
    "AI: BI-RADS 4",
    "mammo-node: BI-RADS 4",
    "CAD result left: BI-RADS 5",
    "The AI tool suggests BI-RADS 4",
    "BI-RADS 4 left according to the AI",
    "BI-RADS 4 (KI)",
)


@pytest.mark.parametrize("text", UNCERTAIN)
def test_a_category_that_is_negated_past_changed_conditional_or_somebody_elses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="stands beside words"):
        categories_in(text)


def test_the_past_beside_the_present_is_left_out() -> None:
    assert categories_in("Previously BI-RADS 3, now BI-RADS 2") == [((), "2")]


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
    "The patient left, BI-RADS 0",
    "BI-RADS 1: scar left breast. Right:\nmass, left one too. BI-RADS 1",
)


@pytest.mark.parametrize("text", WHICH_BREAST)
def test_what_does_not_say_for_certain_which_breast_it_assesses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="which breast"):
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
    # what may be a category though nobody says so
    "Category: 4. BI-RADS 2 left.",
    "BI-RADS 2 right. Left 4A seen.",
    "ACR 4. BI-RADS 2.",
    "BI-RADS 2. 4 left.",
    # several, or of the exam and of a breast that do not go together
    "BI-RADS 1: negative; BI-RADS 2: benign",
    "BI-RADS 2 left. BI-RADS 4 left.",
    "BI-RADS 2. BI-RADS 3.",
    "Left breast: BI-RADS 2. Right breast: BI-RADS 4.\nOverall: BI-RADS 2",
    # other languages, and lines of which it is not clear whether they go on
    "Sein droit: BI-RADS 2",
    "Mama derecha: BI-RADS 2",
    "右乳 BI-RADS 4类",
    "правая BI-RADS 4",
    "BI-RADS 2\nNo follow-up",
)


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_is_not_read_for_certain_is_refused_and_never_passed_over(text: str) -> None:
    assert names(text) > 0
    assert read(text) == REFUSED


def test_a_category_without_its_name_is_noticed() -> None:
    assert all(unnamed(text) for text in ("ACR 4", "Cat. 4a", "category: 4", "Kategorie IV", "ACR-Kategorie 2"))
    assert not any(unnamed(text) for text in ("ACR b", "Lung-RADS category 4", "4A", "category of patients"))


# Sentences about a side, as radiologists write them, and what may stand between them.
SIDES = {
    "R": ("right", "Right", "RIGHT", "rechts", "R", "rt", "re.", "right breast", "rechte Brust", "Mamma rechts"),
    "L": ("left", "Left", "LEFT", "links", "L", "lt", "li.", "left breast", "linke Brust", "Mamma links"),
}
CLAUSES = (
    "{s}: BI-RADS {c}",
    "BI-RADS {c} {s}",
    "{s} BI-RADS {c}",
    "{s}: mass. BI-RADS {c}",
    "BI-RADS {c} in the {s}",
    "{s} with a scar, BI-RADS {c}",
    "{s}:\nmass.\nBI-RADS {c}",
    "{s}\nBI-RADS {c}",
    "BI-RADS {s} {c}",
    "{s} {c}",
    "{c} {s}",
    "BI-RADS {c} ({s})",
    "{s}, BI-RADS {c}",
    "BI-RADS {c}, {s}",
    "BI-RADS category {c} {s}",
    "{s} BIRADS: {c}",
    "BI-RADS: {s}: {c}",
    "BI-\nRADS {c} {s}",
    "{s} BI\u2011RADS {c}",
    "{s} category {c}",
)
ASIDES = (
    "",
    "",
    "",
    "biopsy of the {s}",
    "{s}: scar",
    "no change",
    "12 mm",
    "{s} mastectomy",
    "Impression:",
    "{s}:",
    "compared to {s}",
    "cyst {s} 3 o'clock",
    "BI-RADS",
    "category 4",
    "density B",
    "mass",
    "Dr. M. Meier",
)
PUNCTUATION = (
    ". ",
    ", ",
    "; ",
    "\n",
    " ",
    " / ",
    " and ",
    ".\n",
    "\n\n",
    ": ",
    " - ",
    ".",
    "\\",
    " & ",
    " (",
    ") ",
    "\t",
)
CATEGORIES = {"0": "0", "1": "1", "2": "2", "3": "3", "4": "4", "4A": "4A", "4b": "4B", "5": "5", "6": "6", "IV": "4"}


@st.composite
def reports(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """A text, and the categories of the breasts that it assesses."""
    order = draw(st.sampled_from((("R", "L"), ("L", "R"), ("R",), ("L",))))
    said = {side: draw(st.sampled_from(sorted(CATEGORIES))) for side in order}
    pieces = [
        draw(st.sampled_from(CLAUSES)).format(s=draw(st.sampled_from(SIDES[side])), c=said[side]) for side in order
    ]
    aside = draw(st.sampled_from(ASIDES)).format(s=draw(st.sampled_from(SIDES[draw(st.sampled_from("RL"))])))
    pieces.insert(draw(st.integers(0, len(pieces))), aside)
    text = "".join(piece + draw(st.sampled_from(PUNCTUATION)) for piece in pieces if piece)
    return text, {side: CATEGORIES[category] for side, category in said.items()}


@given(reports())
@settings(max_examples=400, deadline=None)
@example(("Right breast: BI-RADS 5. Left breast: scar. BI-RADS 2.", {"R": "5", "L": "2"}))
def test_shuffled_sentences_sides_and_punctuation_never_give_a_breast_the_category_of_the_other(
    report: tuple[str, dict[str, str]],
) -> None:
    text, meant = report
    with contextlib.suppress(ValueError):
        for sides, category in categories_in(text):
            for side in sides:
                assert meant.get(side) == category, text
            if not sides:
                assert category == max(map(Category, meant.values()), key=SEVERITY.index), text


WORDS = (
    "BI-RADS",
    "BIRADS",
    "2",
    "4A",
    "IV",
    "left",
    "R",
    "links",
    "no",
    "now",
    "was",
    "category",
    ",",
    ".",
    ":",
    "\n",
    "x",
    "-",
    "/",
    "(",
)


@given(st.lists(st.sampled_from(WORDS), max_size=12))
@settings(max_examples=300, deadline=None)
def test_left_and_right_are_read_alike(words: list[str]) -> None:
    mirrored = {"left": "right", "R": "L", "links": "rechts"}
    one = read(" ".join(words))
    other = read(" ".join(mirrored.get(word, word) for word in words))
    assert one.translate(str.maketrans("LR", "RL")) == other


@pytest.mark.parametrize(
    "piece",
    ["BI-RADS ", "BI-RADS: ", "BI-RADS\n", ":\n", "left 2 ", "a ", "L ", "2-", " ", "BI-RADS 2 left. ", "b i r "],
)
def test_a_long_text_takes_no_longer_than_its_parts(piece: str) -> None:
    """Its reader passes over it a fixed number of times: seconds, where looking back at each word takes minutes."""
    assert read("BI-RADS 2. " + "ok. " + piece * 10_000) in (" 2", REFUSED)


def test_a_text_is_known_to_speak_of_birads_or_not() -> None:
    assert names("bi rads not given")
    assert not names("Chest: no infiltrates. The ribs are intact.")


def test_values_of_fields_and_cells() -> None:
    said = ("4A", "4a ", "BI-RADS 4A", "BI\u2011RADS 4A", "4A - Low suspicion", "4A \u2013 Low suspicion", "II", "IVa")
    assert [category_in(value) for value in said] == ["4A", "4A", "4A", "4A", "4A", "4A", "2", "4A"]
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
