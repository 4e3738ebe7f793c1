"""The sentences of a report, each under its heading.

A heading ("Left breast:", or "Left breast" alone) is for what follows on its line, or where it has a line of its own
for the lines up to the next heading or empty line (one of the past and the like: up to the next heading); and no longer
than the other breast is not named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from models.types import Laterality
from node.assessments.text.sentence import announces, goes_on, letters
from node.assessments.text.sides import row_of
from node.assessments.text.spelling import names
from node.assessments.text.words import CONCLUSION, SOFT_BREAK, Sides, Token, doubtful, tokens

_HEADING = re.compile(
    rf"(?:[^\n{SOFT_BREAK}.;:]|\b(?:li|re|lt|rt|l|r)\.){{1,60}}?:(?!(?<=\d:)\d\d)(?P<line>[ \t{SOFT_BREAK}]*(?:\n|$))?",
    re.IGNORECASE,
)
CONCLUDES = re.compile(rf"\b(?:{CONCLUSION})\b", re.IGNORECASE)
_IN_A_HEADING = frozenset({"left", "right", "both", "breast", "filler", "joined", "short", "soft"})
UNSURE = frozenset({"unsure", "sided"})
"""Tokens that may name a side, or may be something else."""


@dataclass(frozen=True, eq=False)
class Section:
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
class Sentence:
    """Its words, the heading among them where it begins with one (`heads`). `opens`: a line begins with it."""

    section: Section
    opens: bool
    heads: bool = False
    words: list[Token] = field(default_factory=list)


def with_soft_breaks(text: str) -> str:
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


def is_bare_side(words: Sequence[Token]) -> bool:
    """Whether they are one side and nothing else, sure or not: "right", "(L)", "Laterality: Left"."""
    kinds = {token.kind for token in words}
    named = {side for token in words for side in token.sides}
    return kinds <= _IN_A_HEADING | {"comma", "label"} and (len(named) == 1 or "short" in kinds)


def _is_heading(words: Sequence[Token]) -> bool:
    """Whether a sentence is a heading without a colon: one that names a side alone, or abbreviates what may be one."""
    kinds = {token.kind for token in words}
    return (words[0].text[:1].isupper() and _names_one_side(words)) or (
        "short" in kinds and kinds <= {"short", "breast", "filler", "soft"}
    )


def _blurs(sentence: Sentence) -> bool:
    """Whether a sentence leaves it unclear which breast its section is about, by what may be another one."""
    row = row_of(sentence.words)
    second = sentence.heads and any(word.kind.isupper() and word.sides != sentence.section.sides for word in row)
    return second or any(word.kind == "short" or (word.kind in UNSURE and sentence.section.sides) for word in row)


def _names_one_side(words: Sequence[Token]) -> bool:
    kinds = {token.kind for token in words}
    return kinds <= _IN_A_HEADING and len({token.sides for token in row_of(words) if token.sides}) == 1


def _heading_at(text: str, at: int) -> re.Match[str] | None:
    found = _HEADING.match(text, at)
    return found if found and not names(found[0]) else None


def sentences_of(text: str, *, soft_ends: bool) -> Iterator[Sentence]:
    """The sentences of plain text with soft breaks; `soft_ends`: a soft break ends a sentence."""
    section = Section()
    sentence = Sentence(section, opens=True)
    held: Sentence | None = None  # the one before, whose list this one may go on with
    at_beginning = line_is_empty = True
    begun = True  # whether anything but its heading stands in the section
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
            begun = not sentence.heads or section.line_only
            if at_beginning and _is_heading(sentence.words):
                section = _section(" ".join(word.text for word in sentence.words), line_only=not breaks)
                sentence.section, sentence.heads = section, True
                begun = section.line_only
            elif breaks and not sentence.heads and _blurs(sentence) and sentence.words[-1].text == ":":
                section = Section(unclear=True, line_only=False)
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
            if section.line_only or (line_is_empty and begun and not section.doubted):
                section = Section()
            line_is_empty = True
        at_beginning = token.kind == "end"
        sentence = Sentence(section, opens=breaks)
    if held:
        yield held


def _section(heading: str, *, line_only: bool) -> Section:
    words = list(tokens(heading.replace("\n", " ")))
    row = row_of(words)
    named = {token.sides for token in row if token.sides}
    one_breast = len(named) == 1 and named < {(side,) for side in Laterality}
    density = any(word.kind in ("density", "tissue") for word in words)
    return Section(
        sides=named.pop() if one_breast else (),
        unclear=len(named) > 1 or "?" in letters(row),
        doubted=doubtful(words) or (density and not line_only),
        concludes=CONCLUDES.search(heading) is not None,
        line_only=line_only,
    )
