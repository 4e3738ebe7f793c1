"""Which findings of a Mammography CAD SR are one lesion seen in several views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.types.exam import FindingId, Tie

LEAST_CERTAINTY = 0.5
"""A tie makes one lesion of two findings where it is more certain than this: more often right than wrong. A workstation
shows a composite as one lesion, without a remark."""


@dataclass(frozen=True)
class Composite:
    """Findings of two or more images that are taken for one lesion.

    Attributes:
        findings: at most one of an image, first as tied.
        certainty: 0..1, of the weakest tie that holds it together.
    """

    findings: tuple[FindingId, ...]
    certainty: float


def composites(ties: Sequence[Tie]) -> tuple[Composite, ...]:
    """Each finding in one composite at most, however often it is tied; the most certain ties first.

    A tie that would put two findings of one image together is passed over: one lesion is seen once in an image.
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
