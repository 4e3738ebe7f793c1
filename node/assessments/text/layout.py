"""The sentences of a report, each under its heading.

A heading ("Left breast:", or "Left breast" alone) is for what follows on its line, or where it has a line of its own
for the lines up to the next heading or empty line (one of the past and the like: up to the next heading); and no longer
than the other breast is not named. Below a breast's own line, headings naming none ("Density: b", "Masses: none") are
of that breast, and those of breasts right below one of the past and the like ("Prior report:") are of the past.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from models.types.mammogram import Laterality
from node.assessments.text.sentence import announces, forms_of_item, goes_on, letters
from node.assessments.text.sides import row_of
from node.assessments.text.spelling import names
from node.assessments.text.words import CONCLUSION, SOFT_BREAK, Sides, Token, doubtful, tokens

_HEADING = re.compile(
    rf"(?:[^\n{SOFT_BREAK}.;:]|\b(?:li|re|lt|rt|l|r)\.){{1,60}}?:(?!(?<=\d:)\d\d)(?P<line>[ \t{SOFT_BREAK}]*(?:\n|$))?",
    re.IGNORECASE,
)
CONCLUDES = re.compile(rf"\b(?:{CONCLUSION})\b", re.IGNORECASE)
_REPORT = re.compile(r"\b(?:report|mammogra\w+|(?:\w*befund|bericht|verslag)e?s?)\b", re.IGNORECASE)
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
        of_another: it has the parts of another report ("Prior report:").
        concludes: it is the conclusion of the report ("Impression:").
        line_only: it ends with its line.
    """

    sides: Sides = ()
    unclear: bool = False
    doubted: bool = False
    of_another: bool = False
    concludes: bool = False
    line_only: bool = True

    def below(self, above: Section) -> Section:
        """This one under a heading of a breast, or of the past and the like, that has headings below it."""
        doubted, unclear = self.doubted or above.doubted, self.unclear or above.unclear
        return replace(self, sides=self.sides or above.sides, doubted=doubted, unclear=unclear)


@dataclass
class Sentence:
    """Its words, the heading among them where it begins with one (`heads`). `opens`: a line begins with it. `item`: the
    number of the item that it stands in, of all that begin with a number ("1. Mass. BI-RADS 4."); 0: in none."""

    section: Section
    opens: bool
    heads: bool = False
    item: int = 0
    words: list[Token] = field(default_factory=list)


_BEGINS = re.compile(r"(?:[-*+•–>]|\d{1,2}[.)])\s|(?:The|This|These|There|Das|Der|Die|Es|Dit|Deze|Het|Er)\b")
"""What begins a line begins a sentence: the sign of an item, or an article or pronoun with a capital letter."""

_ANNOUNCING = re.compile(r"(?:\w+ )?BI[ -]?RADS?\b[^:\n]{0,30}:", re.IGNORECASE)


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
            or (_is_side(following) and not text.isupper())
            or _heading_at(following, 0) is not None
            or _BEGINS.match(following) is not None
            or _are_items(line, following)
            or (_is_field_without_side(line) and _ANNOUNCING.match(following) is not None)
        )
        pieces += [line, "\n" if hard else " " if line[-1] == "," else SOFT_BREAK]
    return "".join(pieces[:-1])


def _are_items(line: str, following: str) -> bool:
    """Whether two lines are items of a list, each whole and of one form, or an item and the conclusion below."""
    if "RAD" not in line.upper() or "RAD" not in following.upper():
        return False
    forms, below = forms_of_item(list(tokens(line))), list(tokens(following))
    concludes = CONCLUDES.match(following) is not None and set(letters(row_of(below))) <= set("AoNC,")
    return bool(forms & forms_of_item(below) or (forms and concludes))


def _is_field_without_side(line: str) -> bool:
    """Whether a line is a name, a colon and a value, and names no breast: "Masses: none"."""
    return _heading_at(line, 0) is not None and set("lrbLRB?").isdisjoint(letters(row_of(list(tokens(line)))))


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
    above = Section()  # of a heading on its own line that has headings below it: a breast, or the past and the like
    held: Sentence | None = None  # the one before, whose list this one may go on with
    at_beginning = line_is_empty = True
    items = 0
    begun = True  # whether anything but its heading stands in the section
    for token in [*tokens(text), Token("end", "\n", len(text))]:
        if token.kind != "end" and not (token.kind == "soft" and soft_ends):
            if all(word.kind == "bullet" for word in sentence.words) and token.kind not in ("soft", "bullet"):
                if heading := _heading_at(text, token.at):
                    found = _section(heading[0], line_only=heading["line"] is None)
                    above = _above(found, section if not begun else Section(), above)
                    section = found.below(above)
                    above = above if section.line_only or not section.sides else section
                sentence.section, sentence.heads = section, heading is not None
            if token.kind == "bullet" and not sentence.words:
                items += 1
                sentence.item = items
            sentence.words.append(token)
            line_is_empty = False
            continue
        breaks = token.text in ("\n", SOFT_BREAK)
        last = next((word.kind for word in reversed(sentence.words) if word.kind not in ("filler", "name")), "")
        if breaks and last == "birads" and text[token.at + 1 : token.at + 2] not in ("", "\n"):
            continue  # the category stands on the next line
        if sentence.words:
            begun = not sentence.heads or section.line_only
            if at_beginning and not sentence.heads and _is_heading(sentence.words):
                found = _section(" ".join(word.text for word in sentence.words), line_only=not breaks)
                above = _above(found, Section(), above)
                section = found.below(above)
                above = above if section.line_only else section
                sentence.section, sentence.heads = section, True
                begun = section.line_only
            elif breaks and not sentence.heads and _blurs(sentence) and sentence.words[-1].text == ":":
                section = above = Section(unclear=True, line_only=False)
            elif _blurs(sentence):
                section = replace(section, unclear=True)
                above = replace(above, unclear=True)
            elif not {side for word in row_of(sentence.words) for side in word.sides} <= set(section.sides):
                section = replace(section, sides=())
                above = replace(above, sides=())
            if held and announces(held.words) and goes_on(sentence.words):
                held.words += [Token("comma", ",", token.at), *sentence.words]
            else:
                if held:
                    yield held
                held = sentence
        if token.text == "\n":
            ends = line_is_empty and begun
            above = Section() if ends else above
            if section.line_only or (ends and not section.doubted):
                section = above
            line_is_empty = True
        at_beginning = token.kind == "end"
        sentence = Sentence(section, opens=breaks, item=0 if token.text == "\n" else sentence.item)
    if held:
        yield held


def _above(found: Section, before: Section, above: Section) -> Section:
    """What is above a heading: the one before, where nothing stands between and it is of another report, or of the past
    or the like and this one of a breast; what was above it, unless this one is of a breast or concludes.

    Args:
        before: the section before, where it holds nothing.
    """
    if before.doubted and (found.sides or before.of_another):
        return before
    if above.of_another:
        return above
    return Section() if found.concludes or (found.sides and not above.doubted) else above


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
        of_another=doubtful(words) and _REPORT.search(heading) is not None,
        concludes=CONCLUDES.search(heading) is not None,
        line_only=line_only,
    )
