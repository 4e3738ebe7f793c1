"""The location of a lesion in the breast, in words; unknown parts are left out."""

from __future__ import annotations

from collections.abc import Iterator

from models.types.exam import ExamImage, ExamReading, FindingId


def location_of(exam: ExamReading, image: ExamImage, number: int) -> Iterator[str]:
    """A sentence for an image's finding `number`; none if nothing is known.

    Words and no codes: a single view does not determine a quadrant.
    """
    location = exam.locations.get(FindingId(image.sop_instance_uid, number))
    if location is None:
        return
    sides = {"upper": "above the nipple", "central": "at the level of the nipple", "lower": "below the nipple"}
    parts = [
        *([sides[location.side]] if location.side else []),
        *([f"{location.depth} depth"] if location.depth else []),
        *([f"{location.distance_mm:.0f} mm from the nipple"] if location.distance_mm is not None else []),
    ]
    if parts:
        yield f"Location in this view, estimated: {', '.join(parts)}."
