"""Splits a report into sentences and finds the heading of each.

A heading ("Left breast:", or "Left breast" alone) applies to the rest of its line. On a line of its own it applies to
the lines up to the next heading or empty line (a heading like "Prior report:": up to the next heading). It stops
applying when the other breast is named. Below the line of a breast, headings without a breast ("Density: b", "Masses:
none") belong to that breast. Headings of breasts directly below one like "Prior report:" belong to that prior report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from models.types.mammogram import Laterality
from node.assessments.text.doubt import says_none
from node.assessments.text.sentence import continues_list, forms_of_item, mentions_birads, signs_of
from node.assessments.text.sides import row_of
from node.assessments.text.spelling import names
from node.assessments.text.words import (
    CONCLUSION,
    MACHINE,
    SOFT_BREAK,
    Sides,
    Token,
    doubtful,
    names_former_year,
    tokens,
)

_HEADING = re.compile(
    rf"(?:[^\n{SOFT_BREAK}.;:]|\b(?:li|re|lt|rt|l|r)\.){{1,60}}?:(?!(?<=\d:)\d\d)(?P<line>[ \t{SOFT_BREAK}]*(?:\n|$))?",
    re.IGNORECASE,
)
_MACHINE = re.compile(rf"\W*{MACHINE}\b", re.IGNORECASE)
CONCLUDES = re.compile(rf"\b(?:{CONCLUSION})\b", re.IGNORECASE)
_REPORT = re.compile(r"\b(?:report|mammogra\w+|(?:\w*befund|bericht|verslag)e?s?)\b", re.IGNORECASE)
_IN_A_HEADING = frozenset({"left", "right", "both", "breast", "filler", "joined", "short", "soft"})
UNSURE = frozenset({"unsure", "sided"})
"""Tokens that may name a side, or may be something else."""


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the text with one heading, or without one.

    Attributes:
        sides: the breast that the heading names.
        unclear: the heading names several breasts, or has an abbreviation that may be a breast.
        doubted: a category in it does not count ("Prior mammogram:", "Density:").
        of_another: it is another report ("Prior report:").
        concludes: it is the conclusion of the report ("Impression:").
        line_only: it ends with its line.
        holds: it lasts until the next heading, also if its own line has text ("Comparison: mammogram of 2021.").
    """

    sides: Sides = ()
    unclear: bool = False
    doubted: bool = False
    of_another: bool = False
    concludes: bool = False
    line_only: bool = True
    holds: bool = False

    def below(self, above: Section) -> Section:
        """This section below the heading of a breast, or of a prior report and the like."""
        doubted, unclear = self.doubted or above.doubted, self.unclear or above.unclear
        return replace(self, sides=self.sides or above.sides, doubted=doubted, unclear=unclear)


@dataclass
class Sentence:
    """A sentence.

    Attributes:
        opens_line: it begins a line.
        has_heading: it begins with a heading, which is part of `words`.
        item: the number of its item, counted over all items that begin with a number ("1. Mass. BI-RADS 4."); 0 if it
            is not in an item.
    """

    section: Section
    opens_line: bool
    has_heading: bool = False
    item: int = 0
    words: list[Token] = field(default_factory=list)


_BEGINS = re.compile(r"(?:[-*+•–>]|\d{1,2}[.)])\s|(?:The|This|These|There|Das|Der|Die|Es|Dit|Deze|Het|Er)\b")
"""Beginnings of a line that begin a sentence: the sign of an item, or a capitalised article or pronoun."""

_ANNOUNCING = re.compile(r"(?:\w+ )?BI[ -]?RADS?\b[^:\n]{0,30}:", re.IGNORECASE)


def with_soft_breaks(text: str) -> str:
    """The text with a SOFT_BREAK for each end of a line that may not be the end of its sentence."""
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
    """Whether two lines are complete items of one form in a list, or an item and the conclusion below it."""
    if "RAD" not in line.upper() or "RAD" not in following.upper():
        return False
    forms, below = forms_of_item(list(tokens(line))), list(tokens(following))
    concludes = CONCLUDES.match(following) is not None and set(signs_of(row_of(below))) <= set("AoNC,")
    return bool(forms & forms_of_item(below) or (forms and concludes))


