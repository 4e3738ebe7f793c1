"""A reference set of exams, and the tenth of it in which an exam's score is."""

from __future__ import annotations

import re
from dataclasses import dataclass

LEAST_EXAMS, MOST_EXAMS = 100, 9_999_999
"""With fewer exams a tenth holds fewer than ten."""
LONGEST_NAME = 12
"""Characters of a set's name: with the most exams `ReferenceTenth.name` then has 64, which is the limit of a code's
meaning in a report (PS3.5 section 6.2, VR LO)."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class ReferenceSet:
    """A set of exams, one per patient, by whose scores other exams are ranked.

    Attributes:
        name: 1..LONGEST_NAME ASCII letters, digits, spaces, dots, hyphens and underscores, the first and last a letter
            or digit.
        exams: LEAST_EXAMS..MOST_EXAMS.
        is_screening: the exams are a screening population's; whoever makes the set states it.

    Raises:
        ValueError: the name or the number of exams cannot be used.
    """

    name: str
    exams: int
    is_screening: bool

    def __post_init__(self) -> None:
        if len(self.name) > LONGEST_NAME or not _NAME.fullmatch(self.name):
            raise ValueError(
                f"the name {self.name!r} cannot be used: give 1 to {LONGEST_NAME} letters (A-Z), digits, spaces, dots, "
                "hyphens or underscores, the first and last a letter or digit"
            )
        if not LEAST_EXAMS <= self.exams <= MOST_EXAMS:
            raise ValueError(f"it has {self.exams} exams: tenths need at least {LEAST_EXAMS}, and at most {MOST_EXAMS}")

    def __str__(self) -> str:
        """ "reference set NAME (n = 412, not screening)"."""
        population = "screening" if self.is_screening else "not screening"
        return f"reference set {self.name} (n = {self.exams}, {population})"


@dataclass(frozen=True)
class ReferenceTenth:
    """The tenth of a reference set in which an exam's score is.

    Attributes:
        tenth: 1..10, 10 has the highest scores; None: the exam does not compare with those of the set.
        why: the reason for None, a clause; otherwise empty.
    """

    of: ReferenceSet
    tenth: int | None
    why: str = ""

    @property
    def name(self) -> str:
        """The name of the number, without which it must never be shown: readers take 10 for the top tenth of
        screening."""
        return f"tenth of {self.of}"

    def __str__(self) -> str:
        """ "9 of 10: tenth of reference set NAME (n = 412, not screening)"."""
        return f"no {self.name}: {self.why}" if self.tenth is None else f"{self.tenth} of 10: {self.name}"
