"""BI-RADS categories in words: "BI-RADS 4A links, BI-RADS 2 rechts". English, German and Dutch.

What a person would have to think about is not guessed but refused: a range ("BI-RADS 2-3", "3 or 4"), and a sentence
with a category that also negates, speaks of the past, of a change, a correction, a condition or of somebody else.
"Previously BI-RADS 3, now BI-RADS 2" alone is read. A density is no category. Where a sentence names two breasts and
not which one it means, the category is the exam's; where it seems to mean one and names the other too, it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from models.types import Category, Laterality
from node.assessments.birads_words import FIELD, HEADING, TOKEN

Sides = tuple[Laterality, ...]
"""The breasts that are named; empty: none."""

_BOTH = (Laterality.LEFT, Laterality.RIGHT)
_CATEGORIES = {category.value: category for category in Category if category is not Category.ONE_OR_TWO}
_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"}


def category_in(value: str, *, alone: bool = False) -> Category | None:
    """The category that a value is ("4A", "4a", "BI-RADS 4A") or, unless it must stand `alone`, has before a dash and
    words ("4A - Low suspicion"); None: it is none."""
    found = FIELD.fullmatch(value)
    if not found or ((words := found["words"]) and (alone or _doubts(TOKEN.finditer(words)))):
        return None
    return _category(found["category"])


def sides_in(value: str) -> Sides | None:
    """The breasts that a value names: "L", "left", "RT", "bilateral", "B"; empty: it is empty. None: it names none, or
    another than it names ("not left")."""
    said = value.strip()
    if said.upper() in ("B", "LR", "RL"):
        return _BOTH
    tokens = list(TOKEN.finditer(said.upper() if len(said) <= 2 else said))
    if _doubts(tokens):
        return None
    return tuple(sorted({side for token in tokens for side in _sides(token)})) or (None if said else ())


def mentions(text: str) -> bool:
    """Whether a text speaks of BI-RADS at all."""
    return any(token.lastgroup == "birads" for token in TOKEN.finditer(text))


def categories_in(text: str) -> list[tuple[Sides, Category]]:
    """The categories that a report's text assigns, in their order, with the breasts that each is about.

    Raises:
        ValueError: what it says takes a person to understand.
    """
    clauses = list(_clauses(text))
    found = [(sides, category, clause) for clause in clauses for sides, category in _assigned(clause)]
    headed = list(dict.fromkeys(clause.section for clause in clauses if clause.section))
    assessed = {clause.section for sides, _, clause in found if sides is None}
    # What stands under the last heading, where another one has no category, may be the conclusion of the whole report.
    unsettled = {headed[-1]} if headed and not assessed.issuperset(headed) else set[Sides]()
    return [
        (sides if sides is not None else () if clause.section in unsettled else clause.section, category)
        for sides, category, clause in found
    ]


@dataclass(frozen=True)
class _Clause:
    """Up to the end of a sentence or line. `section`: the sides that a heading gives it; `doubted`: what stands
    before it lets no category count (the heading "Prior mammogram:", or "No evidence of" at the end of a line)."""

    tokens: list[re.Match[str]]
    section: Sides
    doubted: bool


def _clauses(text: str) -> Iterator[_Clause]:
    """A heading ("Left breast:") is for what follows on its line, or where it has a line of its own for the lines up to
    the next heading or empty line; and no longer than the other breast is not named."""
    tokens: list[re.Match[str]] = []
    last = ""  # the kind of the last token that is no filler
    section: Sides = ()
    doubted = carried = False  # by a heading; by a sentence that the line before did not end
    for line in text.replace("\r", "\n").split("\n"):
        heading = None if (begun := HEADING.match(line)) and mentions(begun[0]) else begun
        stays = (section, doubted) if line.strip() else ((), False)
        if heading:
            words = list(TOKEN.finditer(heading[0]))
            section, doubted = tuple(sorted({side for word in words for side in _sides(word)})), _doubts(words)
            stays = (section, doubted) if not line[heading.end() :].strip() else ((), False)
        for token in TOKEN.finditer(line):
            if token.lastgroup != "end":
                tokens.append(token)
                last = last if token.lastgroup == "filler" else token.lastgroup or ""
                section = section if set(_sides(token)) <= set(section) else ()
            else:
                yield _Clause(tokens, section, doubted or carried)
                tokens, last, carried = [], "", False
        if last != "birads":  # else the category stands on the next line
            yield _Clause(tokens, section, doubted or carried)
            tokens, last, carried = [], "", _doubts(tokens)
        section, doubted = stays[0] if set(stays[0]) <= set(section) else (), stays[1]
    yield _Clause(tokens, section, doubted or carried)


def _assigned(clause: _Clause) -> Iterator[tuple[Sides | None, Category]]:
    """The categories of a clause. Sides: None where the clause names none; empty where it does not settle which.

    Raises:
        ValueError: it takes a person to understand.
    """
    row = _settled(clause, list(_sides_and_categories(clause.tokens)))
    side_first = bool(row) and not isinstance(row[0], Category)
    names_side = any(not isinstance(one, Category) for one in row)
    near: list[set[Sides]] = [set() for _ in row]  # of each category: the sides up to the next one
    at: int | None = None
    for place in range(len(row)) if not side_first else reversed(range(len(row))):
        one = row[place]
        if isinstance(one, Category):
            at = place
        elif at is not None:
            near[at].add(one)
    for one, sides in zip(row, near, strict=True):
        if isinstance(one, Category):
            yield (sides.pop() if len(sides) == 1 else ()) if names_side else None, one


def _settled(clause: _Clause, row: list[Sides | Category]) -> list[Sides | Category]:
    """What a clause says for certain, of its sides and categories in their order."""
    places = [place for place, one in enumerate(row) if isinstance(one, Category)]
    if not places:
        return row
    kinds = [token.lastgroup for token in clause.tokens]
    if _changes_to_now(kinds, len(places)):
        del row[places.pop(0)]
        places = [place - 1 for place in places]
    elif clause.doubted or _doubts(clause.tokens):
        raise ValueError(
            "its BI-RADS category stands beside words that negate it, or speak of the past, of a change, a condition "
            "or somebody else"
        )
    sides = {one for one in row if not isinstance(one, Category)}
    surrounded = not isinstance(row[0], Category) and not isinstance(row[-1], Category)
    if len(sides) > 1 and (surrounded or (len(places) == 1 and _beside_one(kinds))):
        raise ValueError("it is not clear which breast its BI-RADS category is of")
    return row


def _changes_to_now(kinds: Sequence[str | None], categories: int) -> bool:
    """Whether it is "previously BI-RADS 3, now BI-RADS 2" and nothing else: the word for now stands between both."""
    said = [kind for kind in kinds if kind in ("former", "birads", "now", "doubt")]
    return categories == 2 and said == ["former", "birads", "now", "birads"]


def _beside_one(kinds: Sequence[str | None]) -> bool:
    """Whether a side stands right beside a category."""
    said = [kind for kind in kinds if kind not in ("filler", "birads")]
    return any("category" in pair and (pair[0] in _SIDES or pair[1] in _SIDES) for pair in pairwise(said))


def _doubts(tokens: Iterable[re.Match[str]]) -> bool:
    return any(token.lastgroup in ("former", "doubt") for token in tokens)


def _sides_and_categories(tokens: list[re.Match[str]]) -> Iterator[Sides | Category]:
    """Both in their order. A number is a category only behind "BI-RADS" and words that belong to it; one more number
    ("BI-RADS 2 right, 4 left") only beside a side."""
    armed = first = False
    pending: Sides = ()  # of sides joined by "and"
    kinds = [token.lastgroup or "" for token in tokens]
    before, after = _neighbours(kinds), _neighbours(kinds[::-1])[::-1]
    for place, token in enumerate(tokens):
        counts = armed and after[place] != "density" and (first or before[place] in _SIDES or after[place] in _SIDES)
        match kinds[place]:
            case "birads":
                armed = first = before[place] != "density"
            case "left" | "right" | "both" if armed or len(token[0]) > 1:
                pending = tuple(sorted({*pending, *_sides(token)}))
                if not (_joins(tokens[place + 1 : place + 2]) and set(kinds[place + 2 : place + 3]) & set(_SIDES)):
                    yield pending
                    pending = ()
            case "range" if armed:
                raise ValueError("its BI-RADS category is a range")
            case "category" if counts:
                first = False
                yield _category(token[0])
            case "joined" | "filler":
                pass
            case _:
                armed = False


def _joins(tokens: Sequence[re.Match[str]]) -> bool:
    return any(token.lastgroup == "joined" and token[0] != "," for token in tokens)


def _neighbours(kinds: Sequence[str]) -> list[str]:
    """Of each the last kind before it that is no filler."""
    last, found = "", []
    for kind in kinds:
        found.append(last)
        last = last if kind == "filler" else kind
    return found


def _sides(token: re.Match[str]) -> Sides:
    return _SIDES.get(token.lastgroup or "", ())


_SIDES: dict[str, Sides] = {"left": (Laterality.LEFT,), "right": (Laterality.RIGHT,), "both": _BOTH}


def _category(said: str) -> Category:
    plain = "".join(said.split())
    return _CATEGORIES[_ROMAN.get(plain, plain.upper())]
