"""Rows and columns to DICOM's x and y, and back: the only file that knows of both.

We count pixels by row and column from 0, the whole number being the pixel's centre. A DICOM SCOORD (PS3.3 §C.18.6.1.2)
counts x (column) and y (row) from the top left corner of the top left pixel, whose centre is 0.5\\0.5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.measure import approximate_polygon, find_contours, label
from skimage.morphology import convex_hull_image

from models.types import Mask

# GraphicData of one item holds at most 16383 numbers in explicit VR (a 16-bit length of 4-byte floats); viewers are
# slow long before that.
_MOST_POINTS = 500


def to_xy(rows_columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """SCOORD x, y (n × 2) of positions in row, column (n × 2)."""
    return rows_columns[:, ::-1] + 0.5


def to_rows_columns(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row, column (n × 2) of SCOORD positions x, y (n × 2)."""
    return (xy - 0.5)[:, ::-1]


def outline(mask: Mask) -> NDArray[np.float64]:
    """A closed polygon round a lesion, as SCOORD POLYLINE data: x, y (n × 2), the last point being the first again.

    It runs half way between the mask's pixels and their neighbours, simplified to within half a pixel (more for very
    ragged masks, so that there are at most 500 points). A mask in several parts is drawn by the convex hull of them
    all: a measurement group holds one region, and the SEG has the parts exactly. Holes are left out.
    """
    crop = np.pad(mask.crop, 1)
    if label(crop, connectivity=2).max() > 1:
        crop = convex_hull_image(crop)
    longest = max(find_contours(crop.astype(np.float32), 0.5, fully_connected="high"), key=_enclosed_area)
    tolerance = 0.5
    simple = approximate_polygon(longest, tolerance)
    while len(simple) > _MOST_POINTS:
        tolerance *= 2
        simple = approximate_polygon(longest, tolerance)
    if len(simple) < 4:  # a lesion of a few pixels is no wider than the tolerance
        simple = longest
    return to_xy(_told_from_tool(simple) - 1 + (mask.box.top, mask.box.left))


def frame(shape: tuple[int, int]) -> NDArray[np.float64]:
    """The edge of a whole image of rows × columns, as a closed SCOORD POLYLINE."""
    rows, columns = shape
    corners = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows), (0, 0)], dtype=np.float64)
    return _told_from_tool(corners)


def _told_from_tool(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ring with a point amid each side where it has 5 points or fewer.

    OHIF takes a region of 4 or 5 points for one drawn with its rectangle tool, and offers to go on editing it.
    """
    if len(ring) > 5:
        return ring
    amid = (ring[:-1] + ring[1:]) / 2
    return np.vstack([np.stack([ring[:-1], amid], axis=1).reshape(-1, 2), ring[-1:]])


def _enclosed_area(contour: NDArray[np.float64]) -> float:
    rows, columns = contour[:, 0], contour[:, 1]
    return float(abs(np.dot(rows[:-1], columns[1:]) - np.dot(columns[:-1], rows[1:])) / 2)