def _is_field_without_side(line: str) -> bool:
    """Whether a line is a name, a colon and a value without a breast: "Masses: none"."""
    return _heading_at(line, 0) is not None and set("lrbLRB?").isdisjoint(signs_of(row_of(list(tokens(line)))))


def _is_side(line: str) -> bool:
    """Whether a line is a heading without a colon: "Left breast"."""
    return len(line) < 40 and line[:1].isupper() and _names_one_side(list(tokens(line)))


def is_bare_side(words: Sequence[Token]) -> bool:
    """Whether the words are only one side, certain or not: "right", "(L)", "Laterality: Left"."""
    kinds = {token.kind for token in words}
    named = {side for token in words for side in token.sides}
    return kinds <= _IN_A_HEADING | {"comma", "label"} and (len(named) == 1 or "short" in kinds)


def _is_heading(words: Sequence[Token]) -> bool:
    """Whether a sentence is a heading without a colon: only a side, or an abbreviation that may be a side."""
    kinds = {token.kind for token in words}
    return (words[0].text[:1].isupper() and _names_one_side(words)) or (
        "short" in kinds and kinds <= {"short", "breast", "filler", "soft"}
    )


def _makes_unclear(sentence: Sentence) -> bool:
    """Whether a sentence may be about another breast than its section, so that the section becomes unclear."""
    row = row_of(sentence.words)
    second = sentence.has_heading and any(word.kind.isupper() and word.sides != sentence.section.sides for word in row)
    return second or any(word.kind == "short" or (word.kind in UNSURE and sentence.section.sides) for word in row)


def _names_one_side(words: Sequence[Token]) -> bool:
    kinds = {token.kind for token in words}
    return kinds <= _IN_A_HEADING and len({token.sides for token in row_of(words) if token.sides}) == 1


def _heading_at(text: str, at: int) -> re.Match[str] | None:
    found = _HEADING.match(text, at)
    return found if found and not names(found[0]) else None


def sentences_of(text: str, exam_year: int | None = None, *, soft_ends: bool) -> Iterator[Sentence]:
    """The sentences of plain text with soft breaks, each with its section.

    Args:
        exam_year: see `names_former_year`.
        soft_ends: whether a soft break ends a sentence.
    """
    return _Splitter(text, exam_year, soft_ends=soft_ends).sentences()


