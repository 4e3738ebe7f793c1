"""What one sentence of a report says of BI-RADS: its grammar.

A sentence is written as a row of letters, one for each word that matters: A where BI-RADS is announced, C for a
category, l, r and b for the left, the right and both breasts (in capitals before a colon), a comma between the items of
a list, o for any other word. What it may look like, to be read:

    AC, with any other words                 "BI-RADS 4A", "Mass, suspicious: BI-RADS 4 a mass is seen"
    the same with one side, wherever         "Left breast with a mass, BI-RADS 4"
    a list, each side before its category    "BI-RADS right 2, left 4", "R: BI-RADS 2, L: BI-RADS 4"
    a list, each side behind its category    "BI-RADS 2 (right) and 4 (left)"
    a list with other words in its items     "Right breast clear (BI-RADS 1), left mass (BI-RADS 4)"

Every A must have its C, every C its A or its place in a list, and where two breasts are named all of the sides must be
those of the list. What does not pair is refused, and so is a sentence with a category that also negates, or speaks of
the past, of a change, a condition, somebody else, another hospital, a machine or of why the patient came. "Previously
BI-RADS 3, now BI-RADS 2" alone is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise, zip_longest

from models.types.birads import Category
from node.assessments.text.sides import row_of
from node.assessments.text.words import CATEGORY, Sides, Token, category_of, doubtful

UNCERTAIN = (
    "its BI-RADS category stands beside words that negate it, or speak of the past, of a change, a condition, "
    "somebody else, one of several readers, another hospital, a machine or why the patient came"
)
RANGE = "its BI-RADS category is a range"
UNREADABLE = "it speaks of BI-RADS, but gives no category that can be read"
UNKNOWN = "the words before BI-RADS do not say what the category is of: an exam, a breast, a finding, a conclusion"
UNPAIRED = "it is not clear which breast its BI-RADS category is of"

_LETTERS = {
    "birads": "A",
    "category": "C",
    "left": "l",
    "right": "r",
    "both": "b",
    "LEFT": "L",
    "RIGHT": "R",
    "BOTH": "B",
    "comma": ",",
    "joined": ",",
    "former": "f",
    "doubt": "d",
    "now": "n",
    "density": "y",
    "tissue": "t",
    "measured": "m",
    "edition": "e",
    "name": "N",
    **dict.fromkeys(("short", "unsure", "sided", "absent"), "?"),
}
_ANNOUNCED = re.compile("A[lrb]?C", re.IGNORECASE)
_NAMED = re.compile("N*A(?:[lrb]?N+)?", re.IGNORECASE)
_DENSITY = re.compile("o*(?:(?:yAC?|A(?:yC?|m))o*|ACy)")
_EDITION = re.compile("[o,]*(?:Ae[o,]*)+")
_CHANGE = re.compile("([^fdnAC]*f[^fdnAC]*A[lrb]?C)[^fdnAC]*n[^fdnAC]*A[lrb]?C[^fdnAC]*")
_SIDE_FIRST, _CATEGORY_FIRST = "(?:A[lrbLRB]|[lrbLRB]A?)C", "A?C[lrb]"
_WITH_WORDS = "[lrbLRB]o*ACo*"
_LIST = re.compile(
    "|".join(f"[o,]*(?=[^C]*A){item}(?:,*{item})+[o,]*" for item in (_SIDE_FIRST, _CATEGORY_FIRST))
    + f"|o*{_WITH_WORDS}(?:,+{_WITH_WORDS})+"
)
_ITEMS = tuple(re.compile(f"o*{item}[o,]*") for item in (f"(?:{_SIDE_FIRST}|[lrbLRB][o,]*AC)", "AC,?[lrb]", "AC"))
_GOES_ON = re.compile(",*(?:[lrbLRB]C|C[lrb])")
"""A sentence that only goes on with the list of the one before it."""


def letters(row: Sequence[Token]) -> str:
    """A row as the grammar has it."""
    return "".join(_LETTERS.get(token.kind, "o") for token in row)


def goes_on(sentence: Sequence[Token]) -> bool:
    """Whether a sentence is but the next item of a list ("left 4")."""
    return _GOES_ON.fullmatch(letters(row_of(sentence))) is not None


def forms_of_item(line: Sequence[Token]) -> set[int]:
    """The forms of a list's item that a line has on its own: 0 with its side first, 1 with its category first,
    2 without a side."""
    said = letters(_without_names(row_of(line)))
    return {form for form, item in enumerate(_ITEMS) if item.fullmatch(said)}


def is_side_of_next_clause(sentence: Sequence[Token]) -> bool:
    """Whether the side of a category stands behind it and other words, which may begin something else ("BI-RADS 4,
    the left breast is normal")."""
    return re.fullmatch("[^lrbLRBC]*AC[^lrbLRBC]+[lrbLRB][^C]*", letters(_without_names(row_of(sentence)))) is not None


def announces(sentence: Sequence[Token]) -> bool:
    """Whether a sentence speaks of BI-RADS."""
    return any(token.kind == "birads" for token in sentence)


def assigned(sentence: Sequence[Token]) -> list[tuple[Sides, Category]]:
    """The categories of a sentence, with the breasts that it names for each; none: it names none.

    Raises:
        ValueError: it takes a person to understand.
    """
    row = _without_names(row_of(sentence))
    said = letters(row)
    if _DENSITY.fullmatch(said) or (_EDITION.fullmatch(said) and not _numbers(row)):
        return []
    said = said.replace("m", "o")
    if "A" not in said:
        if _may_assign(sentence, said):
            raise ValueError("it may give a BI-RADS category without saying so")
        return []
    if any(token.kind == "range" for token in row):
        raise ValueError(RANGE)
    if change := _CHANGE.fullmatch(said):
        gone = {place for place in range(change.end(1)) if said[place] in "fAC"}
        row = [token for place, token in enumerate(row) if place not in gone]
        said = letters(row).replace("m", "o")
    elif "C" in said and doubtful(row):
        raise ValueError(UNCERTAIN)
    if said.count("A") != len(_ANNOUNCED.findall(said)) or "y" in said or "t" in _beside_announcement(said):
        raise ValueError(UNREADABLE)
    if _has_its_letter_apart(sentence):
        raise ValueError(UNREADABLE)
    if "?" in said:
        raise ValueError(UNPAIRED)
    if "C" in said and not _introduced(sentence):
        raise ValueError(UNKNOWN)
    found = _paired(row, said)
    clear = {side for token, behind in pairwise(row) if token.kind == "idiom" for side in behind.sides}
    if any(
        side in clear and category not in (Category.ONE, Category.TWO) for sides, category in found for side in sides
    ):
        raise ValueError(UNPAIRED)
    return found


def _paired(row: Sequence[Token], said: str) -> list[tuple[Sides, Category]]:
    categories = [category_of(token.text) for token in row if token.kind == "category"]
    sides = [token.sides for token in row if token.sides]
    if len(set(sides)) <= 1 and len(categories) == said.count("A") and not _BEGINS_LATE.search(said):
        return [(sides[0] if sides else (), category) for category in categories]
    named = [side for several in sides for side in several]
    items = "".join(sign for sign, token in zip(said, row, strict=True) if token.text.lower()[:3] not in ("cat", "kat"))
    if not _LIST.fullmatch(items) or len(named) > len(set(named)):
        raise ValueError(UNPAIRED)
    return list(zip(sides, categories, strict=True))


def _without_names(row: Sequence[Token]) -> list[Token]:
    """Without the words that belong to the name of BI-RADS ("ACR", "category")."""
    said = letters(row)
    belonging = {place for found in _NAMED.finditer(said) for place in range(*found.span()) if said[place] == "N"}
    return [token for place, token in enumerate(row) if place not in belonging]


def _has_its_letter_apart(sentence: Sequence[Token]) -> bool:
    """Whether a letter that may make 4A, 4B or 4C of a 4 stands behind it ("4, subcategory B"), and before no word."""
    four = next((at for at, token in enumerate(sentence) if token.text in ("4", "IV")), len(sentence))
    return any(
        token.text in tuple("abcABC") and not (following and following.text[0].isalnum())
        for token, following in zip_longest(sentence[four:], sentence[four + 1 :])
        if token
    )


def _numbers(row: Sequence[Token]) -> bool:
    return any(token.kind == "other" and any(map(str.isdigit, token.text)) for token in row)


_OF_A_REPORT = frozenset(
    {
        "left",
        "right",
        "both",
        "short",
        "breast",
        "site",
        "exam",
        "name",
        "according",
        "now",
        "density",
        "tissue",
        "measured",
    }
    | {"absent", "idiom", "conclusion", "measure", "former", "doubt"}
)


def _introduced(sentence: Sequence[Token]) -> bool:
    """Whether each BI-RADS begins its part of the sentence, or has a word before it there that is of a report.

    Whose category it is ("Surgeon: BI-RADS 4") or which ("Provisional BI-RADS 3") is not known otherwise.
    """
    words: list[Token] = []  # from the last comma, bracket, category or line end
    for token in sentence:
        if token.kind == "birads" and words and not any(map(_is_of_a_report, words)):
            return False
        if token.kind in ("birads", "category", "comma", "joined", "soft") or token.text in _CLOSING:
            words = []
        elif token.text[0].isalnum() and token.kind != "bullet":
            words.append(token)
    return True


def _is_of_a_report(word: Token) -> bool:
    return word.kind in _OF_A_REPORT or (word.kind == "filler" and word.text.lower() != "is")


_CLOSING = frozenset(')]"”’»')
_BEGINS_LATE = re.compile("C.*[LRB]")
"""A side that begins something new, behind a category that it may not be of."""
_UNANNOUNCED = re.compile("[lrbLRB?]C(?=[,lrbLRBC]|$)|C[lrbLRB?]|^C(?:,[lrbLRB?])?$")


def _may_assign(sentence: Sequence[Token], said: str) -> bool:
    """Whether a sentence without BI-RADS may give a category all the same: "category 4", "left 4", "4A"."""
    of_density = any(token.kind in ("density", "tissue", "measured") for token in sentence)
    if _UNANNOUNCED.search(said) or ("NC" in said and not of_density):
        return True
    for token, following in zip_longest(sentence, sentence[1:]):
        if token.kind == "category" and token.text[-1] in "abcABC":
            return True
        counts = following is not None and following.text[0].isalpha()
        if token.kind == "category" and not counts and re.search("[lrbLRB?]C", said):
            return True
    return False


def _beside_announcement(said: str) -> str:
    return "".join(re.findall("tA|At|Ct", said))


FIELD = re.compile(
    rf"\s*(?:BI[\s-]?RADS[\s:-]*)?(?:category\s*)?(?P<category>{CATEGORY})(?:\s+-\s+(?P<words>[^\W\d].*))?\s*",
    re.IGNORECASE,
)
"""A category that is a whole value, or stands before a dash and words."""
