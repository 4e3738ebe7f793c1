"""A text that mentions BI-RADS is recognised in any spelling."""

from __future__ import annotations

import pytest

from node.assessments.text.spelling import names
from node.assessments.text.words import unnamed

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LIKE_THE_LETTERS = {"B": "В\u0412Ββ8", "I": "ІΙИı1lÍ", "R": "RЯΡʀ", "A": "АΑ4@Ä", "D": "ДΔᴅ", "S": "ЅΣ5$ꜱ"}

MISSPELLED = (
    "BIRAD 4",
    "BI-RASD 4",
    "BI RADS4",
    "BIRARDS: category four",
    "by rads 4",
    "buy rads 4",
    "BIRASD4 links",
    "BI-RASD\n4 left",
    "category 4 (BI-RASD)",
    "БИРАДС 4",
    "BI\u200eRADS 4",
    "BI&#8209;RASD 4",
    "ＢＩＲＡＳＤ ４",
    "𝐁𝐈-𝐑𝐀𝐃𝐒 4",
)


@pytest.mark.parametrize("text", MISSPELLED)
def test_a_misspelled_birads_beside_a_category_is_detected(text: str) -> None:
    assert names(text) > 0


@pytest.mark.parametrize("form", ["BIRADS", "BI-RADS", "bi rads"])
def test_birads_with_an_extra_missing_changed_or_misplaced_letter_is_detected(form: str) -> None:
    for at in range(1, len(form)):
        rest = form[at + 1 :]
        wrong = {form[:at] + rest, form[:at] + rest[:1] + form[at] + rest[1:]}
        wrong |= {form[:at] + letter + behind for letter in LETTERS for behind in (rest, form[at:])}
        for entry in wrong:
            if entry.upper().replace(" ", "-") in ("BTRADS", "BT-RADS"):  # of brain tumours
                continue
            assert names(f"{entry} 4 left"), entry


@pytest.mark.parametrize(("letter", "others"), LIKE_THE_LETTERS.items())
def test_birads_with_a_similar_letter_of_another_script_is_detected(letter: str, others: str) -> None:
    for other in others:
        assert names(f"BI-RADS 4 {letter}".replace(letter, other, 1)), other


NOT_OF_BIRADS = (
    "PI-RADS 4",
    "Lung-RADS category 4A",
    "BT-RADS 3",
    "Bird fancier's lung",
    "Birth of 4 children",
    "Bilateral breasts, 2 views",
    "Biopsy of 3 lesions",
    "boards 2",
    "bid 4 weeks",
    "bread, 3 slices",
    "beads 3 mm",
    "by-rads without a number",
)


@pytest.mark.parametrize("text", NOT_OF_BIRADS)
def test_other_words_are_not_detected_as_birads(text: str) -> None:
    assert not names(text)


def test_a_category_without_the_word_birads_is_detected() -> None:
    assert all(unnamed(text) for text in ("ACR 4", "Cat. 4a", "category: 4", "Kategorie IV", "ACR-Kategorie 2"))
    assert unnamed("Final assessment: 4")
    assert unnamed("VI-RADS 4"), "of the bladder; beside breasts a slip of the finger"
    assert not any(
        unnamed(text) for text in ("ACR b", "Brustdichte ACR 2", "Lung-RADS category 4", "4A", "category of patients")
    )


def test_a_text_that_mentions_birads_is_recognised() -> None:
    assert names("bi rads not given")
    assert not names("Chest: no infiltrates. The ribs are intact.")
