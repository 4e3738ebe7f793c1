"""The plane of the detector, in millimetres, and independent random generators for the elements of an image.

Phantoms are made as left breasts: the chest wall is the left edge of the image, CC views have the lateral side on top.
Right breasts are mirrored at the end (`exam`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""One value per pixel of an image: rows × columns, float32."""

HEIGHT_MM, WIDTH_MM = 240.0, 180.0
"""The image field of the common 18 cm × 24 cm format."""


@dataclass(frozen=True)
class Grid:
    """Pixels on the detector.

    Attributes:
        spacing_mm: distance of pixel centres, 0.05 to 0.5 (the node treats a larger one as an error in the header).

    Raises:
        ValueError: the spacing is out of that range.
    """

    spacing_mm: float

    def __post_init__(self) -> None:
        if not 0.05 <= self.spacing_mm <= 0.5:
            raise ValueError(f"Phantoms can have pixels of 0.05 to 0.5 mm, not {self.spacing_mm}")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return round(HEIGHT_MM / self.spacing_mm), round(WIDTH_MM / self.spacing_mm)

    def pixels(self, length_mm: float) -> float:
        return length_mm / self.spacing_mm

    def rows_mm(self) -> Field:
        """Distance of each row's centre from the top edge in mm, rows × 1."""
        return ((np.arange(self.shape[0], dtype=np.float32) + 0.5) * np.float32(self.spacing_mm))[:, None]

    def columns_mm(self) -> Field:
        """Distance of each column's centre from the chest wall in mm, 1 × columns."""
        return ((np.arange(self.shape[1], dtype=np.float32) + 0.5) * np.float32(self.spacing_mm))[None, :]


def stream(seed: int, *parts: str | int) -> np.random.Generator:
    """The random generator for the element that `parts` name: a change in one element does not change the others."""
    words = "\0".join(str(part) for part in (seed, *parts))
    return np.random.default_rng(int.from_bytes(hashlib.sha256(words.encode()).digest()[:16], "big"))
