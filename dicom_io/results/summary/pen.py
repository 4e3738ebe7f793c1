"""Writing on a picture: text that keeps inside its room."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from PIL import Image, ImageDraw, ImageFont

from dicom_io.results.colours import RGB

_REPLACED = {ord("×"): "x", ord("–"): "-", ord("—"): "-", ord("‑"): "-", ord("’"): "'", ord("≥"): ">=", ord("≤"): "<="}
_KEPT = "·…"


class Pen:
    """Draws on one RGB picture. The font comes with Pillow, so that a page is the same everywhere."""

    def __init__(self, picture: Image.Image) -> None:
        self.draw = ImageDraw.Draw(picture)
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
        """Writes words with their upper left (or right) corner at left, top; gives the row below the last line.

        Args:
            size: of the letters, in pixels; a line takes 4/3 of it.
            width: pixels; what is longer is broken into at most `lines` lines, and the last is cut with an ellipsis.
        """
        for line in [_drawable(words)] if width is None else self.wrapped(words, size, width, lines):
            start = left - self.width(line, size) if align_right else left
            self.draw.text((start, top), line, fill=colour, font=self._font(size))
            top += line_height(size)
        return top

    def wrapped(self, words: str, size: int, width: int, lines: int) -> list[str]:
        """The words in at most `lines` lines of at most `width` pixels.

        A word that is wider than a line is broken; a last line of less than a quarter of the width gets words of the
        line before.
        """
        rest = [part for word in _kept_together(_drawable(words).split()) for part in self._parts(word, size, width)]
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
        """Pixels that a line takes."""
        return round(self.draw.textlength(words, font=self._font(size)))

    def _parts(self, word: str, size: int, width: int) -> Iterator[str]:
        """A word in parts that a line holds."""
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


def _kept_together(words: list[str]) -> list[str]:
    """A per cent sign stays with its number."""
    kept: list[str] = []
    for word in words:
        if kept and word.startswith("%"):
            kept[-1] += f" {word}"
        else:
            kept.append(word)
    return kept


def line_height(size: int) -> int:
    """Pixels from line to line."""
    return round(size * 4 / 3)


def _drawable(words: str) -> str:
    """The words in letters that the font has: ASCII and two more."""
    letters = unicodedata.normalize("NFKD", words.translate(_REPLACED)) if not words.isascii() else words
    return "".join(letter for letter in letters if letter.isascii() or letter in _KEPT)
