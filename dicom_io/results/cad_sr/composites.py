"""Groups findings of several views that are taken for one lesion, for the Mammography CAD SR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.types.exam import FindingId, Tie

LEAST_CERTAINTY = 0.5
"""Two findings become one composite if their tie is more certain than this: most composites must be right. A
workstation shows a composite as one lesion, without its certainty."""


@dataclass(frozen=True)
class Composite:
    """Findings in two or more images that are taken for one lesion.

    Attributes:
        findings: at most one per image, in the order of the ties.
        certainty: 0..1, of the weakest tie between them.
    """

    findings: tuple[FindingId, ...]
    certainty: float


def composites(ties: Sequence[Tie]) -> tuple[Composite, ...]:
    """Joins tied findings, beginning with the most certain tie. A finding is in at most one composite.

    A tie that would join two findings of one image is skipped: an image shows a lesion once.
    """
    joined: list[Composite] = []
    for tie in sorted(ties, key=lambda tie: -tie.certainty):
        if tie.certainty <= LEAST_CERTAINTY:
            break
        touched = [composite for composite in joined if set(composite.findings) & set(tie.findings)]
        findings = tuple(
            dict.fromkeys([*(finding for composite in touched for finding in composite.findings), *tie.findings])
        )
        if len({finding.sop_instance_uid for finding in findings}) == len(findings):
            joined = [composite for composite in joined if composite not in touched]
            joined.append(Composite(findings, tie.certainty))
    return tuple(joined)
