"""The location of a finding in words, as far as its view shows it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.anatomy.location import location_of
from models.readings.exam import put_together
from models.types.exam import ExamImage, FindingId
from models.types.mammogram import Laterality
from models.types.reading import BundleId, Finding, FindingKind, ImageReading
from models.types.region import Box, Mask

ROWS, COLUMNS = 600, 450
NIPPLE = (300, 249)


def _finding(row: int, column: int) -> Finding:
    box = Box(row - 5, column - 5, row + 6, column + 6)
    return Finding(FindingKind.MASS, box, Mask(box, np.ones((11, 11), dtype=np.bool_)), 0.9, 0.5)


def _image(view: str | None, *findings: Finding, mirrored: bool = False) -> ExamImage:
    """A breast against the left edge, 250 columns deep, shown at half its size."""
    y, x = np.mgrid[: ROWS // 2, : COLUMNS // 2]
    preview = np.where(((y - 150) / 112) ** 2 + (x / 125) ** 2 < 1, 120, 0).astype(np.uint8)
    nipple = (NIPPLE[0], COLUMNS - NIPPLE[1]) if mirrored else NIPPLE
    reading = ImageReading(
        findings,
        0.5,
        (ROWS, COLUMNS),
        BundleId("test", "1"),
        spacing_mm=(0.2, 0.2),
        nipple=nipple,
        preview=np.ascontiguousarray(preview[:, ::-1]) if mirrored else preview,
    )
    return ExamImage("1.2.3", Laterality.LEFT, view, reading)


def test_the_distance_to_the_nipple_is_in_millimetres() -> None:
    finding = _finding(NIPPLE[0] - 30, NIPPLE[1] - 40)
    assert location_of(finding, _image("MLO", finding)).distance_mm == pytest.approx(10.0)


@pytest.mark.parametrize(("row", "side"), [(200, "upper"), (298, "central"), (400, "lower")])
def test_a_side_view_shows_whether_a_lesion_is_above_or_below_the_nipple(row: int, side: str) -> None:
    finding = _finding(row, 100)
    assert location_of(finding, _image("MLO", finding)).side == side


def test_a_view_from_above_does_not_distinguish_outer_from_inner() -> None:
    assert location_of(_finding(200, 100), _image("CC")).side is None
    assert location_of(_finding(300, 100), _image("CC")).side == "central"


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("column", "depth"), [(230, "anterior"), (125, "middle"), (20, "posterior")])
def test_the_depth_is_the_third_of_the_distance_from_nipple_to_chest_wall(
    column: int, depth: str, mirrored: bool
) -> None:
    finding = _finding(300, COLUMNS - column if mirrored else column)
    assert location_of(finding, _image("CC", finding, mirrored=mirrored)).depth == depth


def test_an_unknown_location_is_left_empty() -> None:
    finding = _finding(200, 100)
    image = _image("MLO", finding)
    unscaled = replace(image, reading=replace(image.reading, spacing_mm=None))
    assert location_of(finding, unscaled).distance_mm is None
    assert location_of(finding, unscaled).side == "upper"
    lost = location_of(finding, replace(image, reading=replace(image.reading, nipple=None)))
    assert (lost.distance_mm, lost.side, lost.depth) == (None, None, None)
    unseen = replace(image, reading=replace(image.reading, preview=None))
    assert location_of(finding, unseen).depth is None
    assert location_of(finding, replace(image, view=None)).side is None


def test_an_exam_has_the_location_of_each_of_its_findings() -> None:
    image = _image("MLO", _finding(200, 100), _finding(400, 100))
    locations = put_together([image], [], []).locations
    assert [locations[FindingId("1.2.3", number)].side for number in (1, 2)] == ["upper", "lower"]
