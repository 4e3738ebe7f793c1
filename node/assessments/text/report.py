"""Reads BI-RADS categories in English, German and Dutch text: "BI-RADS 4A links, BI-RADS 2 rechts".

Ambiguous text is refused, not guessed. Within a sentence each category must match its word BI-RADS and its side
(sentence.py). Here the sentences are compared with each other and with their headings (layout.py). If it is unclear
whether a sentence ends at the end of a line, both ways to read it must have the same categories.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile, zip_longest

from models.types.birads import SEVERITY, Category, most_severe
from models.types.mammogram import Laterality
from node.assessments.text.doubt import casts_doubt
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
    is_in_supported_language,
    not_final,
    plain,
    tokens,
)

SEVERAL = "it has several BI-RADS categories for one breast or for the exam: send only the final one"
CORRECTED = (
    "it corrects or withdraws something, and only a person can see which part is valid: send the corrected report alone"
)
PRELIMINARY = "its text says that it is preliminary, a draft or not signed"
MOST_CATEGORIES = 50
_APART = frozenset({Category.ZERO, Category.SIX})
_OVERALL = re.compile(r"\b(?:overall|gesamt\w*)\b", re.IGNORECASE)
_BOTH = (Laterality.LEFT, Laterality.RIGHT)


def category_in(value: str, *, alone: bool = False) -> Category | None:
    """The category of a value: the whole value ("4A", "4a", "BI-RADS 4A") or, unless `alone`, the part before a dash
    and words ("4A - Low suspicion"). None if it is not a category."""
    found = FIELD.fullmatch(plain(value))
    if not found or ((words := found["words"]) and (alone or doubtful(tokens(words)))):
        return None
    return category_of(found["category"])


def sides_in(value: str) -> Sides | None:
    """The breasts that a value names: "L", "left", "RT", "bilateral", "B". Empty if the value is empty. None if it
    names no breast, has a negation ("not left"), or is ambiguous ("left or right")."""
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
    """The breasts in the value of a category ("4 - right breast"); empty if there is none.

    Raises:
        ValueError: it is unclear which breast.
    """
    if plain(value).upper() != "B" and (sides := sides_in(value)):
        return sides
    row = row_of(list(tokens(plain(value))))
    if any(token.sides or token.kind == "short" or side_within(token) for token in row):
        raise ValueError(UNPAIRED)
    return ()


def breasts_in(text: str) -> set[Laterality]:
    """The breasts that a text names singly (not "both")."""
    return {token.sides[0] for token in row_of(list(tokens(plain(text)))) if len(token.sides) == 1}


def is_side(value: str) -> bool:
    """Whether a component of a value is only a side ("24028007^Right^SCT")."""
    return any(is_bare_side(list(tokens(part))) for part in plain(value).split("^"))


def categories_in(text: str, exam_year: int | None = None) -> list[tuple[Sides, Category]]:
    """The categories in a report's text, in their order, each with its breasts. A category without breasts is that of
    the exam.

    Args:
        exam_year: the year of the exam. An earlier year beside a category makes it a former one; any year if it is not
            known.

    Raises:
        ValueError: a category, or its breast, is not certain; the text is the reason.
    """
    plain_text = with_soft_breaks(plain(text))
    if not names(plain_text):
        return []
    if not is_in_supported_language(plain_text):
        raise ValueError("it mentions BI-RADS in a language that is not supported: only English, German and Dutch are")
    (ending, doubted), (going_on, doubted_too) = (
        _read(plain_text, exam_year, soft_ends=soft_ends) for soft_ends in (True, False)
    )
    if set(ending) != set(going_on):
        raise ValueError("its BI-RADS category depends on where its sentences end, which is unclear")
    if ending and corrects(plain_text):
        raise ValueError(CORRECTED)
    if ending and not_final(plain_text):
        raise ValueError(PRELIMINARY)
    if doubted or doubted_too:
        raise ValueError(UNCERTAIN)
    return ending


@dataclass(frozen=True)
class _Statement:
    """A category and its sentence. `sides`: the breasts that the sentence names for it."""

    sides: Sides
    category: Category
    sentence: Sentence


@dataclass(frozen=True)
class _Layout:
    """Facts about the whole text that decide which breast a category under a heading belongs to.

    Attributes:
        last: the last sections of the side that has a heading last.
        named: the breasts that the text names.
        named_singly: the breasts that it names singly, or may name.
        without_breast: the sections of a breast that was removed.
    """

    last: set[Section]
    named: set[Laterality]
    named_singly: set[Laterality]
    without_breast: set[Section]


def _read(text: str, exam_year: int | None, *, soft_ends: bool) -> tuple[list[tuple[Sides, Category]], bool]:
    """The categories of a text, and whether a sentence beside one casts doubt on it."""
    sentences = list(sentences_of(text, exam_year, soft_ends=soft_ends))
    statements: list[_Statement] = []
    for sentence in sentences:
        for sides, category in assigned(sentence.words, exam_year):
            if sentence.section.doubted:
                raise ValueError(UNCERTAIN)
            section = sentence.section
            if not sentence.has_heading and (
                section.unclear or (section.sides and not set(sides) <= set(section.sides))
            ):
                raise ValueError(UNPAIRED)
            statements.append(_Statement(sides, category, sentence))
        if len(statements) > MOST_CATEGORIES:
            raise ValueError(f"it has more than {MOST_CATEGORIES} BI-RADS categories")
    if sum(word.kind == "birads" for sentence in sentences for word in sentence.words) != names(text):
        raise ValueError(UNREADABLE)
    layout = _Layout(
        last=_last_of_a_side(sentences),
        named={side for sentence in sentences for side in _named(sentence)} if statements else set(),
        named_singly={side for sentence in sentences for side in _named_singly(sentence)} if statements else set(),
        without_breast={
            sentence.section for sentence in sentences if any(word.kind == "absent" for word in sentence.words)
        },
    )
    found = [
        (
            _breasts_of(statement, statements, layout) or _breasts_of_item(statement, statements, sentences),
            statement.category,
        )
        for statement in statements
    ]
    _check(found, statements)
    of_exam = [statement for (sides, _), statement in zip(found, statements, strict=True) if not sides]
    if any(_is_beside_bare_side(statement.sentence, sentences) for statement in of_exam):
        raise ValueError(UNPAIRED)
    has_none = layout.named_singly - {side for sides, _ in found for side in sides}
    if has_none and any(
        statement.sides and is_side_of_next_clause(statement.sentence.words) for statement in statements
    ):
        raise ValueError(UNPAIRED)
    if (
        has_none
        and layout.named_singly == set(_BOTH)
        and not all(_concludes_all(statement, sentences) for statement in of_exam)
    ):
        raise ValueError(UNPAIRED)
    return list(dict.fromkeys(found)), _is_doubted_beside(statements, sentences, exam_year)


def _is_doubted_beside(statements: Sequence[_Statement], sentences: Sequence[Sentence], exam_year: int | None) -> bool:
    """Whether the sentence directly before or after a category casts doubt on it. Headings separate: a conclusion from
    what is before it, and a category from what stands below the next heading."""
    stating = {id(statement.sentence) for statement in statements}
    for before, behind in pairwise(sentences):
        if id(behind) in stating and id(before) not in stating and not _begins_conclusion(behind, before):
            if casts_doubt(before.words, exam_year, behind=False):
                return True
        elif (
            id(before) in stating
            and id(behind) not in stating
            and not (behind.has_heading and behind.opens_line)
            and casts_doubt(behind.words, exam_year, behind=True)
        ):
            return True
    return False


def _begins_conclusion(sentence: Sentence, before: Sentence) -> bool:
    """Whether a heading of findings or a conclusion ("Impression:") separates a sentence from the one before."""
    head = takewhile(lambda word: word.text != ":", sentence.words)
    own = sentence.has_heading and any(word.kind == "conclusion" for word in head)
    return own or (sentence.section.concludes and sentence.section is not before.section)


def _last_of_a_side(sentences: Sequence[Sentence]) -> set[Section]:
    sided = [sentence.section for sentence in reversed(sentences) if sentence.section.sides]
    return set(takewhile(lambda section: section.sides == sided[0].sides, sided))


def _named(sentence: Sentence) -> set[Laterality]:
    return {side for word in row_of(sentence.words) for side in word.sides}


def _named_singly(sentence: Sentence) -> set[Laterality]:
    """The breasts that a sentence names or may name singly (not "both"). A letter before a word belongs to a name."""
    row = row_of(sentence.words)
    named = {word.sides[0] for word in row if len(word.sides) == 1}
    for word, following in zip_longest(row, row[1:]):
        if word.kind in UNSURE:
            named |= set(side_within(word))
        elif word.kind == "short" and (following is None or not following.text[0].isalpha()):
            named |= set(as_side(word).sides)
    return named


def _is_beside_bare_side(sentence: Sentence, sentences: Sequence[Sentence]) -> bool:
    """Whether the sentence before or after is only a side ("BI-RADS 4; right", "Laterality: Left") and not a heading of
    other text."""
    at = next(place for place, other in enumerate(sentences) if other is sentence)
    before, behind = sentences[max(0, at - 1) : at], sentences[at + 1 : at + 2]
    if any(
        is_bare_side(other.words) or [word.kind for word in other.words if word.text != "."][-1] == "short"
        for other in before
    ):
        return True
    heads = (
        any(other.has_heading and other.section.sides and other.words[-1].text == ":" for other in behind)
        and len(sentences) > at + 2
    )
    return not heads and any(is_bare_side(other.words) for other in behind)


def _concludes_all(statement: _Statement, sentences: Sequence[Sentence]) -> bool:
    """Whether a category without a side is that of the whole exam, although a named breast has none: it is the
    conclusion, or below the heading of one without a breast named between, and it is not between the two breasts."""
    at = next(place for place, sentence in enumerate(sentences) if sentence is statement.sentence)
    if any(map(_named_singly, sentences[:at])) and any(sentence.section.sides for sentence in sentences[at + 1 :]):
        return False
    if _concludes(statement):
        return True
    for sentence in reversed(sentences[:at]):
        if sentence.section.concludes:
            return True
        if _named(sentence):
            return False
    return False


def _breasts_of(statement: _Statement, statements: Sequence[_Statement], layout: _Layout) -> Sides:
    """The breasts of a category.

    A category under the last heading of a side may be that of the exam or of this breast if the other breast is named
    and has no category: it is refused. So is a category that may be the conclusion on two breasts with categories.
    """
    section = statement.sentence.section
    if statement.sides or not (section.sides or section.unclear):
        return statement.sides
    if section.unclear or section in layout.without_breast:
        raise ValueError(UNPAIRED)
    if section not in layout.last:
        return section.sides
    others = [other for other in statements if _sides_of(other) not in ((), section.sides)]
    if (
        others
        and _OVERALL.search(_words(statement))
        and any(other is not statement and _sides_of(other) == section.sides for other in statements)
    ):
        return ()
    if layout.named - set(section.sides) - {side for other in others for side in _sides_of(other)}:
        if len(statements) == 1 and _concludes(statement):
            return ()
        raise ValueError(UNPAIRED)
    alike = all(
        other.sentence.opens_line == statement.sentence.opens_line and not other.sentence.has_heading
        for other in others
    )
    if others and not alike and statement.category is most_severe(other.category for other in others):
        raise ValueError(UNPAIRED)
    return section.sides


def _breasts_of_item(statement: _Statement, statements: Sequence[_Statement], sentences: Sequence[Sentence]) -> Sides:
    """The only breast that the category's numbered item names, if several items have a category without a breast."""
    item = statement.sentence.item
    if (
        not item
        or len({other.sentence.item for other in statements if other.sentence.item and not _sides_of(other)}) < 2
    ):
        return ()
    named = {side for sentence in sentences if sentence.item == item for side in _named_singly(sentence)}
    return tuple(named) if len(named) == 1 else ()


