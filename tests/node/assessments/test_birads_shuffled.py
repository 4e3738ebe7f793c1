"""Shuffled sentences, sides and punctuation never assign a category to the wrong breast or to the exam."""

from __future__ import annotations

import contextlib

import pytest
from assessing import REFUSED, understood
from hypothesis import example, given, settings
from hypothesis import strategies as st

from node.assessments.text.report import categories_in

pytestmark = pytest.mark.slow

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
    "1. {s} mass. BI-RADS {c}",
    "{s} clear (BI-RADS {c})",
    "{s}:\nMasses: none\nBI-RADS: {c}",
    "{s} with density b, BI-RADS {c}",
    "BI-RADS {s}: {c} benign",
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
    "{s} decision",
    "nothing {s}",
    "the {s} lung",
    "suspicious mass in the {s}",
    "{s} breast: carcinoma.",
    "second reader",
    "Provisional",
    "Surgeon:",
    "what is {s}",
    "{s} away",
    "No evidence of malignancy {s}",
    "Masses: none",
    "Density: b",
    "2. Biopsy {s}.",
    "{s}:\nDensity: c",
    "The {s} breast is dense",
    "Findings: scar {s}",
    "u.",
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


CONCLUSIONS = ("\n\nImpression: BI-RADS {c}", "\n\nOverall: BI-RADS {c}", "\n\nBeurteilung:\nBI-RADS {c}")


@st.composite
def reports(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """A text, and the categories of the breasts that it assesses; that of the exam by the name "", which may be that of
    the only breast that the text names, or the one below a conclusion."""
    order = draw(st.sampled_from((("R", "L"), ("L", "R"), ("R",), ("L",))))
    categories = {side: draw(st.sampled_from(sorted(CATEGORIES))) for side in order}
    pieces = [
        draw(st.sampled_from(CLAUSES)).format(s=draw(st.sampled_from(SIDES[side])), c=categories[side])
        for side in order
    ]
    beside, aside = draw(st.sampled_from("RL")), draw(st.sampled_from(ASIDES))
    if len(order) == 1 and (beside in order or "{s}" not in aside):
        categories[""] = categories[order[0]]
    aside = aside.format(s=draw(st.sampled_from(SIDES[beside])))
    at = draw(st.integers(0, len(pieces)))
    pieces.insert(at, aside)
    if aside == "Impression:" and at == len(order) - 1:
        categories[""] = categories[order[-1]]
    text = "".join(piece + draw(st.sampled_from(PUNCTUATION)) for piece in pieces if piece)
    if draw(st.integers(0, 3)) == 3:
        categories[""] = draw(st.sampled_from(sorted(CATEGORIES)))
        text += draw(st.sampled_from(CONCLUSIONS)).format(c=categories[""])
    return text, {side: CATEGORIES[category] for side, category in categories.items()}


@given(reports())
@settings(max_examples=400)
@example(("Right breast: BI-RADS 5. Left breast: scar. BI-RADS 2.", {"R": "5", "L": "2"}))
def test_shuffled_sentences_sides_and_punctuation_never_give_a_category_to_the_wrong_breast(
    report: tuple[str, dict[str, str]],
) -> None:
    text, meant = report
    with contextlib.suppress(ValueError):
        for sides, category in categories_in(text):
            for side in sides or ("",):
                assert meant.get(side) == category, text


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
@settings(max_examples=300)
def test_swapping_left_and_right_swaps_the_result(words: list[str]) -> None:
    mirrored = {"left": "right", "R": "L", "links": "rechts"}
    read = understood(" ".join(words))
    read_mirrored = understood(" ".join(mirrored.get(word, word) for word in words))
    assert read.translate(str.maketrans("LR", "RL")) == read_mirrored


@pytest.mark.parametrize(
    "piece",
    ["BI-RADS ", "BI-RADS: ", "BI-RADS\n", ":\n", "left 2 ", "a ", "L ", "2-", " ", "BI-RADS 2 left. ", "b i r "],
)
def test_the_work_for_a_long_text_grows_linearly(piece: str) -> None:
    """Its reader passes over it a fixed number of times: seconds, where looking back at each word takes minutes."""
    assert understood("BI-RADS 2. " + "ok. " + piece * 10_000) in (" 2", REFUSED)
