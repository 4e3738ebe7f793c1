"""BI-RADS categories in words: "BI-RADS 4A links, BI-RADS 2 rechts". English, German and Dutch.

What a person would have to think about is not guessed but refused. A sentence must pair its categories, the words that
announce them and its sides (node.assessments.birads_sentence); here the sentences are put together: the headings that
they stand under, and where a line ends without an end of its sentence, both ways to read it must say the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from models.types import SEVERITY, Category, Laterality
from node.assessments.birads_sentence import (
    FIELD,
    UNCERTAIN,
    UNPAIRED,
    UNREADABLE,
    announces,
    assigned,
    goes_on,
    letters,
    row_of,
)
from node.assessments.birads_words import (
    SOFT_BREAK,
    Sides,
    Token,
    category_of,
    doubtful,
    in_a_language_that_is_read,
    names,
    plain,
    tokens,
)

SEVERAL = "it gives several BI-RADS categories for one breast, or for the exam: send the one that counts"
MOST_CATEGORIES = 50
_UNSURE = frozenset({"unsure", "sided"})
_BOTH = (Laterality.LEFT, Laterality.RIGHT)
_HEADING = re.compile(rf"(?:[^\n{SOFT_BREAK}.;:]|\b(?:li|re|lt|rt|l|r)\.){{1,60}}?:(?P<line>[ \t{SOFT_BREAK}]*(?:\n|$))?", re.IGNORECASE)
_CONCLUDES = re.compile(
    r"\b(?:impressions?|conclusions?|assessment|overall|summary|final|opinion|diagnos[ei]s|beurteilung|zusammenfassung"
    r"|fazit|gesamt\w*|conclusie|beoordeling|samenvatting|eindconclusie)\b",
    re.IGNORECASE,
)
_IN_A_HEADING = frozenset({"left", "right", "both", "breast", "filler", "joined", "short", "soft"})


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
    said = plain(value)
    if not said:
        return ()
    if said.upper() in ("B", "LR", "RL"):
        return _BOTH
    if said.upper() in ("L", "R", "LT", "RT", "LI", "RE", "LI.", "RE."):
        return (Laterality.LEFT,) if said[0] in "lL" else (Laterality.RIGHT,)
    row = row_of(list(tokens(said)))
    named = {token.sides for token in row if token.sides}
    if len(named) != 1 or doubtful(row) or any(token.kind in ("short", "unsure", "sided") for token in row):
        return None
    return named.pop()


def categories_in(text: str) -> list[tuple[Sides, Category]]:
    """The categories that a report's text assigns, in their order, with the breasts that each is about; those that are
    about none are the exam's.

    Raises:
        ValueError: what it says takes a person to understand.
    """
    said = _with_soft_breaks(plain(text))
    if not names(said):
        return []
    if not in_a_language_that_is_read(said):
        raise ValueError("it speaks of BI-RADS in a language that is not read: English, German and Dutch are")
    ending, going_on = (_read(said, soft_ends=soft_ends) for soft_ends in (True, False))
    if set(ending) != set(going_on):
        raise ValueError("it is not clear where its sentences end, and its BI-RADS category depends on that")
    return ending


@dataclass(frozen=True, eq=False)
class _Section:
    """What stands under one heading, or under none.

    Attributes:
        sides: the breast that the heading names.
        unclear: it names several, or abbreviates what may be one.
        doubted: no category counts there ("Prior mammogram:", "Density:").
        concludes: it is the conclusion of the report ("Impression:").
        line_only: it ends with its line.
    """

    sides: Sides = ()
    unclear: bool = False
    doubted: bool = False
    concludes: bool = False
    line_only: bool = True


@dataclass
class _Sentence:
    """Its words, the heading among them where it begins with one (`heads`). `opens`: a line begins with it."""

    section: _Section
    opens: bool
    heads: bool = False
    words: list[Token] = field(default_factory=list)


@dataclass(frozen=True)
class _Statement:
    """A category; `sides`: the breast that its sentence names."""

    sides: Sides
    category: Category
    sentence: _Sentence


@dataclass(frozen=True)
class _Layout:
    """What a category under a heading must be held against.

    Attributes:
        last: the last section of a side.
        named: the breasts that the text names.
        without_breast: the sections that say that there is none.
    """

    last: _Section | None
    named: set[Laterality]
    without_breast: set[_Section]


def _with_soft_breaks(text: str) -> str:
    """With a SOFT_BREAK for each end of a line that may not be the end of its sentence."""
    pieces: list[str] = []
    lines = text.split("\n")
    hard = True  # whether the line before has ended its sentence
    for line, following in pairwise([*lines, ""]):
        alone = _is_side(line) and (hard or not line.isupper())
        hard = (
            not line
            or not following
            or line[-1] in ".!?;:"
            or alone
            or (_is_side(following) and not following.isupper())
            or _heading_at(following, 0) is not None
        )
        pieces += [line, "\n" if hard else SOFT_BREAK]
    return "".join(pieces[:-1])


def _is_side(line: str) -> bool:
    """Whether a line is a heading without a colon: "Left breast"."""
    return len(line) < 40 and line[:1].isupper() and _names_one_side(list(tokens(line)))


def _is_heading(words: Sequence[Token]) -> bool:
    """Whether a sentence is a heading without a colon: one that names a side alone, or abbreviates what may be one."""
    kinds = {token.kind for token in words}
    return (words[0].text[:1].isupper() and _names_one_side(words)) or (
        "short" in kinds and kinds <= {"short", "breast", "filler", "soft"}
    )


def _blurs(sentence: _Sentence) -> bool:
    """Whether a sentence leaves it unclear which breast its section is about, by what may be another one."""
    row = row_of(sentence.words)
    second = sentence.heads and any(word.kind.isupper() and word.sides != sentence.section.sides for word in row)
    return second or any(word.kind == "short" or (word.kind in _UNSURE and sentence.section.sides) for word in row)


def _names_one_side(words: Sequence[Token]) -> bool:
    kinds = {token.kind for token in words}
    return kinds <= _IN_A_HEADING and len({token.sides for token in row_of(words) if token.sides}) == 1


def _heading_at(text: str, at: int) -> re.Match[str] | None:
    found = _HEADING.match(text, at)
    return found if found and not names(found[0]) else None


def _read(text: str, *, soft_ends: bool) -> list[tuple[Sides, Category]]:
    sentences = list(_sentences(text, soft_ends=soft_ends))
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
        last=next((one.section for one in reversed(sentences) if one.section.sides), None),
        named={side for one in sentences for word in row_of(one.words) for side in word.sides} if said else set(),
        without_breast={one.section for one in sentences if any(word.kind == "absent" for word in one.words)},
    )
    found = [(_about(one, said, layout), one.category) for one in said]
    _check(found, said)
    return list(dict.fromkeys(found))


def _about(one: _Statement, said: Sequence[_Statement], layout: _Layout) -> Sides:
    """The breasts that a category is about.

    What stands under the last heading of a side, where the other breast is named and has none, is taken for the
    conclusion of the whole report; where it may as well be that as the section's own, it is refused.
    """
    section = one.sentence.section
    if one.sides or not (section.sides or section.unclear):
        return one.sides
    if section.unclear or section in layout.without_breast:
        raise ValueError(UNPAIRED)
    if section is not layout.last:
        return section.sides
    others = [other for other in said if _near(other) not in ((), section.sides)]
    if layout.named - set(section.sides) - {side for other in others for side in _near(other)}:
        if len(said) > 1:
            raise ValueError(UNPAIRED)
        return ()
    alike = all(other.sentence.opens == one.sentence.opens and not other.sentence.heads for other in others)
    if others and not alike and one.category is max((other.category for other in others), key=SEVERITY.index):
        raise ValueError(UNPAIRED)
    return section.sides


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
    if not all(_concludes(one) for (sides, _), one in zip(found, said, strict=True) if not sides):
        raise ValueError(UNPAIRED)
    worst = max(breasts, key=SEVERITY.index)
    rank = SEVERITY.index(exam.pop()) - SEVERITY.index(worst)
    if rank < 0 or (rank and len(of) == len(_BOTH)):
        raise ValueError("its BI-RADS category of the exam contradicts those of the breasts")


def _concludes(statement: _Statement) -> bool:
    words = " ".join(word.text for word in statement.sentence.words)
    return statement.sentence.section.concludes or _CONCLUDES.search(words) is not None


def _sentences(text: str, *, soft_ends: bool) -> Iterator[_Sentence]:
    """A heading ("Left breast:") is for what follows on its line, or where it has a line of its own for the lines up to
    the next heading or empty line; and no longer than the other breast is not named."""
    section = _Section()
    sentence = _Sentence(section, opens=True)
    held: _Sentence | None = None  # the one before, whose list this one may go on with
    at_beginning = line_is_empty = True
    for token in [*tokens(text), Token("end", "\n", len(text))]:
        if token.kind != "end" and not (token.kind == "soft" and soft_ends):
            if not sentence.words and token.kind != "soft":
                if heading := _heading_at(text, token.at):
                    section = _section(heading[0], line_only=heading["line"] is None)
                sentence.section, sentence.heads = section, heading is not None
            sentence.words.append(token)
            line_is_empty = False
            continue
        breaks = token.text in ("\n", SOFT_BREAK)
        last = next((word.kind for word in reversed(sentence.words) if word.kind not in ("filler", "name")), "")
        if breaks and last == "birads" and text[token.at + 1 : token.at + 2] not in ("", "\n"):
            continue  # the category stands on the next line
        if sentence.words:
            if at_beginning and _is_heading(sentence.words):
                section = _section(" ".join(word.text for word in sentence.words), line_only=not breaks)
                sentence.section, sentence.heads = section, True
            elif breaks and not sentence.heads and _blurs(sentence) and sentence.words[-1].text == ":":
                section = _Section(unclear=True, line_only=False)
            elif _blurs(sentence):
                section = replace(section, unclear=True)
            elif not {side for word in sentence.words for side in word.sides} <= set(section.sides):
                section = replace(section, sides=())
            if held and announces(held.words) and goes_on(sentence.words):
                held.words += [Token("comma", ",", token.at), *sentence.words]
            else:
                if held:
                    yield held
                held = sentence
        if token.text == "\n":
            if line_is_empty or section.line_only:
                section = _Section()
            line_is_empty = True
        at_beginning = token.kind == "end"
        sentence = _Sentence(section, opens=breaks)
    if held:
        yield held


def _section(heading: str, *, line_only: bool) -> _Section:
    words = list(tokens(heading.replace("\n", " ")))
    row = row_of(words)
    sides = {token.sides for token in row if token.sides}
    density = any(word.kind in ("density", "tissue") for word in words)
    return _Section(
        unclear=len(sides) > 1 or "?" in letters(row),
        sides=sides.pop() if len(sides) == 1 else (),
        doubted=doubtful(words) or (density and not line_only),
        concludes=_CONCLUDES.search(heading) is not None,
        line_only=line_only,
    )
