"""Converts the labels of all data sets (BI-RADS, density, pathology, laterality) to one vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterable

from models.datasets.case import Pathology
from models.types.birads import Category, most_severe
from models.types.mammogram import Laterality

_ASSESSMENT = re.compile(r"(?<![0-9A-Z.])(?:(4[ABC])|([0-6]))(?![0-9A-Z])")
_PATHOLOGY = (Pathology.NORMAL, Pathology.BENIGN, Pathology.MALIGNANT)


def birads_of(words: str) -> str | None:
    """The assessment in a text such as "4$2", "BI-RADS 4" or "4a": the most severe where there are several."""
    found = ["".join(pair) for pair in _ASSESSMENT.findall(words.upper())]
    return worst_birads(found)


def density_of(words: str) -> str | None:
    """ "A" to "D", from a text such as "C", "DENSITY C" or "3" (1 to 4 are the fourth edition's names of A to D)."""
    found = re.search(r"\b([A-D1-4])\b", words.upper())
    return "ABCD"["1234".index(found[1])] if found and found[1].isdigit() else found[1] if found else None


def worst_birads(found: Iterable[str | None]) -> str | None:
    """The most severe of several assessments (`most_severe`); None where there is none."""
    stated = [Category(label) for label in found if label is not None]
    return most_severe(stated).value if stated else None


def worst_pathology(found: Iterable[Pathology | None]) -> Pathology | None:
    """A breast's pathology, from its lesions': malignant before benign before normal; None where none is known."""
    return max((label for label in found if label is not None), key=_PATHOLOGY.index, default=None)


def laterality_of(words: str) -> Laterality | None:
    """The laterality in a text such as "L", "LEFT" or "Right"; None where it starts with neither L nor R."""
    first = words.strip()[:1].upper()
    return Laterality(first) if first in ("L", "R") else None