class _Splitter:
    """Splits plain text into sentences and finds the section of each. Takes the tokens in their order."""

    def __init__(self, text: str, exam_year: int | None, *, soft_ends: bool) -> None:
        self._text = text
        self._exam_year = exam_year
        self._soft_ends = soft_ends
        self._section = Section()
        self._above = Section()
        """The heading on its own line that has the current headings below it: a breast, or a prior report and the like.
        Without sides and doubt if there is none."""
        self._section_has_text = True
        self._sentence = Sentence(self._section, opens_line=True)
        self._held: Sentence | None = None
        """The sentence before, which is not returned yet: the next one may be an item of its list."""
        self._items = 0
        self._at_beginning = self._line_is_empty = True

    def sentences(self) -> Iterator[Sentence]:
        for token in [*tokens(self._text), Token("end", "\n", len(self._text))]:
            if token.kind != "end" and not (token.kind == "soft" and self._soft_ends):
                self._add(token)
            elif not self._category_follows(token):
                if self._sentence.words:
                    yield from self._end_sentence(token)
                self._begin_sentence(token)
        if self._held:
            yield self._held

    def _add(self, token: Token) -> None:
        """Adds a word to the sentence. The first word may begin a heading with a colon."""
        sentence = self._sentence
        if all(word.kind == "bullet" for word in sentence.words) and token.kind not in ("soft", "bullet"):
            if heading := _heading_at(self._text, token.at):
                before = Section() if self._section_has_text else self._section
                self._enter(_section(heading[0], self._exam_year, line_only=heading["line"] is None), before)
                if not self._section.line_only and self._section.sides:
                    self._above = self._section
            sentence.section, sentence.has_heading = self._section, heading is not None
        if token.kind == "bullet" and not sentence.words:
            self._items += 1
            sentence.item = self._items
        sentence.words.append(token)
        self._line_is_empty = False

    def _enter(self, heading: Section, before: Section) -> None:
        """Begins the section of a heading. `before`: see `_section_above`."""
        self._above = _section_above(heading, before, self._above)
        self._section = heading.below(self._above)

    def _category_follows(self, token: Token) -> bool:
        """Whether the line ends after the word BI-RADS and the next line is not empty: it has the category."""
        words = (word.kind for word in reversed(self._sentence.words) if word.kind not in ("filler", "name"))
        return (
            token.text in ("\n", SOFT_BREAK)
            and next(words, "") == "birads"
            and self._text[token.at + 1 : token.at + 2] not in ("", "\n")
        )

    def _end_sentence(self, token: Token) -> Iterator[Sentence]:
        """Ends the sentence at a token. Yields the one before, unless this one continues its list."""
        self._update_section(breaks=token.text in ("\n", SOFT_BREAK))
        if self._held and mentions_birads(self._held.words) and continues_list(self._sentence.words):
            self._held.words += [Token("comma", ",", token.at), *self._sentence.words]
            return
        if self._held:
            yield self._held
        self._held = self._sentence

    def _update_section(self, *, breaks: bool) -> None:
        """Changes the section after a sentence: a heading without a colon begins one; a sentence that may be about
        another breast makes it unclear, and one about another breast ends its sides.

        Args:
            breaks: whether the sentence ends with its line.
        """
        sentence, section = self._sentence, self._section
        self._section_has_text = not sentence.has_heading or section.line_only
        if section.holds and section.line_only and says_none(sentence.words):
            self._section = section = replace(section, holds=False)
        if self._at_beginning and not sentence.has_heading and _is_heading(sentence.words):
            heading = " ".join(word.text for word in sentence.words)
            self._enter(_section(heading, self._exam_year, line_only=not breaks), Section())
            if not self._section.line_only:
                self._above = self._section
            sentence.section, sentence.has_heading = self._section, True
            self._section_has_text = self._section.line_only
        elif breaks and not sentence.has_heading and _makes_unclear(sentence) and sentence.words[-1].text == ":":
            self._section = self._above = Section(unclear=True, line_only=False)
        elif _makes_unclear(sentence):
            self._section = replace(section, unclear=True)
            self._above = replace(self._above, unclear=True)
        elif not {side for word in row_of(sentence.words) for side in word.sides} <= set(section.sides):
            self._section = replace(section, sides=())
            self._above = replace(self._above, sides=())

    def _begin_sentence(self, token: Token) -> None:
        """Begins a sentence after a token. The end of a line may end the section."""
        ends_line = token.text == "\n"
        if ends_line:
            ends_sections = self._line_is_empty and self._section_has_text
            if ends_sections:
                self._above = Section()
            if (self._section.line_only and not self._section.holds) or (ends_sections and not self._section.doubted):
                self._section = self._above
            self._line_is_empty = True
        self._at_beginning = token.kind == "end"
        self._sentence = Sentence(
            self._section,
            opens_line=token.text in ("\n", SOFT_BREAK),
            item=0 if ends_line else self._sentence.item,
        )


def _section_above(found: Section, before: Section, above: Section) -> Section:
    """The section above a new heading `found`.

    It is the section before if that has no text, is doubted, and either is another report or `found` is a breast.
    Otherwise it is `above`, unless `found` is a conclusion, or a breast that is not below a doubted section.

    Args:
        found: the section of the new heading.
        before: the section before if it has no text, else an empty section.
        above: the section above the heading before.
    """
    if before.doubted and (found.sides or before.of_another):
        return before
    if above.of_another:
        return above
    return Section() if found.concludes or (found.sides and not above.doubted) else above


def _section(heading: str, exam_year: int | None, *, line_only: bool) -> Section:
    words = list(tokens(heading.replace("\n", " ")))
    row = row_of(words)
    named = {token.sides for token in row if token.sides}
    one_breast = len(named) == 1 and named < {(side,) for side in Laterality}
    past = any(word.kind == "former" for word in words) or names_former_year(words, exam_year)
    density = any(word.kind in ("density", "tissue") for word in words)
    return Section(
        sides=named.pop() if one_breast else (),
        unclear=len(named) > 1 or "?" in signs_of(row),
        doubted=doubtful(words) or past or (density and not line_only),
        of_another=doubtful(words) and _REPORT.search(heading) is not None,
        concludes=CONCLUDES.search(heading) is not None,
        line_only=line_only,
        holds=past or _MACHINE.match(heading) is not None,
    )
