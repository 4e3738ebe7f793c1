"""The compressed breast: its outline by view, its thickness and the pectoral muscle.

Simple geometric outlines (ellipse-like arcs) with a rounded free edge follow the phantoms of Bliznakova et al. (Phys
Med Biol 48:3699, 2003) and Bakic et al. (Med Phys 29:2131 and 29:2140, 2002). The muscle of the MLO view is bounded
by a slightly convex line between the upper edge of the image and the chest wall (Karssemeijer, Phys Med Biol 43:365,
1998; Ferrari et al., IEEE Trans Med Imaging 23:232, 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from models.phantom.grid import HEIGHT_MM, Field, Grid

VIEWS = ("CC", "MLO")
_OBLIQUITY = np.deg2rad(50)
"""Angle of the MLO projection to the vertical."""
_NIPPLE_HEIGHT_MM, _NIPPLE_WIDTH_MM = 4.5, 4.0


@dataclass(frozen=True)
class BreastShape:
    """One breast, compressed for its two views. Lengths in mm.

    Attributes:
        nipple_mm: distance of the nipple from the chest wall.
        lateral_mm, medial_mm: from the nipple's axis to either end of the breast, CC.
        nipple_row_mm: the nipple's distance from the top of the image, in CC and in MLO.
        axilla_mm, fold_mm: from the nipple's axis to where the outline would meet the chest wall, MLO, up and down.
        pointed: exponent of the outline: 2 is an ellipse; a smaller exponent gives a more pointed shape.
        thickness_mm: compressed, in CC and in MLO.
        muscle_width_mm: of the pectoral muscle at the top of the MLO.
        muscle_length_mm: where the muscle meets the chest wall, from the top of the MLO.
    """

    nipple_mm: float
    lateral_mm: float
    medial_mm: float
    nipple_row_mm: tuple[float, float]
    axilla_mm: float
    fold_mm: float
    pointed: float
    thickness_mm: tuple[float, float]
    muscle_width_mm: float
    muscle_length_mm: float


@dataclass(frozen=True)
class ViewShape:
    """The shape of a breast in one view; see `BreastShape`."""

    breast: BreastShape
    view: str

    @property
    def nipple_row_mm(self) -> float:
        return self.breast.nipple_row_mm[VIEWS.index(self.view)]

    @property
    def thickness_mm(self) -> float:
        return self.breast.thickness_mm[VIEWS.index(self.view)]

    @property
    def vertical(self) -> tuple[float, float]:
        """The components of the image's downward axis: a point that is `lateral` and `up` of the nipple (mm) is
        vertical[0]·lateral + vertical[1]·up below the nipple's row."""
        if self.view == "CC":
            return -1.0, 0.0
        return -float(np.sin(_OBLIQUITY)), -float(np.cos(_OBLIQUITY))

    def outline_mm(self, rows_mm: Field) -> Field:
        """The distance of the skin from the chest wall, for each row; 0 in rows without breast."""
        above = rows_mm < self.nipple_row_mm
        up, down = (
            (self.breast.lateral_mm, self.breast.medial_mm)
            if self.view == "CC"
            else (self.breast.axilla_mm, self.breast.fold_mm)
        )
        offset = np.abs(rows_mm - self.nipple_row_mm)
        along = np.clip(offset / np.where(above, up, down), 0, 1)
        arc = self.breast.nipple_mm * (1 - along**self.breast.pointed) ** 0.68
        nipple = _NIPPLE_HEIGHT_MM * np.exp(-(np.abs(offset / _NIPPLE_WIDTH_MM) ** 2.6))
        return np.asarray(np.where(along < 1, arc + nipple, 0), dtype=np.float32)

    def muscle_edge_mm(self, rows_mm: Field) -> Field:
        """The extent of the pectoral muscle from the chest wall, for each row; 0 in CC."""
        if self.view == "CC":
            return np.zeros_like(rows_mm)
        along = np.clip(rows_mm / self.breast.muscle_length_mm, 0, 1)
        straight = self.breast.muscle_width_mm * (1 - along)
        convex = 0.48 * self.breast.muscle_width_mm * along * (1 - along)
        return np.asarray(straight + convex, dtype=np.float32)


def draw_breast(rng: np.random.Generator) -> BreastShape:
    """A random breast of ordinary size; thickness 4 to 6.5 cm, larger breasts are thicker."""
    size = rng.uniform(0, 1)

    def between(low: float, high: float) -> float:
        return float(low + (high - low) * np.clip(size + rng.normal(0, 0.15), 0, 1))

    nipple, fold = between(74, 124), between(60, 86)
    thickness = between(40, 62)
    mlo_row = float(min(between(128, 150), HEIGHT_MM - fold - 6))
    return BreastShape(
        nipple_mm=nipple,
        lateral_mm=between(78, 110),
        medial_mm=between(74, 106),
        nipple_row_mm=(float(HEIGHT_MM / 2 + rng.uniform(-6, 6)), mlo_row),
        axilla_mm=mlo_row * float(rng.uniform(1.08, 1.25)),
        fold_mm=fold,
        pointed=float(rng.uniform(1.6, 2.0)),
        thickness_mm=(thickness, thickness + float(rng.uniform(0, 5))),
        muscle_width_mm=float(rng.uniform(0.42, 0.62)) * nipple,
        muscle_length_mm=mlo_row + float(rng.uniform(-25, 10)),
    )


def depth_mm(shape: ViewShape, grid: Grid) -> Field:
    """Distance of each pixel of the breast from the skin line in mm; 0 outside. Chest wall and top edge are not
    skin."""
    inside = np.broadcast_to(grid.columns_mm() < shape.outline_mm(grid.rows_mm()), grid.shape).astype(np.uint8)
    rows, columns = grid.shape
    far = rows // 2
    framed = cv2.copyMakeBorder(inside, far, 1, far, 1, cv2.BORDER_REPLICATE)
    # Not OpenCV's: its rounding depends on the number of threads, and the same seed must give the same bytes.
    away = distance_transform_edt(framed)[far : far + rows, far : far + columns]
    return np.asarray(away * np.float32(grid.spacing_mm), dtype=np.float32)


def thickness_mm(shape: ViewShape, depth: Field) -> Field:
    """Compressed thickness at each pixel in mm: constant under the paddle, a half circle at the free edge."""
    radius = shape.thickness_mm / 2
    from_flat = 1 - np.clip(depth / radius, 0, 1)
    return np.asarray(shape.thickness_mm * np.sqrt(1 - from_flat**2), dtype=np.float32)
