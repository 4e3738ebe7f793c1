"""Decides which words of a sentence are sides of the breast.

An abbreviation may be part of a name, and "left" and "right" have other meanings: "the right decision", "nothing left".
A word that is not certain gets the kind "unsure".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from models.types.mammogram import Laterality
from node.assessments.text.words import Token

_DROPPED = frozenset({"filler", "breast", "according", "soft"})
_ADJECTIVE = re.compile(r"(?:left|right|linke[rnms]?|rechte[rnms]?)$", re.IGNORECASE)
_ENGLISH = re.compile(
    r"(?P<preposition>(?:on|in|of|for|auf|op)\s)?(?P<article>(?:the|de|der)\s)?(?:left|right)$", re.IGNORECASE
)
_WITHIN = re.compile("left|right|link|recht", re.IGNORECASE)
_NOUNS = frozenset({"breast", "site"})
_SIDE_WORDS = frozenset({"side", "seite"})
_TITLES = frozenset({"mr", "mrs", "ms", "miss", "dr", "prof", "fr", "hr", "frau", "herr", "mevr"})
_VERBS = frozenset({"is", "are", "has", "shows"})
_REMAINDERS = frozenset(
    {"no", "few", "some", "any", "more", "much", "little", "residual", "remaining", "still", "other"}
    | {"only", "last", "one", "two", "three", "several"}
)
_MAY_STAND_BEFORE = frozenset(
    {"category", "birads", "range", "breast", "site", "exam", "name", "both", "left", "right", "joined", "comma"}
)
_MAY_FOLLOW = _MAY_STAND_BEFORE - {"breast", "site", "exam", "name"} | {"former", "doubt", "density", "tissue"}


def row_of(sentence: Sequence[Token]) -> list[Token]:
    """The relevant words in their order. Sides joined by "and" become both breasts; abbreviations are resolved.

    A side before a colon is a heading: its kind is LEFT, RIGHT or BOTH. "Both" with an examination ("bilateral
    mammogram") is not a side: the category is the exam's.
    """
    row: list[Token] = []
    of_exam = any(token.kind == "exam" for token in sentence)
    resolved = [token for token in _resolved(sentence) if token.kind not in ("according", "soft", "breast")]
    for place, token in enumerate(resolved):
        colon = place + 1 < len(resolved) and resolved[place + 1].text == ":"
        if token.kind == "both" and of_exam:
            row.append(Token("other", token.text, token.at))
            continue
        if not token.sides:
            if token.kind not in _DROPPED:
                row.append(token)
            continue
        if _are_both(row, token, colon):
            row[-2:] = [Token("BOTH" if colon else "both", token.text, token.at)]
        else:
            row.append(Token(token.kind.upper() if colon else token.kind, token.text, token.at))
    return row


def _are_both(row: Sequence[Token], side: Token, colon: bool) -> bool:
    """Whether a side and the one before it are both breasts: "left and right" at the beginning or after a category."""
    if len(row) < 2 or row[-1].kind != "joined" or not (row[-1].text.isalpha() or row[-1].text in "&+"):
        return False
    if row[-2].kind not in ("left", "right") or row[-2].sides == side.sides:
        return False
    return len(row) == 2 or (row[-3].kind in ("category", "birads") and not colon)


def _resolved(sentence: Sequence[Token]) -> Iterator[Token]:
    """Resolves abbreviations: one becomes a side beside a category, the word BI-RADS or the breast, or at the beginning
    before a colon. Elsewhere it may be part of a name, or "re" for regarding. Also resolves "left" and "right", which
    may have other meanings ("the right decision", "nothing left")."""
    words = [token for token in sentence if token.kind != "soft"]
    beside = {
        id(token): (words[:at][-2:], words[at + 1 :][:2])
        for at, token in enumerate(words)
        if token.sides and _ADJECTIVE.search(token.text)
    }
    relevant = [token for token in sentence if token.kind not in ("filler", "soft", "name", "according")]
    place = {id(token): number for number, token in enumerate(relevant)}
    following = {id(token): sentence[at + 1] for at, token in enumerate(sentence[:-1])}
    for token in sentence:
        if token.kind != "short":
            yield _of_a_breast(token, *beside[id(token)]) if id(token) in beside else token
            continue
        side = as_side(token)
        at = place[id(token)]
        before = relevant[at - 1].kind if at else ""
        named = before == "other" and relevant[at - 1].text.isalpha()  # "Room L", "Machine R"
        after = relevant[at + 1].kind if at + 1 < len(relevant) else ""
        heads = token is sentence[0] and len(sentence) > 1 and sentence[1].text == ":"
        sure = before in ("category", "breast") or after == "breast"
        if token.text[:2] not in ("Re", "RE"):
            sure = sure or before == "birads" or (after in ("birads", "category") and not named) or heads
        yield side if sure and not _begins_a_name(token, following.get(id(token))) else token


def _begins_a_name(token: Token, following: Token | None) -> bool:
    """Whether an abbreviation may be an initial or part of a name ("BI-RADS 2 R Patel MD", "Li Wei"): a word follows it
    that does not belong to a side."""
    if following is None or not following.text[0].isalpha() or following.text.lower() in _SIDE_WORDS:
        return False
    return following.kind not in ("breast", "site", "birads", "category", "joined", "name", "short", "left", "right")


def _of_a_breast(token: Token, before: Sequence[Token], behind: Sequence[Token]) -> Token:
    """Resolves "left" or "right": a side if the noun after it belongs to a breast, or if it is alone or beside a
    category, a finding or a punctuation mark; otherwise unsure. "Right away" is not a side.

    Args:
        before, behind: the two nearest words on each side.
    """
    following = behind[0] if behind else None
    if len(behind) > 1 and behind[0].text == "-" and behind[1].at == token.at + len(token.text) + 1:
        following = behind[1]  # "left-handed", "R-4"
    if following and following.text.lower() == "away":
        return Token("other", token.text, token.at)
    if following and (following.kind in _NOUNS or following.text.lower() in _SIDE_WORDS):
        return token
    english = _ENGLISH.match(token.text)
    if english and _goes_with(following, english) and (english["preposition"] or _may_stand_before(before)):
        return token
    return Token("unsure", token.text, token.at)


def _goes_with(following: Token | None, side: re.Match[str]) -> bool:
    if following is None or not following.text[0].isalpha():
        return True
    if following.kind == "exam":
        return not side["article"]
    if following.kind == "birads" and side["article"]:  # "the right BI-RADS category", but "on the right BI-RADS 2"
        return side["preposition"] is not None and side["preposition"].lower().strip() in ("on", "in")
    return following.kind in _MAY_FOLLOW or following.text.lower() in _VERBS


def _may_stand_before(before: Sequence[Token]) -> bool:
    if not before:
        return True
    if before[-1].kind == "site" and before[0].text.lower() in _REMAINDERS:  # "few calcifications left"
        return False
    if before[-1].text == "." and before[0].text.lower() in _TITLES:
        return False
    return before[-1].kind in _MAY_STAND_BEFORE or not before[-1].text[0].isalpha()


def as_side(token: Token) -> Token:
    """An abbreviation ("L", "re.") as the token of its side; other tokens unchanged."""
    if token.kind != "short":
        return token
    return Token("left" if token.text[0] in "lL" else "right", token.text, token.at)


def side_within(token: Token) -> tuple[Laterality, ...]:
    """The side whose word is in a token that may not be a side ("left one", "leftover")."""
    found = _WITHIN.search(token.text)
    return (Laterality.LEFT if found[0][0] in "lL" else Laterality.RIGHT,) if found else ()
