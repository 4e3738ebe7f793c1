"""The grammar of a sentence with BI-RADS categories.

A sentence is encoded as a string of signs, one per relevant word: A for the word BI-RADS, C for a category, l, r and b
for the left, the right and both breasts (capitals before a colon), a comma between the items of a list, o for any other
word. These forms are read:

    AC, with any other words                 "BI-RADS 4A", "Mass, suspicious: BI-RADS 4 a mass is seen"
    the same with one side, at any place     "Left breast with a mass, BI-RADS 4"
    a list, each side before its category    "BI-RADS right 2, left 4", "R: BI-RADS 2, L: BI-RADS 4"
    a list, each side after its category     "BI-RADS 2 (right) and 4 (left)"
    a list with other words in its items     "Right breast clear (BI-RADS 1), left mass (BI-RADS 4)"

Every A must have its C, and every C its A or its place in a list. If two breasts are named, all sides must belong to
the list. A sentence that does not match is refused. So is a sentence with a category that also has a negation, or words
about the past, a change, a condition, another person, another hospital, a machine or the reason for the exam. The only
exception is "Previously BI-RADS 3, now BI-RADS 2".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise, zip_longest

from models.types.birads import Category
from node.assessments.text.sides import row_of
from node.assessments.text.words import CATEGORY, Sides, Token, category_of, doubtful, names_former_year

UNCERTAIN = (
    "the sentence of its BI-RADS category, its heading or a sentence beside it also has a negation, or words about the "
    "past, a change, a condition, another person, one of several readers, another hospital, a machine or the reason "
    "for the exam"
)
RANGE = "its BI-RADS category is a range"
UNREADABLE = "it mentions BI-RADS, but has no category that can be read"
UNKNOWN = "the words before BI-RADS do not state what has this category: an exam, a breast, a finding or a conclusion"
UNPAIRED = "it is unclear which breast has its BI-RADS category"

_SIGNS = {
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
_WITH_CATEGORY = re.compile("A[lrb]?C", re.IGNORECASE)
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
_LIST_ITEM = re.compile(",*(?:[lrbLRB]C|C[lrb])")
"""A sentence that is only another item of the list in the sentence before."""


def signs_of(row: Sequence[Token]) -> str:
    """The signs of the words of a row."""
    return "".join(_SIGNS.get(token.kind, "o") for token in row)


def continues_list(sentence: Sequence[Token]) -> bool:
    """Whether a sentence is only the next item of a list ("left 4")."""
    return _LIST_ITEM.fullmatch(signs_of(row_of(sentence))) is not None


def forms_of_item(line: Sequence[Token]) -> set[int]:
    """The forms of a list item that a line has: 0 with its side first, 1 with its category first, 2 without a side."""
    signs = signs_of(_without_names(row_of(line)))
    return {form for form, item in enumerate(_ITEMS) if item.fullmatch(signs)}


def is_side_of_next_clause(sentence: Sequence[Token]) -> bool:
    """Whether other words separate a category from a side after it, so that the side may belong to another clause
    ("BI-RADS 4, the left breast is normal")."""
    return re.fullmatch("[^lrbLRBC]*AC[^lrbLRBC]+[lrbLRB][^C]*", signs_of(_without_names(row_of(sentence)))) is not None


def mentions_birads(sentence: Sequence[Token]) -> bool:
    """Whether a sentence has the word BI-RADS."""
    return any(token.kind == "birads" for token in sentence)


def assigned(sentence: Sequence[Token], exam_year: int | None = None) -> list[tuple[Sides, Category]]:
    """The categories of a sentence, each with its breasts (none: the sentence names no breast). Empty if the sentence
    has no category.

    Args:
        exam_year: see `names_former_year`.

    Raises:
        ValueError: the categories are not certain; the text is the reason.
    """
    row = _without_names(row_of(sentence))
    signs = signs_of(row)
    if _DENSITY.fullmatch(signs) or (_EDITION.fullmatch(signs) and not _numbers(row)):
        return []
    signs = signs.replace("m", "o")
    if "A" not in signs:
        if _may_assign(sentence, signs):
            raise ValueError("it may have a BI-RADS category without the word BI-RADS")
        return []
    if any(token.kind == "range" for token in row):
        raise ValueError(RANGE)
    if change := _CHANGE.fullmatch(signs):
        former = {place for place in range(change.end(1)) if signs[place] in "fAC"}
        row = [token for place, token in enumerate(row) if place not in former]
        signs = signs_of(row).replace("m", "o")
    elif "C" in signs and (doubtful(row) or names_former_year(row, exam_year)):
        raise ValueError(UNCERTAIN)
    if signs.count("A") != len(_WITH_CATEGORY.findall(signs)) or "y" in signs or "t" in _beside_birads(signs):
        raise ValueError(UNREADABLE)
    if _has_separate_letter(sentence):
        raise ValueError(UNREADABLE)
    if "?" in signs:
        raise ValueError(UNPAIRED)
    if "C" in signs and not _introduced(sentence):
        raise ValueError(UNKNOWN)
    found = _paired(row, signs)
    clear = {side for token, behind in pairwise(row) if token.kind == "idiom" for side in behind.sides}
    if any(
        side in clear and category not in (Category.ONE, Category.TWO) for sides, category in found for side in sides
    ):
        raise ValueError(UNPAIRED)
    return found


def _paired(row: Sequence[Token], signs: str) -> list[tuple[Sides, Category]]:
    categories = [category_of(token.text) for token in row if token.kind == "category"]
    sides = [token.sides for token in row if token.sides]
    if len(set(sides)) <= 1 and len(categories) == signs.count("A") and not _HEADING_AFTER_CATEGORY.search(signs):
        return [(sides[0] if sides else (), category) for category in categories]
    named = [side for several in sides for side in several]
    items = "".join(
        sign for sign, token in zip(signs, row, strict=True) if token.text.lower()[:3] not in ("cat", "kat")
    )
    if not _LIST.fullmatch(items) or len(named) > len(set(named)):
        raise ValueError(UNPAIRED)
    return list(zip(sides, categories, strict=True))


def _without_names(row: Sequence[Token]) -> list[Token]:
    """The row without words that belong to the name BI-RADS ("ACR", "category")."""
    signs = signs_of(row)
    belonging = {place for found in _NAMED.finditer(signs) for place in range(*found.span()) if signs[place] == "N"}
    return [token for place, token in enumerate(row) if place not in belonging]


def _has_separate_letter(sentence: Sequence[Token]) -> bool:
    """Whether a separate letter after a 4 may make it 4A, 4B or 4C ("4, subcategory B"). Not before a word."""
    four = next((at for at, token in enumerate(sentence) if token.text in ("4", "IV")), len(sentence))
    return any(
        token.text in tuple("abcABC") and not (following and following.text[0].isalnum())
        for token, following in zip_longest(sentence[four:], sentence[four + 1 :])
        if token
    )


def _numbers(row: Sequence[Token]) -> bool:
    return any(token.kind in ("other", "year") and any(map(str.isdigit, token.text)) for token in row)


_REPORT_WORDS = frozenset(
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
    """Whether each BI-RADS begins its part of the sentence, or has a usual word of reports before it in that part.

    Otherwise it is unknown whose category it is ("Surgeon: BI-RADS 4") or which one ("Provisional BI-RADS 3").
    """
    words: list[Token] = []  # from the last comma, bracket, category or line end
    for token in sentence:
        if token.kind == "birads" and words and not any(map(_is_report_word, words)):
            return False
        if token.kind in ("birads", "category", "comma", "joined", "soft") or token.text in _CLOSING:
            words = []
        elif token.text[0].isalnum() and token.kind != "bullet":
            words.append(token)
    return True


def _is_report_word(word: Token) -> bool:
    return word.kind in _REPORT_WORDS or (word.kind == "filler" and word.text.lower() != "is")


_CLOSING = frozenset(')]"”’»')
_HEADING_AFTER_CATEGORY = re.compile("C.*[LRB]")
"""A side before a colon, after a category: the category may not be that of the side."""
_WITHOUT_BIRADS = re.compile("[lrbLRB?]C(?=[,lrbLRBC]|$)|C[lrbLRB?]|^C(?:,[lrbLRB?])?$")


def _may_assign(sentence: Sequence[Token], signs: str) -> bool:
    """Whether a sentence without the word BI-RADS may have a category: "category 4", "left 4", "4A"."""
    of_density = any(token.kind in ("density", "tissue", "measured") for token in sentence)
    if _WITHOUT_BIRADS.search(signs) or ("NC" in signs and not of_density):
        return True
    for token, following in zip_longest(sentence, sentence[1:]):
        if token.kind == "category" and token.text[-1] in "abcABC":
            return True
        counts = following is not None and following.text[0].isalpha()
        if token.kind == "category" and not counts and re.search("[lrbLRB?]C", signs):
            return True
    return False


def _beside_birads(signs: str) -> str:
    return "".join(re.findall("tA|At|Ct", signs))


FIELD = re.compile(
    rf"\s*(?:BI[\s-]?RADS[\s:-]*)?(?:category\s*)?(?P<category>{CATEGORY})(?:\s+-\s+(?P<words>[^\W\d].*))?\s*",
    re.IGNORECASE,
)
"""A category that is a whole value, or is followed by a dash and words."""
