"""Draws text on a picture: wraps and cuts it to a width."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from PIL import Image, ImageDraw, ImageFont

from dicom_io.results.colours import RGB
from dicom_io.results.language import ENGLISH, Language

_REPLACED = {ord("×"): "x", ord("–"): "-", ord("—"): "-", ord("‑"): "-", ord("’"): "'", ord("≥"): ">=", ord("≤"): "<="}
_KEPT = "·…"


class Pen:
    """Draws on one RGB picture. The font is Pillow's, so that a page is the same on every machine.

    Attributes:
        language: in which the page speaks. Its words are written as they are: callers `say` them first.
    """

    def __init__(self, picture: Image.Image, language: Language = ENGLISH) -> None:
        self.draw = ImageDraw.Draw(picture)
        self.language = language.in_ascii()  # the font has no other letters
        self.say = self.language.say
        self._fonts: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}

    def write(
        self,
        left: int,
        top: int,
        words: str,
        size: int,
        colour: RGB,
        width: int | None = None,
        lines: int = 1,
        align_right: bool = False,
    ) -> int:
        """Writes words with their upper left (or right) corner at left, top. Returns the row below the last line.

        Args:
            size: font size in pixels; a line is 4/3 of it high.
            width: in pixels. Longer text is wrapped into at most `lines` lines; the last is cut with an ellipsis.
        """
        for line in [_drawable(words)] if width is None else self.wrapped(words, size, width, lines):
            start = left - self.width(line, size) if align_right else left
            self.draw.text((start, top), line, fill=colour, font=self._font(size))
            top += line_height(size)
        return top

    def wrapped(self, words: str, size: int, width: int, lines: int) -> list[str]:
        """Wraps words into at most `lines` lines of at most `width` pixels.

        A word that is wider than a line is broken. If the last line is shorter than a quarter of the width, words move
        to it from the line before.
        """
        rest = [
            part for word in _join_percent_signs(_drawable(words).split()) for part in self._parts(word, size, width)
        ]
        wrapped: list[list[str]] = []
        while rest and len(wrapped) < lines:
            count = len(rest)
            if len(wrapped) < lines - 1:
                while count > 1 and self.width(" ".join(rest[:count]), size) > width:
                    count -= 1
            wrapped.append(rest[:count])
            rest = rest[count:]
        if len(wrapped) > 1:
            before, last = wrapped[-2:]
            while len(before) > 1 and self.width(" ".join(last), size) < width / 4:
                if self.width(" ".join((before[-1], *last)), size) > width:
                    break
                last.insert(0, before.pop())
        return [self._cut(" ".join(line), size, width) for line in wrapped]

    def width(self, words: str, size: int) -> int:
        """The width of a line in pixels."""
        return round(self.draw.textlength(words, font=self._font(size)))

    def _parts(self, word: str, size: int, width: int) -> Iterator[str]:
        """Splits a word into parts that each fit into a line."""
        while self.width(word, size) > width and len(word) > 1:
            count = len(word) - 1
            while count > 1 and self.width(word[:count], size) > width:
                count -= 1
            yield word[:count]
            word = word[count:]
        yield word

    def _cut(self, line: str, size: int, width: int) -> str:
        if self.width(line, size) <= width:
            return line
        while line and self.width(f"{line}…", size) > width:
            line = line[:-1]
        return f"{line.rstrip()}…"

    def _font(self, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        if size not in self._fonts:
            self._fonts[size] = ImageFont.load_default(size)
        return self._fonts[size]


def _join_percent_signs(words: list[str]) -> list[str]:
    """Joins a per cent sign to the number before it, so that no line break separates them."""
    joined: list[str] = []
    for word in words:
        if joined and word.startswith("%"):
            joined[-1] += f" {word}"
        else:
            joined.append(word)
    return joined


def line_height(size: int) -> int:
    """The height of a line in pixels."""
    return round(size * 4 / 3)


def _drawable(words: str) -> str:
    """The words in characters that the font has: ASCII, "·" and "…"."""
    letters = unicodedata.normalize("NFKD", words.translate(_REPLACED)) if not words.isascii() else words
    return "".join(letter for letter in letters if letter.isascii() or letter in _KEPT)
