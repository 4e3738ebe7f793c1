"""BI-RADS categories in words: "BI-RADS 4A links, BI-RADS 2 rechts". English, German and Dutch.

What a person would have to think about is not guessed but refused. A sentence must pair its categories, the words that
announce them and its sides (birads_sentence); here the sentences are held against each other and against the headings
that they stand under (birads_layout). Where a line ends without an end of its sentence, both ways to read it must say
the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile, zip_longest

from models.types.birads import SEVERITY, Category, most_severe
from models.types.mammogram import Laterality
from node.assessments.text.layout import (
    CONCLUDES,
    UNSURE,
    Section,
    Sentence,
    is_bare_side,
    sentences_of,
    with_soft_breaks,
)
from node.assessments.text.sentence import (
    FIELD,
    UNCERTAIN,
    UNPAIRED,
    UNREADABLE,
    assigned,
    is_side_of_next_clause,
)
from node.assessments.text.sides import as_side, row_of, side_within
from node.assessments.text.spelling import names
from node.assessments.text.words import (
    Sides,
    category_of,
    corrects,
    doubtful,
    in_a_language_that_is_read,
    plain,
    tokens,
)

SEVERAL = "it gives several BI-RADS categories for one breast, or for the exam: send the one that counts"
CORRECTED = (
    "it corrects or takes back something, and which of its words count takes a person: send the corrected report alone"
)
MOST_CATEGORIES = 50
_APART = frozenset({Category.ZERO, Category.SIX})
_OVERALL = re.compile(r"\b(?:overall|gesamt\w*)\b", re.IGNORECASE)
_BOTH = (Laterality.LEFT, Laterality.RIGHT)


def category_in(value: str, *, alone: bool = False) -> Category | None:
    """The category that a value is ("4A", "4a", "BI-RADS 4A") or, unless it must stand `alone`, has before a dash and
    words ("4A - Low suspicion"); None: it is none."""
    found = FIELD.fullmatch(plain(value))
    if not found or ((words := found["words"]) and (alone or doubtful(tokens(words)))):
        return None
    return category_of(found["category"])


def sides_in(value: str) -> Sides | None:
    """The breasts that a value names: "L", "left", "RT", "bilateral", "B"; empty: it is empty. None: it names none, or
    another than it names ("not left"), or does not say for certain which ("left or right")."""
    value_text = plain(value)
    if not value_text:
        return ()
    if value_text.upper() in ("B", "LR", "RL"):
        return _BOTH
    row = row_of([as_side(token) for token in tokens(value_text)])
    named = {token.sides for token in row if token.sides}
    if len(named) != 1 or doubtful(row) or any(token.kind in UNSURE for token in row):
        return None
    return named.pop()


def sides_beside(value: str) -> Sides:
    """The breasts that a category's value names beside it ("4 - right breast"); empty: none.

    Raises:
        ValueError: it does not say for certain which.
    """
    if plain(value).upper() != "B" and (sides := sides_in(value)):
        return sides
    row = row_of(list(tokens(plain(value))))
    if any(token.sides or token.kind == "short" or side_within(token) for token in row):
        raise ValueError(UNPAIRED)
    return ()


def breasts_in(text: str) -> set[Laterality]:
    """The breasts that a text names on their own."""
    return {token.sides[0] for token in row_of(list(tokens(plain(text)))) if len(token.sides) == 1}


def is_side(value: str) -> bool:
    """Whether a value names a side and nothing else ("24028007^Right^SCT" has such a component)."""
    return any(is_bare_side(list(tokens(part))) for part in plain(value).split("^"))


def categories_in(text: str) -> list[tuple[Sides, Category]]:
    """The categories that a report's text assigns, in their order, with the breasts that each is about; those that are
    about none are the exam's.

    Raises:
        ValueError: what it says takes a person to understand.
    """
    plain_text = with_soft_breaks(plain(text))
    if not names(plain_text):
        return []
    if not in_a_language_that_is_read(plain_text):
        raise ValueError("it speaks of BI-RADS in a language that is not read: English, German and Dutch are")
    ending, going_on = (_read(plain_text, soft_ends=soft_ends) for soft_ends in (True, False))
    if set(ending) != set(going_on):
        raise ValueError("it is not clear where its sentences end, and its BI-RADS category depends on that")
    if ending and corrects(plain_text):
        raise ValueError(CORRECTED)
    return ending


@dataclass(frozen=True)
class _Statement:
    """A category; `sides`: the breast that its sentence names."""

    sides: Sides
    category: Category
    sentence: Sentence


@dataclass(frozen=True)
class _Layout:
    """What a category under a heading must be held against.

    Attributes:
        last: the last sections of a side.
        named: the breasts that the text names.
        apart: those that it names on their own, for certain or not.
        without_breast: the sections that say that there is none.
    """

    last: set[Section]
    named: set[Laterality]
    apart: set[Laterality]
    without_breast: set[Section]


def _read(text: str, *, soft_ends: bool) -> list[tuple[Sides, Category]]:
    sentences = list(sentences_of(text, soft_ends=soft_ends))
    said: list[_Statement] = []
    for sentence in sentences:
        for sides, category in assigned(sentence.words):
            if sentence.section.doubted:
                raise ValueError(UNCERTAIN)
            section = sentence.section
            if not sentence.heads and (section.unclear or (section.sides and not set(sides) <= set(section.sides))):
                raise ValueError(UNPAIRED)
            said.append(_Statement(sides, category, sentence))
        if len(said) > MOST_CATEGORIES:
            raise ValueError(f"it gives more than {MOST_CATEGORIES} BI-RADS categories: no report does")
    if sum(word.kind == "birads" for sentence in sentences for word in sentence.words) != names(text):
        raise ValueError(UNREADABLE)
    layout = _Layout(
        last=_last_of_a_side(sentences),
        named={side for sentence in sentences for side in _named(sentence)} if said else set(),
        apart={side for sentence in sentences for side in _named_apart(sentence)} if said else set(),
        without_breast={
            sentence.section for sentence in sentences if any(word.kind == "absent" for word in sentence.words)
        },
    )
    found = [
        (_about(statement, said, layout) or _of_its_item(statement, said, sentences), statement.category)
        for statement in said
    ]
    _check(found, said)
    of_exam = [statement for (sides, _), statement in zip(found, said, strict=True) if not sides]
    if any(_stands_beside_a_side(statement.sentence, sentences) for statement in of_exam):
        raise ValueError(UNPAIRED)
    has_none = layout.apart - {side for sides, _ in found for side in sides}
    if has_none and any(statement.sides and is_side_of_next_clause(statement.sentence.words) for statement in said):
        raise ValueError(UNPAIRED)
    if (
        has_none
        and layout.apart == set(_BOTH)
        and not all(_concludes_all(statement, sentences) for statement in of_exam)
    ):
        raise ValueError(UNPAIRED)
    return list(dict.fromkeys(found))


def _last_of_a_side(sentences: Sequence[Sentence]) -> set[Section]:
    sided = [sentence.section for sentence in reversed(sentences) if sentence.section.sides]
    return set(takewhile(lambda section: section.sides == sided[0].sides, sided))


def _named(sentence: Sentence) -> set[Laterality]:
    return {side for word in row_of(sentence.words) for side in word.sides}


def _named_apart(sentence: Sentence) -> set[Laterality]:
    """The breasts that a sentence names, or may name, but not both in one word. A letter before a word is a name's."""
    row = row_of(sentence.words)
    named = {word.sides[0] for word in row if len(word.sides) == 1}
    for word, following in zip_longest(row, row[1:]):
        if word.kind in UNSURE:
            named |= set(side_within(word))
        elif word.kind == "short" and (following is None or not following.text[0].isalpha()):
            named |= set(as_side(word).sides)
    return named


