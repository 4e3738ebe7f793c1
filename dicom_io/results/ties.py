"""Lesions of two views that may be one, in words."""

from __future__ import annotations

from collections.abc import Iterator

from dicom_io.results.encoding import LesionName, lesion_name
from models.types.exam import ExamImage, ExamReading, FindingId, Tie


def tie_sentences(exam: ExamReading) -> Iterator[str]:
    """One sentence a tie, for the report as a whole."""
    for tie in exam.ties:
        first, second = (_name(exam, finding).label for finding in tie.findings)
        yield f"{first} and {second} may be one lesion: {_ground(tie)}"


def ties_of(exam: ExamReading, image: ExamImage, number: int) -> Iterator[str]:
    """One sentence for each tie of an image's finding `number`; it names the other lesion by Tracking Identifier."""
    this = FindingId(image.sop_instance_uid, number)
    for tie in exam.ties:
        if this in tie.findings:
            other = tie.findings[1] if tie.findings[0] == this else tie.findings[0]
            yield f"May be one lesion with {_name(exam, other).identifier}: {_ground(tie)}"


def _name(exam: ExamReading, finding: FindingId) -> LesionName:
    image = next(image for image in exam.images if image.sop_instance_uid == finding.sop_instance_uid)
    return lesion_name(image, finding.number)


def _ground(tie: Tie) -> str:
    first, second = tie.distances_mm
    return f"distance to the nipple {first:.0f} and {second:.0f} mm; certainty {tie.certainty:.2g}."
