"""The location of a finding in the breast, in the terms of a report. Pure functions."""

from __future__ import annotations

import numpy as np

from models.anatomy.breast import breast_box, breast_side
from models.anatomy.landmarks import axis_of
from models.types.exam import Depth, ExamImage, Half, Location
from models.types.reading import Finding, ImageReading

LATERAL_VIEWS = frozenset({"MLO", "LMO", "ML", "LM"})
"""In these views the upper half of the breast is above the nipple (ACR BI-RADS Atlas, 5th edition, 2013)."""


def location_of(finding: Finding, image: ExamImage) -> Location:
    """The location of a finding; parts that are not known are None."""
    return Location(distance_to_nipple(finding, image.reading), _side(finding, image), _depth(finding, image))


def distance_to_nipple(finding: Finding, reading: ImageReading) -> float | None:
    """Millimetres from the centre of the finding's outline to the nipple, the radius of the "arc" by which radiologists
    match two views (Paquerault et al., Med Phys 29:238, 2002; van Engeland et al., Med Phys 33:3203, 2006).

    None if the reading has no nipple or no stated spacing.
    """
    if reading.nipple is None or reading.spacing_mm is None:
        return None
    return float(np.hypot(*np.multiply(np.subtract(_centre(finding), reading.nipple), reading.spacing_mm)))


def _side(finding: Finding, image: ExamImage) -> Half | None:
    nipple, box = image.reading.nipple, finding.mask.box
    if nipple is None or image.view not in LATERAL_VIEWS | {"CC"}:
        return None
    if box.top <= nipple[0] < box.bottom:
        return "central"
    # The reading does not hold the orientation of a cranio-caudal image (lateral side up or down); only its header
    # does.
    if image.view == "CC":
        return None
    return "upper" if box.bottom <= nipple[0] else "lower"


def _depth(finding: Finding, image: ExamImage) -> Depth | None:
    """The third of the nipple's axis, from the nipple to the breast's edge at the chest wall, that the finding is
    in."""
    reading = image.reading
    if reading.nipple is None or reading.preview is None or image.view not in LATERAL_VIEWS | {"CC"}:
        return None
    shown = np.divide(reading.preview, 255, dtype=np.float32)
    wall_side = breast_side(shown)
    if wall_side is None:
        return None
    box = breast_box(shown)
    wall = (box.left if wall_side == "left" else box.right) * reading.shape[1] / reading.preview.shape[1]
    row_mm, column_mm = reading.spacing_mm or (1.0, 1.0)
    down, outwards = axis_of(image.view)
    length = abs(reading.nipple[1] - wall) * column_mm / outwards
    row, column = np.subtract(reading.nipple, _centre(finding))
    behind = down * row * row_mm + outwards * (column if wall_side == "left" else -column) * column_mm
    thirds: tuple[Depth, ...] = ("anterior", "middle", "posterior")
    return thirds[int(np.clip(3 * behind / max(length, 1e-6), 0, 2))]


def _centre(finding: Finding) -> tuple[float, float]:
    """Row and column of the centroid of the outline's pixels."""
    rows, columns = np.nonzero(finding.mask.crop)
    return finding.mask.box.top + float(rows.mean()), finding.mask.box.left + float(columns.mean())
