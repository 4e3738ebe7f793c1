"""BI-RADS categories in words: "BI-RADS 4A links, BI-RADS 2 rechts". English, German and Dutch.

What a person would have to think about is not guessed: a range ("BI-RADS 2-3") is refused; one that is said to be
former, or of the density, is none of this exam; where a sentence names two breasts and not which one it means, the
category is the exam's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from models.types import Category, Laterality

Sides = tuple[Laterality, ...]
"""The breasts that are named; empty: none."""

_BOTH = (Laterality.LEFT, Laterality.RIGHT)
_CATEGORIES = {category.value: category for category in Category if category is not Category.ONE_OR_TWO}
_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4", "V": "5", "VI": "6"}
# A number that goes on (4.5, 2-3, 12), counts something (2 cm) or is a century's is no category.
_CATEGORY = (
    r"(?:4(?:[ABC]|\s(?-i:[ABC]))|[0-6]|(?-i:III|II|IV|VI|V|I(?=\s*(?:[.,;)]|$))))"
    r"(?!\w|\s?[-–/+]\s?\d|[.,]\d|\s?(?:mm|cm|x|×|%|uhr|uur|o.?clock)(?!\w))"
)
_TOKEN = re.compile(
    "|".join(
        (
            r"(?P<birads>\bBI[\s-]?RADS(?![^\W\d]))",
            r"(?P<left>\b(?:left|links|linke[rnms]?|linkerborst|(?-i:LT|L)(?=\W|\d|$))(?![^\W\d])|\bli\.)",
            r"(?P<right>\b(?:right|rechts|rechte[rnms]?|rechterborst|(?-i:RT|R)(?=\W|\d|$))(?![^\W\d])|\bre\.)",
            r"(?P<both>\b(?:both|bilateral(?:ly)?|bilateraal|beid(?:e[rnms]?|seits|erseits)|beiderzijds)\b|\bbds\.?)",
            r"(?P<former>\b(?:prior|previous(?:ly)?|former(?:ly)?|last|vorher(?:ige)?|zuvor|zuletzt|vorbefund|voraufnahme"
            r"|früher|ehemals|eerder|voorheen|vorige?)\b)",
            r"(?P<density>\b(?:density|composition|brustdichte|dichte|densiteit|dichtheid|parenchym\w*|tissue)\b)",
            r"(?P<range>(?<![\w.,])[0-6][ABC]?\s?[-–/+]\s?[0-6][ABC]?(?!\w))",
            rf"(?P<category>(?:(?<![\w.,])|(?<=RADS)|(?<=\b(?-i:[LR]))){_CATEGORY})",
            r"(?P<joined>[,&+/]|\b(?:and|und|en)\b)",
            r"(?P<filler>[:=()\[\]™®-]|\b(?:cat|kat)\.|\b(?:acr|final|overall|assessment|score|code|categor(?:y|ie)|kategorie|cat|kat"
            r"|klasse|klassifikation|gesamt|breasts?|mamma[e]?|brust|brüste|borst(?:en)?|side|seite|is)\b)",
            r"(?P<end>[.;\n])",
            r"(?P<other>\w+|\S)",
        )
    ),
    re.IGNORECASE,
)
_HEADING = re.compile(r"\s*(?:[^\W\d]+\s+){0,3}[^\W\d]+\s*:")
"""Up to four words at the beginning of a line; "BI-RADS:" is none, for its hyphen or by `mentions`."""


def category_in(value: str, *, alone: bool = False) -> Category | None:
    """The category that a value is ("4A", "4a", "BI-RADS 4A") or, unless it must stand `alone`, begins with
    ("4A - Low suspicion"); None: it is none."""
    pattern = rf"\s*(?:BI[\s-]?RADS[\s:]*)?(?:category\s*)?({_CATEGORY})"
    found = re.match(pattern + (r"\s*$" if alone else ""), value, re.IGNORECASE)
    return _category(found[1]) if found else None


def sides_in(value: str) -> Sides | None:
    """The breasts that a value names: "L", "left", "RT", "bilateral", "B"; empty: it is empty. None: it names none."""
    said = value.strip()
    if said.upper() in ("B", "LR", "RL"):
        return _BOTH
    tokens = _TOKEN.finditer(said.upper() if len(said) <= 2 else said)
    return tuple(sorted({side for token in tokens for side in _sides(token)})) or (None if said else ())


def mentions(text: str) -> bool:
    """Whether a text speaks of BI-RADS at all."""
    return any(token.lastgroup == "birads" for token in _TOKEN.finditer(text))


def categories_in(text: str) -> list[tuple[Sides, Category]]:
    """The categories that a report's text assigns, in their order, with the breasts that each is about.

    Raises:
        ValueError: it gives a range of categories.
    """
    clauses = list(_clauses(text))
    found = [(sides, category, clause) for clause in clauses for sides, category in _assigned(clause.tokens)]
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
    """Up to the end of a sentence or line. `section`: the sides that a heading gives it."""

    tokens: list[re.Match[str]]
    section: Sides


def _clauses(text: str) -> Iterator[_Clause]:
    """A heading ("Left breast:") is for what follows on its line, or where it has a line of its own for the lines up to
    the next heading or empty line; and no longer than the other breast is not named."""
    tokens: list[re.Match[str]] = []
    section: Sides = ()
    for line in text.replace("\r", "\n").split("\n"):
        heading = None if (begun := _HEADING.match(line)) and mentions(begun[0]) else begun
        stays = section if line.strip() else ()
        if heading:
            section = tuple(sorted({side for token in _TOKEN.finditer(heading[0]) for side in _sides(token)}))
            stays = section if not line[heading.end() :].strip() else ()
        for token in _TOKEN.finditer(line):
            if token.lastgroup != "end":
                tokens.append(token)
                section = section if set(_sides(token)) <= set(section) else ()
            else:
                yield _Clause(tokens, section)
                tokens = []
        if _last([token.lastgroup or "" for token in tokens]) != "birads":  # else the category stands on the next line
            yield _Clause(tokens, section)
            tokens = []
        section = stays if set(stays) <= set(section) else ()


def _assigned(tokens: list[re.Match[str]]) -> Iterator[tuple[Sides | None, Category]]:
    """The categories of a clause. Sides: None where the clause names none; empty where it does not settle which."""
    row = list(_sides_and_categories(tokens))
    side_first = bool(row) and not isinstance(row[0], Category)
    names_side = any(not isinstance(one, Category) for one in row)
    for place, one in enumerate(row):
        if not isinstance(one, Category):
            continue
        towards = reversed(row[:place]) if side_first else iter(row[place + 1 :])
        near: set[Sides] = set()
        for other in towards:
            if isinstance(other, Category):
                break
            near.add(other)
        yield (near.pop() if len(near) == 1 else ()) if names_side else None, one


def _sides_and_categories(tokens: list[re.Match[str]]) -> Iterator[Sides | Category]:
    """Both in their order. A number is a category only behind "BI-RADS" and words that belong to it; one more number
    ("BI-RADS 2 right, 4 left") only beside a side."""
    armed = first = False
    pending: Sides = ()  # of sides joined by "and"
    kinds = [token.lastgroup or "" for token in tokens]
    for place, token in enumerate(tokens):
        kind, before, after = kinds[place], _last(kinds[:place]), _last(kinds[:place:-1])
        counts = armed and (first or before in _SIDES or after in _SIDES)
        match kind:
            case "birads":
                armed = first = before not in ("former", "density")
            case "left" | "right" | "both" if armed or len(token[0]) > 1:
                pending = tuple(sorted({*pending, *_sides(token)}))
                if not (kinds[place + 1 : place + 2] == ["joined"] and set(kinds[place + 2 : place + 3]) & set(_SIDES)):
                    yield pending
                    pending = ()
            case "range" if counts:
                raise ValueError("its BI-RADS category is a range")
            case "category" if counts:
                first = False
                yield _category(token[0])
            case "joined" | "filler":
                pass
            case _:
                armed = False


def _last(kinds: list[str]) -> str:
    """The last kind that is no filler."""
    return next((kind for kind in reversed(kinds) if kind != "filler"), "")


def _sides(token: re.Match[str]) -> Sides:
    return _SIDES.get(token.lastgroup or "", ())


_SIDES: dict[str, Sides] = {"left": (Laterality.LEFT,), "right": (Laterality.RIGHT,), "both": _BOTH}


def _category(said: str) -> Category:
    plain = "".join(said.split())
    return _CATEGORIES[_ROMAN.get(plain, plain.upper())]