def _sides_of(statement: _Statement) -> Sides:
    """The breasts that its sentence names, else its heading."""
    return statement.sides or statement.sentence.section.sides


def _check(found: Sequence[tuple[Sides, Category]], statements: Sequence[_Statement]) -> None:
    """Compares the categories of breasts and exam.

    Raises:
        ValueError: they contradict each other, or a category without a side may be that of a breast.
    """
    of: dict[Laterality | None, set[Category]] = {}
    for sides, category in found:
        for side in sides or (None,):
            of.setdefault(side, set()).add(category)
    if any(len(several) > 1 for several in of.values()):
        raise ValueError(SEVERAL)
    exam, breasts = of.pop(None, None), [category for several in of.values() for category in several]
    if not exam or not breasts:
        return
    if not all(_concludes(statement) for (sides, _), statement in zip(found, statements, strict=True) if not sides):
        raise ValueError(UNPAIRED)
    exams_category = exam.pop()
    rank = SEVERITY.index(exams_category) - max(map(SEVERITY.index, breasts))
    # 0 (incomplete) and 6 (known cancer) are compatible with any categories of the breasts.
    if exams_category not in _APART and (rank < 0 or (rank and len(of) == len(Laterality))):
        raise ValueError("the exam's BI-RADS category contradicts those of the breasts")


def _concludes(statement: _Statement) -> bool:
    """Whether a category is a conclusion: by its heading, by words before BI-RADS ("Final assessment: BI-RADS 4"; words
    after it may belong to its name), or by "overall" at any place."""
    words = statement.sentence.words
    before = next(at for at, word in enumerate(words) if word.kind == "birads")
    return (
        statement.sentence.section.concludes
        or CONCLUDES.search(" ".join(word.text for word in words[:before])) is not None
        or _OVERALL.search(_words(statement)) is not None
    )


def _words(statement: _Statement) -> str:
    return " ".join(word.text for word in statement.sentence.words)