def _stands_beside_a_side(sentence: Sentence, sentences: Sequence[Sentence]) -> bool:
    """Whether a side stands alone before or behind a sentence ("BI-RADS 4; right", "Laterality: Left") and is not the
    heading of something else."""
    at = next(place for place, other in enumerate(sentences) if other is sentence)
    before, behind = sentences[max(0, at - 1) : at], sentences[at + 1 : at + 2]
    if any(
        is_bare_side(other.words) or [word.kind for word in other.words if word.text != "."][-1] == "short"
        for other in before
    ):
        return True
    heads = (
        any(other.heads and other.section.sides and other.words[-1].text == ":" for other in behind)
        and len(sentences) > at + 2
    )
    return not heads and any(is_bare_side(other.words) for other in behind)


def _concludes_all(statement: _Statement, sentences: Sequence[Sentence]) -> bool:
    """Whether a category without a side is given to the whole exam, though a breast that is named has none: where it is
    the conclusion, or stands below its heading with no breast named between, and not between the breasts."""
    at = next(place for place, sentence in enumerate(sentences) if sentence is statement.sentence)
    if any(map(_named_apart, sentences[:at])) and any(sentence.section.sides for sentence in sentences[at + 1 :]):
        return False
    if _concludes(statement):
        return True
    for sentence in reversed(sentences[:at]):
        if sentence.section.concludes:
            return True
        if _named(sentence):
            return False
    return False


