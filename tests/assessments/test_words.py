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
        "BI-RADS 3 density",
        "Breast density: BI-RADS 3",
        "According to BI-RADS 5th edition",
        "BI-RADS 2013",
        "BI-RADS 4.5",
        "BI-RADS",
        "4A",
    ],
)
def test_density_what_was_before_and_editions_are_no_category(text: str) -> None:
    assert categories_in(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "BI-RADS 2-3",
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
        "upgraded from BI-RADS 2 to 4",
    ],
)
def test_a_range_is_refused_and_nothing_of_it_guessed(text: str) -> None:
    with pytest.raises(ValueError, match="range"):
        categories_in(text)


@pytest.mark.parametrize(
    "text",
    [
        "No evidence of BI-RADS 5 lesion.",
        "No evidence of\nBI-RADS 5 lesion.",
        "Kein Hinweis auf BI-RADS 5.",
        "BI-RADS 5 excluded",
        "Previously BI-RADS 3",
        "Prior mammogram of 2024 was BI-RADS 2.",
        "Prior mammogram:\nMass left.\nBI-RADS 2",
        "Prior exam of Dr. Smith: BI-RADS 2",
        "Vorbefund vom 03.04.2024: BI-RADS 2.",
        "In der Voruntersuchung BI-RADS 2",
        "BI-RADS 6 in 2019",
        "Upgraded from BI-RADS 2, BI-RADS 4",
        "ADDENDUM: the BI-RADS 2 above is wrong, correct is 4",
        "Sister had BI-RADS 5",
        "If stable, BI-RADS 2",
        "Contralateral to left: BI-RADS 2",
        "Not left: BI-RADS 2",
        "Previously no BI-RADS 3, now BI-RADS 2",
    ],
)
def test_a_category_that_is_negated_past_changed_conditional_or_somebody_elses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="stands beside words"):
        categories_in(text)


def test_the_past_beside_the_present_is_left_out() -> None:
    assert categories_in("Previously BI-RADS 3, now BI-RADS 2") == [((), "2")]
    assert categories_in("Left breast previously BI-RADS 3, now BI-RADS 2") == [(("L",), "2")]


@pytest.mark.parametrize(
    "text", ["No mammographic evidence of malignancy, BI-RADS 1", "Kein Hinweis auf Malignität: BI-RADS 1"]
)
def test_that_there_is_no_evidence_of_malignancy_negates_no_category(text: str) -> None:
    assert categories_in(text) == [((), "1")]


@pytest.mark.parametrize(
    "text",
    [
        "Status post right mastectomy, BI-RADS 2 left breast.",
        "Left breast unremarkable, BI-RADS 4 right breast.",
        "BI-RADS 2 rechts, links 6 Monate Kontrolle",
        "Left breast normal, BI-RADS 4 right, BI-RADS 2 left",
    ],
)
def test_a_sentence_that_names_the_other_breast_too_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="which breast"):
        categories_in(text)


@pytest.mark.parametrize(
    "text",
    ["BI-RADS 4, call right away", "BI-RADS 4, 6 months follow-up", "BI-RADS 4, in 6 Monaten", "Dense. BI-RADS 4"],
)
def test_right_away_is_no_side_and_a_time_no_category(text: str) -> None:
    assert categories_in(text) == [((), "4")]


@pytest.mark.parametrize("piece", ["BI-RADS ", "BI-RADS: ", "BI-RADS\n", ":\n", "left 2 ", "a ", "L ", "2-", " "])
def test_a_long_text_takes_no_longer_than_its_parts(piece: str) -> None:
    """Its reader passes over it a fixed number of times: seconds, where looking back at each word takes minutes."""
    assert categories_in("BI-RADS 2. " + "ok. " + piece * 50_000)[0] == ((), "2")


def test_a_text_is_known_to_speak_of_birads_or_not() -> None:
    assert mentions("bi rads not given")
    assert not mentions("Chest: no infiltrates. The ribs are intact.")


def test_values_of_fields_and_cells() -> None:
    assert [category_in(value) for value in ("4A", "4a ", "BI-RADS 4A", "4A - Low suspicion", "II")] == [
        "4A", "4A", "4A", "4A", "2",
    ]  # fmt: skip
    none = (
        "", "7", "14", "2-3", "397144001", "ONE", "II.AC.b.4", "3 to 4", "4A/B", "III-IV", "6 months follow-up",
        "0 of 3", "4 - not given",
    )  # fmt: skip
    assert {category_in(value) for value in none} == {None}
    assert category_in("4A - Low suspicion", alone=True) is None
    assert [sides_in(value) for value in ("L", "right", "RT", "links", "both", "B", "")] == [
        ("L",), ("R",), ("R",), ("L",), ("L", "R"), ("L", "R"), (),
    ]  # fmt: skip
    assert {sides_in(value) for value in ("unilateral", "not left", "contralateral to left")} == {None}
