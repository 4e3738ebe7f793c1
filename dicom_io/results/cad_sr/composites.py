"""Groups the findings that are taken for one lesion, for the Mammography CAD SR: those of several views, and a mass
with the calcifications in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from models.types.exam import ExamImage, FindingId, Tie
from models.types.reading import FindingKind, calcifications_in_masses

LEAST_CERTAINTY = 0.5
"""Two findings become one composite if their tie is more certain than this: most composites must be right. A
workstation shows a composite as one lesion, without its certainty."""


@dataclass(frozen=True)
class Composite:
    """Two or more findings that are taken for one lesion.

    Attributes:
        findings: in the order of the ties; then the calcifications in the mass. An image has at most one mass in them.
        certainty: 0..1, of the weakest tie between them; None without a tie: a mass and calcifications in one image.
    """

    findings: tuple[FindingId, ...]
    certainty: float | None


def composites(ties: Sequence[Tie], masses: Mapping[FindingId, FindingId]) -> tuple[Composite, ...]:
    """Joins tied findings, beginning with the most certain tie, then masses with the calcifications in them. A finding
    is in at most one composite.

    A tie that would join two findings of one image is skipped: an image shows a lesion once. Calcifications that are
    tied to some in another mass stay with the first of the two masses.

    Args:
        ties: the findings in several views that may be one lesion.
        masses: the mass that each calcification lies in (`masses_of`).
    """
    joined: list[Composite] = []
    for tie in sorted(ties, key=lambda tie: -tie.certainty):
        if tie.certainty <= LEAST_CERTAINTY:
            break
        touched = [composite for composite in joined if set(composite.findings) & set(tie.findings)]
        findings = _once(*(composite.findings for composite in touched), tie.findings)
        if len({finding.sop_instance_uid for finding in findings}) == len(findings):
            joined = [composite for composite in joined if composite not in touched]
            joined.append(Composite(findings, tie.certainty))
    for calcification, mass in masses.items():
        of_mass, of_calcification = _with(mass, joined), _with(calcification, joined)
        if not set(of_calcification.findings) & set(masses.values()):
            joined = [composite for composite in joined if composite not in (of_mass, of_calcification)]
            known = [part.certainty for part in (of_mass, of_calcification) if part.certainty is not None]
            findings = _once(of_mass.findings, of_calcification.findings)
            joined.append(Composite(findings, min(known, default=None)))
    return tuple(joined)


def masses_of(images: Iterable[ExamImage]) -> dict[FindingId, FindingId]:
    """For each calcification in a mass with calcifications: that mass."""
    return dict(pair for image in images for pair in _within(image))


def _within(image: ExamImage) -> Iterator[tuple[FindingId, FindingId]]:
    findings = image.reading.findings
    within = calcifications_in_masses([finding.box for finding in findings], [finding.kind for finding in findings])
    for calcification, mass in within.items():
        if findings[mass].kind is FindingKind.MASS_WITH_CALCIFICATIONS:
            uid = image.sop_instance_uid
            yield FindingId(uid, calcification + 1), FindingId(uid, mass + 1)


def _with(finding: FindingId, joined: Sequence[Composite]) -> Composite:
    """The composite that a finding is in; one of its own if it is in none."""
    return next((composite for composite in joined if finding in composite.findings), Composite((finding,), None))


def _once(*groups: tuple[FindingId, ...]) -> tuple[FindingId, ...]:
    return tuple(dict.fromkeys(finding for group in groups for finding in group))
