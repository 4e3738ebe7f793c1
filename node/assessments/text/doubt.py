"""Doubt beside a category: a sentence about the past, a machine, another reader or hospital, or one that revokes.

The sentence directly before a category, or directly after it, may say of whom or when it is ("Voraufnahmen 2021.
BI-RADS 3 rechts.", "BI-RADS 4 left. I disagree."). Negations of findings, conditions and guesses ("No mass.", "Biopsy
should be considered.") are usual there, and do not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from node.assessments.text.words import MACHINE, Token, names_former_year, plain, tokens

_USUAL = re.compile(
    r"was|were|war|waren|no|not|nor|neither|never|without|cannot|excluded?|kein\w*|nicht|ohne|ausgeschlossen|ausschluss"
    r"|geen|niet|zonder|uitgesloten|rule[sd]?\sout|r/o|isn.t|rather|instead|statt|chang\w+|correct\w*|korrekt\w*|retracted|withdrawn"
    r"|if|unless|until|wenn|falls|sofern|bis\szum?|indien|had|hatte|would|could|should|may|might"
    r"|possibl[ey]|perhaps|maybe|questionable|uncertain|fraglich\w*|eventuell|evtl|vermutlich|eher|misschien|mogelijk|differential\w*"
    r"|(?:contra|ipsi|kontra)laterale?\w*|(?:contra|ipsi)lateraal|opposite|(?:other|same)\s(?:breast|side)"
    r"|(?:andere[rns]?|gegen)\s?(?:brust|seite|borst|kant|zijde)|resolved|disappeared|excised|verschwunden|exzidiert|verdwenen|referring|technologist\w*|radiographers?",
    re.IGNORECASE,
)
"""Words of doubt that are usual in sentences about findings and people."""
_REVOKES = re.compile(
    r"(?:\b(?:not|cannot|nicht|niet|kein\w*|geen)\s(?:\w+\s){0,2}(?:confirm\w*|bestätig\w*|bevestig\w*|valid\w*|agree\w*|justif\w+"
    r"|nachvollzieh\w*|correct|right|left|true|accept\w*|geteilt|zutreffend\w*|zustimm\w*|eens|akkoord|einverstanden|rechts|links))\b"
    r"|^\W*(?:no|nein|nee|excluded|ausgeschlossen|uitgesloten|wrong|false|falsch)\W*$",
    re.IGNORECASE,
)
_STABLE = re.compile(
    r"\b(?:unchanged|(?:no|without)\s(?:\w+\s){0,2}changes?|stable|unverändert\w*|stabil\w*|(?:keine?|ohne)\s(?:\w+\s){0,2}(?:ver)?änderung(?:en)?"
    r"|ongewijzigd\w*|onveranderd\w*|stabiel\w*|(?:geen|zonder)\s(?:\w+\s){0,2}(?:verandering|wijziging)(?:en)?)\b",
    re.IGNORECASE,
)
"""Says that the exam of today was compared with an earlier one, and is as it was: usual before a category."""
_MACHINE = re.compile(rf"\b{MACHINE}\b", re.IGNORECASE)
_AIDED = re.compile(r"\b(?:with|w/|aid|aided|using|mit|hilfe|verwendung|met|behulp)\s", re.IGNORECASE)


_NONE = re.compile(
    r":\s(?:none|nil|n\s?/\s?a|not available|unavailable|-|keine?|entfällt|geen|niet beschikbaar)\W{0,9}$",
    re.IGNORECASE,
)


def says_none(sentence: Sequence[Token]) -> bool:
    """Whether a sentence is a heading with nothing to say: "Comparison: None."."""
    return _NONE.search(" ".join(word.text for word in sentence)) is not None


def casts_doubt(neighbour: Sequence[Token], exam_year: int | None, *, behind: bool) -> bool:
    """Whether a sentence makes the category of the sentence beside it uncertain.

    Args:
        neighbour: its words.
        exam_year: see `names_former_year`.
        behind: whether it stands after the category: then "now" begins what is true instead ("BI-RADS 3. Now normal.").
    """
    if says_none(neighbour):
        return False
    text = " ".join(word.text for word in neighbour)
    is_stable = _STABLE.search(text) is not None
    doubts = ("doubt",) if is_stable else ("former", "doubt")
    if any(word.kind in doubts and not _USUAL.fullmatch(word.text) for word in neighbour):
        return True
    if not is_stable and names_former_year(neighbour, exam_year):
        return True
    if behind and any(word.kind == "now" for word in neighbour):
        return True
    machine = _MACHINE.search(text)
    return _REVOKES.search(text) is not None or (machine is not None and not _AIDED.search(text, 0, machine.start()))


def names_doubt(name: str) -> bool:
    """Whether the name of a field says that its category is not the radiologist's current one: "Prior assessment", "AI
    assessment"."""
    return casts_doubt(list(tokens(plain(name))), None, behind=False)
