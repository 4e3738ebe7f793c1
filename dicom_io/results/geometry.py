"""Converts rows and columns to DICOM's x and y; only this file does.

Pixels are counted by row and column from 0; integers are pixel centres. A DICOM SCOORD (PS3.3 §C.18.6.1.2)
counts x (column) and y (row) from the top left corner of the top left pixel, whose centre is 0.5\\0.5. So do graphic
annotations in PIXEL units (PS3.3 §C.10.5), which end at Columns\\Rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from skimage.measure import find_contours, label

from models.types.exam import ExamReading
from models.types.region import Box, Mask

# Viewers become slow with long outlines long before GraphicData is full (8191 points in explicit VR).
_MOST_POINTS = 1000
_NEARLY_ALL = 0.95
_TOLERANCES_PX = (1 / 3, 2 / 3, 4 / 3)


def to_xy(rows_columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """SCOORD x, y (n × 2) of positions in row, column (n × 2)."""
    return rows_columns[:, ::-1] + 0.5


def outline(mask: Mask) -> NDArray[np.float64]:
    """A closed polygon around a lesion, as SCOORD POLYLINE data: x, y (n × 2), the last point equals the first.

    It runs half way between the mask's pixels and their neighbours, simplified with a tolerance of 1/3 pixel (up to 4/3
    if it would have more than 1000 points), without holes. Stray pixels beside a lesion (up to a twentieth) are left
    out; a mask in several parts, or one that needs more than 1000 points, is outlined by its convex hull, because a
    measurement group has one region. The SEG has the exact lesion.
    """
    return mask.outline if isinstance(mask, _OutlinedMask) else _outline(mask)


def outlined_once(exam: ExamReading) -> ExamReading:
    """The same exam, whose masks keep their outline: each lesion is drawn in several objects, some of them twice."""
    return replace(
        exam,
        images=tuple(
            replace(
                image,
                reading=replace(
                    image.reading,
                    findings=tuple(
                        replace(finding, mask=_OutlinedMask(finding.mask.box, finding.mask.crop))
                        for finding in image.reading.findings
                    ),
                ),
            )
            for image in exam.images
        ),
    )


def frame(shape: tuple[int, int]) -> NDArray[np.float64]:
    """The edge of a whole image of rows × columns, as a closed SCOORD POLYLINE."""
    rows, columns = shape
    corners = np.array([(0, 0), (columns, 0), (columns, rows), (0, rows), (0, 0)], dtype=np.float64)
    return _unlike_a_rectangle(corners)


def edges(box: Box) -> tuple[float, float, float, float]:
    """Left, top, right and bottom edge of a box of pixels, in x and y."""
    return float(box.left), float(box.top), float(box.right), float(box.bottom)


def nearest(xy: NDArray[np.float64], box: Box) -> tuple[float, float]:
    """The point x, y of a line (n × 2) that lies nearest to a box."""
    left, top, right, bottom = edges(box)
    away = xy - np.clip(xy, (left, top), (right, bottom))
    x, y = xy[np.argmin(np.square(away).sum(axis=1))]
    return float(x), float(y)


def longest_extent_mm(xy: NDArray[np.float64], spacing_mm: tuple[float, float]) -> float:
    """The longest distance in mm between two points of an outline (x, y, n × 2).

    Args:
        spacing_mm: of rows, of columns (Mammogram.spacing_mm).
    """
    return float(pdist(xy * spacing_mm[::-1]).max())


@dataclass(frozen=True, eq=False)
class _OutlinedMask(Mask):
    @cached_property
    def outline(self) -> NDArray[np.float64]:
        xy = _outline(self)
        xy.setflags(write=False)
        return xy


def _outline(mask: Mask) -> NDArray[np.float64]:
    crop = np.pad(mask.crop, 1)
    contours = find_contours(crop.astype(np.float32), 0.5, fully_connected="high")
    ring = _simplified(max(contours, key=_enclosed_area)) if _is_in_one_part(crop, contours) else None
    if ring is None:
        ring = _closed(cv2.convexHull(np.vstack(contours).astype(np.float32)))
    return to_xy(_unlike_a_rectangle(ring) - 1 + (mask.box.top, mask.box.left))


def _is_in_one_part(crop: NDArray[np.bool_], contours: list[NDArray[np.float64]]) -> bool:
    """Whether one part has nearly all of the mask's pixels."""
    if len(contours) == 1:
        return True
    parts_px = np.bincount(label(crop, connectivity=2).ravel())[1:]
    return bool(parts_px.max() >= _NEARLY_ALL * parts_px.sum())


def _unlike_a_rectangle(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ring with a midpoint on each side if it has 5 points or fewer.

    OHIF treats a region of 4 or 5 points as one of its rectangle tool, and makes it editable.
    """
    if len(ring) > 5:
        return ring
    amid = (ring[:-1] + ring[1:]) / 2
    return np.vstack([np.stack([ring[:-1], amid], axis=1).reshape(-1, 2), ring[-1:]])


def _simplified(contour: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The ring with as few points as the tolerances allow; None if these are still too many."""
    for tolerance in _TOLERANCES_PX:
        ring = _closed(cv2.approxPolyDP(contour[:-1].astype(np.float32), tolerance, True))
        if len(ring) <= _MOST_POINTS:
            return ring if len(ring) >= 4 else contour  # a lesion of a few pixels is no wider than the tolerance
    return None


def _closed(points: NDArray[np.generic]) -> NDArray[np.float64]:
    """OpenCV's n × 1 × 2 points as n × 2, the first again at the end."""
    ring = points.reshape(-1, 2).astype(np.float64)
    return np.vstack([ring, ring[:1]])


def _enclosed_area(contour: NDArray[np.float64]) -> float:
    rows, columns = contour[:, 0], contour[:, 1]
    return float(abs(np.dot(rows[:-1], columns[1:]) - np.dot(columns[:-1], rows[1:])) / 2)
