"""Counts how often a text has the word BI-RADS in any spelling: a category that cannot be read must be refused."""

from __future__ import annotations

import html
import re
import unicodedata
from difflib import SequenceMatcher

_SPELLED = re.compile(r"b[\W_]{0,3}i[\W_]{0,3}r[\W_]{0,3}a[\W_]{0,3}d[\W_]{0,3}s|\bbi[\W_]{0,3}rads?\b")
# Letters of other scripts that sound or look like those of BI-RADS. NFKD does not map them to Latin.
_LIKE = {"b": "вбβʙᏼ", "i": "іиıιɪӏᎥ", "r": "рягρʀᏒᎡ", "a": "аαᴀɑᎪ@", "d": "дԁδᴅᎠ", "s": "ѕсσςꜱᏚ$"}
_LATIN = str.maketrans({letter: latin for latin, letters in _LIKE.items() for letter in letters + letters.lower()})
# A word that begins with b, or two words, the first of which begins with b.
_WORD, _TWO = r"[b8][^\W_]{3,9}(?![^\W_])", r"[b8][^\W_]{0,3}[\W_]{1,3}[^\W_]{2,8}(?![^\W_])"
_CANDIDATES = re.compile(rf"(?<![^\W_])(?=({_WORD})?)(?=({_TWO})?)[b8]")
_CATEGORY = (
    r"(?:[0-6][abc]?|iv[abc]?|vi|iii?|zero|one|two|three|four|five|six|eins|zwei|drei|vier|fünf|sechs|een|twee|drie)"
)
_BEFORE = re.compile(rf"(?<![^\W_]){_CATEGORY}(?![^\W_])")
_BEHIND = re.compile(rf"(?:[\W_]{{1,4}}[iv]|.{{0,40}}?(?<![^\W_]){_CATEGORY})(?![^\W_])", re.DOTALL)
_WITH_CATEGORY = re.compile(r"[0-6][abc]?$|iv[abc]?$")
_AS_PRONOUNCED = re.compile(r"b[^\W\d_]{1,3}rads?")
"""Spelled as it is pronounced (speech recognition): "buy rads"."""
_OTHERS = frozenset({"btrads", "btrad"})
"""BT-RADS is for brain tumours."""
_ALIKE = 0.8
"""Threshold of SequenceMatcher.ratio: a word with one letter added, missing, changed or misplaced is above it."""


def names(text: str) -> int:
    """How often a text has the word BI-RADS: with any signs between its letters, in letters that look like them, or, if
    a category is near, misspelled ("BI-RASD 4")."""
    shown = _folded(text)
    rest = _SPELLED.sub("#", shown)
    return len(_SPELLED.findall(shown)) + sum(_misspelled(found, rest) for found in _CANDIDATES.finditer(rest))


def spelled(text: str) -> bool:
    """Whether a text has the word BI-RADS, with any signs between its letters, not misspelled."""
    return _SPELLED.search(_folded(text)) is not None


def _folded(text: str) -> str:
    """The text in lower-case Latin letters, without accents, invisible letters and HTML escapes ("BI&#8209;RADS")."""
    letters = unicodedata.normalize("NFKD", html.unescape(text))
    if not letters.isascii():
        letters = "".join(letter for letter in letters if unicodedata.category(letter) not in ("Mn", "Me", "Cf"))
    return letters.lower().translate(_LATIN)


def _misspelled(found: re.Match[str], text: str) -> bool:
    for place in (1, 2):
        if not found[place]:
            continue
        word = re.sub(r"[\W_]", "", found[place])
        category = _WITH_CATEGORY.search(word)
        stem = word[: category.start()] if category else word
        at = found.start()
        if not _is_alike(stem):
            continue
        if category or _BEFORE.search(text, max(0, at - 20), at) or _BEHIND.match(text, found.end(place)):
            return True
    return False


def _is_alike(word: str) -> bool:
    if word in _OTHERS or len(set(word) & set("birads")) < 4:  # a fast test that excludes most words
        return False
    return bool(_AS_PRONOUNCED.fullmatch(word)) or SequenceMatcher(None, word, "birads").ratio() > _ALIKE