def _about(statement: _Statement, said: Sequence[_Statement], layout: _Layout) -> Sides:
    """The breasts that a category is about.

    What stands under the last heading of a side, where the other breast is named and has none, may be of the whole exam
    as well as of that breast: it is refused, and so is what may be the conclusion of two breasts that have categories.
    """
    section = statement.sentence.section
    if statement.sides or not (section.sides or section.unclear):
        return statement.sides
    if section.unclear or section in layout.without_breast:
        raise ValueError(UNPAIRED)
    if section not in layout.last:
        return section.sides
    others = [other for other in said if _near(other) not in ((), section.sides)]
    if (
        others
        and _OVERALL.search(_words(statement))
        and any(other is not statement and _near(other) == section.sides for other in said)
    ):
        return ()
    if layout.named - set(section.sides) - {side for other in others for side in _near(other)}:
        if len(said) == 1 and _concludes(statement):
            return ()
        raise ValueError(UNPAIRED)
    alike = all(other.sentence.opens == statement.sentence.opens and not other.sentence.heads for other in others)
    if others and not alike and statement.category is most_severe(other.category for other in others):
        raise ValueError(UNPAIRED)
    return section.sides


def _of_its_item(statement: _Statement, said: Sequence[_Statement], sentences: Sequence[Sentence]) -> Sides:
    """The only breast that its numbered item names, where several items give a category to none."""
    item = statement.sentence.item
    if not item or len({other.sentence.item for other in said if other.sentence.item and not _near(other)}) < 2:
        return ()
    named = {side for sentence in sentences if sentence.item == item for side in _named_apart(sentence)}
    return tuple(named) if len(named) == 1 else ()


def _near(statement: _Statement) -> Sides:
    """The breast that its sentence names, or the heading above it."""
    return statement.sides or statement.sentence.section.sides


def _check(found: Sequence[tuple[Sides, Category]], said: Sequence[_Statement]) -> None:
    """Raises ValueError: categories contradict each other, or one without a side may be that of a breast."""
    of: dict[Laterality | None, set[Category]] = {}
    for sides, category in found:
        for side in sides or (None,):
            of.setdefault(side, set()).add(category)
    if any(len(several) > 1 for several in of.values()):
        raise ValueError(SEVERAL)
    exam, breasts = of.pop(None, None), [category for several in of.values() for category in several]
    if not exam or not breasts:
        return
    if not all(_concludes(statement) for (sides, _), statement in zip(found, said, strict=True) if not sides):
        raise ValueError(UNPAIRED)
    exams_category = exam.pop()
    rank = SEVERITY.index(exams_category) - max(map(SEVERITY.index, breasts))
    # 0 (incomplete) and 6 (known cancer) may stand beside whatever the breasts have.
    if exams_category not in _APART and (rank < 0 or (rank and len(of) == len(Laterality))):
        raise ValueError("its BI-RADS category of the exam contradicts those of the breasts")


def _concludes(statement: _Statement) -> bool:
    """Whether its heading says so, or the words before BI-RADS ("Final assessment: BI-RADS 4"): those behind it may
    belong to its name. "Overall" is of the exam wherever it stands."""
    words = statement.sentence.words
    before = next(at for at, word in enumerate(words) if word.kind == "birads")
    return (
        statement.sentence.section.concludes
        or CONCLUDES.search(" ".join(word.text for word in words[:before])) is not None
        or _OVERALL.search(_words(statement)) is not None
    )


def _words(statement: _Statement) -> str:
    return " ".join(word.text for word in statement.sentence.words)
