"""The language of free text in results. Sentences are written in English, each in one place; a catalogue translates
them.

A catalogue (languages/*.toml) has sections of English texts with their translations. `{word}` in a text stands for a
part that is translated by the section of that name, `{WORD}` for one that stays as it is: a number, a name, a code. A
text that no catalogue has (a reason that a library gave, a warning that is not translated yet) stays English after
"[en]". Codes and their meanings are never translated. While no native radiologist has `reviewed` a catalogue, every
report in its language says so, also in English.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydicom import Dataset

from dicom_io.attributes import values

_FOLDER = Path(__file__).parent / "languages"
_PLACE = re.compile(r"\{(\w+)\}")
_SENTENCES = "sentence"
NOT_REVIEWED = "The translation of this report was not reviewed by a native radiologist."
_WITH_MARKS = ("LESION", "OTHER", "BUNDLES", "PLACES")
"""Places of what may have brackets or commas: names of lesions, lists."""
_UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"}
_HOLDS_LETTERS = (["ISO_IR 100"], ["ISO_IR 192"])
"""Values of Specific Character Set that hold the letters of all catalogues."""


@dataclass(frozen=True)
class _Rule:
    """An English text with its places, and its translation."""

    text: re.Pattern[str]
    translation: str
    length: int
    """Of what is not a place: the longest text that fits is the right one."""


@dataclass(frozen=True, eq=False)
class Language:
    """A language in which free text is said.

    Attributes:
        code: by RFC 5646.
        name: in English.
        rules: by section.
        is_reviewed: whether a native radiologist has reviewed the catalogue.
        only_ascii: whether letters are replaced ("ü" by "ue"), for a carrier that does not hold them.
    """

    code: str
    name: str
    rules: Mapping[str, Sequence[_Rule]] = field(default_factory=dict)
    is_reviewed: bool = True
    only_ascii: bool = False

    def say(self, english: str) -> str:
        """A sentence or caption in this language, or in English after "[en]"."""
        if not self.rules:
            return english
        said = self._translated(_SENTENCES, english)
        return self._in_ascii(said) if self.only_ascii else said

    def report(self, english: Iterable[str]) -> list[str]:
        """The sentences of a report, after the first the notice that the translation is not reviewed, if it is not."""
        said = [self.say(sentence) for sentence in english]
        said[1:1] = [" ".join(self.notice)] if self.notice else []
        return said

    @property
    def notice(self) -> tuple[str, ...]:
        """That the translation is not reviewed, in this language and in English; nothing if it is."""
        return () if self.is_reviewed else (self.say(NOT_REVIEWED), NOT_REVIEWED)

    def in_ascii(self) -> Language:
        """The same language without letters that are not ASCII."""
        return replace(self, only_ascii=True)

    def for_text_of(self, source: Dataset) -> Language:
        """The same language, in letters that the character set of a data set holds."""
        stated = [str(value) for value in values(source, "SpecificCharacterSet")]
        return self if stated in _HOLDS_LETTERS else self.in_ascii()

    def _translated(self, section: str, english: str) -> str:
        for rule in self.rules.get(section, ()):
            if found := rule.text.fullmatch(english):
                parts = {
                    place: part if place.isupper() else self._translated(place.rstrip("_12"), part)
                    for place, part in found.groupdict().items()
                }
                return rule.translation.format(**parts)
        return f"[en] {english}"

    def _in_ascii(self, words: str) -> str:
        if self.code == "de":
            words = re.sub("[äöüßÄÖÜ]", _spelt, words)
        return "".join(letter for letter in unicodedata.normalize("NFD", words) if not unicodedata.combining(letter))


ENGLISH = Language("en-US", "English (United States)")
NAMES = {"de": "German", "es": "Spanish", "fr": "French"}


def language_of(code: str) -> Language:
    """The language with this code: "en", or one that has a catalogue.

    Raises:
        KeyError: there is none.
    """
    if code == "en":
        return ENGLISH
    return Language(code, NAMES[code], _rules(catalogue(code)), is_reviewed=_read(code)["reviewed"])


def catalogue(code: str) -> dict[str, dict[str, str]]:
    """The translations of a language by section and English text."""
    return {name: section for name, section in _read(code).items() if name != "reviewed"}


def _read(code: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{code}.toml").read_text(encoding="utf-8"))


def _spelt(umlaut: re.Match[str]) -> str:
    """An umlaut in two letters: "FÜR" becomes "FUER", "Für" "Fuer", and "Ödem" "Oedem"."""
    letters = _UMLAUTS[umlaut[0].lower()]
    if umlaut[0].islower():
        return letters
    after = umlaut.string[umlaut.end() : umlaut.end() + 1]
    return letters.upper() if after.isupper() else letters.capitalize()


def _rules(sections: dict[str, dict[str, str]]) -> dict[str, list[_Rule]]:
    # A reason is a caption of its own on the summary page.
    return {
        name: sorted((_rule(*entry) for entry in section.items()), key=lambda rule: -rule.length)
        for name, section in (sections | {_SENTENCES: sections["reason"] | sections[_SENTENCES]}).items()
    }


def _place(name: str) -> str:
    """What a place holds: a number, name or code without the marks that divide a sentence, or any part."""
    holds_marks = not name.isupper() or name in _WITH_MARKS
    return f"(?P<{name}>{'.' if holds_marks else '[^:;,()]'}+?)"


def _rule(english: str, translation: str) -> _Rule:
    literals = _PLACE.split(english)
    pattern = "".join(_place(part) if number % 2 else re.escape(part) for number, part in enumerate(literals))
    return _Rule(re.compile(pattern, re.DOTALL), translation, sum(map(len, literals[::2])))
