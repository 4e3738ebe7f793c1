"""A report's words give the category that its writer meant, or none at all."""

from __future__ import annotations

import pytest

from node.assessments.birads_text import categories_in, category_in, mentions, sides_in


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("BI-RADS 4A", " 4A"),
        ("BIRADS: 4a", " 4A"),
        ("BIRADS4", " 4"),
        ("BI-RADS category 4", " 4"),
        ("ACR BI-RADS 0", " 0"),
        ("BI-RADS Final Assessment Category 2", " 2"),
        ("BI-RADS: III", " 3"),
        ("BI-RADS 4 a mass is seen", " 4"),
        ("Impression:\nBI-RADS\ncategory 5 - highly suggestive of malignancy", " 5"),
        ("Left breast: BI-RADS 4A. Right breast: BI-RADS 2.", "L 4A, R 2"),
        ("BI-RADS right 2, left 4", "R 2, L 4"),
        ("BI-RADS: R2 L4", "R 2, L 4"),
        ("BI-RADS 2 (right) and 4 (left)", "R 2, L 4"),
        ("left and right: BI-RADS 2", "LR 2"),
        ("BI-RADS 1 bilaterally", "LR 1"),
        ("Right breast: a mass of 12 mm. Suspicious. BI-RADS 4.\nIMPRESSION: BI-RADS 4", "R 4,  4"),
        ("BI-RADS 4, 2 cm mass left", "L 4"),
        ("BI-RADS 4 left 2 cm mass", "L 4"),
        ("Mamma rechts:\nACR-Dichte B. BI-RADS 1.\nMamma links:\nHerd 12 mm. BI-RADS IV.", "R 1, L 4"),
        ("BI-RADS 2 rechts, 4a links", "R 2, L 4A"),
        ("BI-RADS: 2 (re.) / 4 (li.)", "R 2, L 4"),
        ("BI-RADS-Kategorie 2 beidseits", "LR 2"),
        ("Lt. ACR BI-RADS 2", " 2"),
        ("BI-RADS categorie 2, beide mammae", "LR 2"),
        ("Linkerborst BI-RADS 4b, rechterborst BI-RADS 1", "L 4B, R 1"),
    ],
)
def test_english_german_and_dutch_say_the_category_and_the_breast(text: str, meant: str) -> None:
    assert ", ".join(f"{''.join(sides)} {category}" for sides, category in categories_in(text)) == meant


@pytest.mark.parametrize(
    "text",
    [
        "Left breast: mass. Right breast: normal. BI-RADS 4",
        "Left breast: mass.\nRight breast: normal.\nBI-RADS 4",
        "Left breast:\nMass.\nRight breast:\nNormal.\nBI-RADS 4",
        "Right breast:\nNormal.\n\nBI-RADS 4",
        "Right breast:\nNo change. The left one has a mass.\nBI-RADS 4",
    ],
)
def test_a_conclusion_below_both_breasts_is_not_taken_for_that_of_the_last_one(text: str) -> None:
    assert categories_in(text) == [((), "4")]


def test_a_sentence_about_both_breasts_that_does_not_say_which_one_it_assesses_assesses_the_exam() -> None:
    assert categories_in("BI-RADS 4 (mass in left breast, right breast unremarkable)") == [((), "4")]


@pytest.mark.parametrize(
    "text",
    [
        "BI-RADS density 3",
        "Breast density: BI-RADS 3",
        "Previously BI-RADS 3",
        "According to BI-RADS 5th edition",
        "BI-RADS 2013",
        "BI-RADS 4.5",
        "BI-RADS",
        "4A",
    ],
)
def test_density_what_was_before_and_editions_are_no_category(text: str) -> None:
    assert categories_in(text) == []


@pytest.mark.parametrize("text", ["BI-RADS 2-3", "BI-RADS 2/3", "left BI-RADS 2-3, right BI-RADS 2"])
def test_a_range_is_refused_and_nothing_of_it_guessed(text: str) -> None:
    with pytest.raises(ValueError, match="range"):
        categories_in(text)


def test_the_past_beside_the_present_is_left_out() -> None:
    assert categories_in("Previously BI-RADS 3, now BI-RADS 2") == [((), "2")]


def test_a_text_is_known_to_speak_of_birads_or_not() -> None:
    assert mentions("bi rads not given")
    assert not mentions("Chest: no infiltrates. The ribs are intact.")


def test_values_of_fields_and_cells() -> None:
    assert [category_in(value) for value in ("4A", "4a ", "BI-RADS 4A", "4A - Low suspicion", "II")] == [
        "4A", "4A", "4A", "4A", "2",
    ]  # fmt: skip
    assert {category_in(value) for value in ("", "7", "14", "2-3", "397144001", "ONE")} == {None}
    assert category_in("4A - Low suspicion", alone=True) is None
    assert [sides_in(value) for value in ("L", "right", "RT", "links", "both", "B", "")] == [
        ("L",), ("R",), ("R",), ("L",), ("L", "R"), ("L", "R"), (),
    ]  # fmt: skip
    assert sides_in("unilateral") is None
