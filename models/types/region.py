"""Parts of an image: a box, and a lesion's pixels.

Coordinates are rows and columns of the source image in pixels, counted from the top left, half-open: a box covers
`pixels[top:bottom, left:right]`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Box:
    """A half-open rectangle of source-image pixels: rows top..bottom-1, columns left..right-1.

    Raises:
        ValueError: the box is empty or begins before row or column 0.
    """

    top: int
    left: int
    bottom: int
    right: int

    def __post_init__(self) -> None:
        if not (0 <= self.top < self.bottom and 0 <= self.left < self.right):
            raise ValueError(f"Not a box: {self.top}, {self.left}, {self.bottom}, {self.right}")

    @classmethod
    def around(cls, drawn: NDArray[np.bool_]) -> Box | None:
        """The bounding box of the true pixels of an image (rows × columns); None if there are none."""
        rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
        if not rows.size:
            return None
        return cls(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def area_px(self) -> int:
        return self.height * self.width

    def holds_centre_of(self, other: Box) -> bool:
        """Whether the middle of another box lies in this one."""
        rows, columns = other.top + other.bottom, other.left + other.right
        return 2 * self.top <= rows < 2 * self.bottom and 2 * self.left <= columns < 2 * self.right

    @property
    def slices(self) -> tuple[slice, slice]:
        """The index of this box in an image: `pixels[box.slices]`."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, eq=False)
class Mask:
    """A lesion's pixels: a box of the source image, and the mask inside it (bool, box.height × box.width).

    Raises:
        ValueError: the crop is not bool, or its shape differs from the box's.
    """

    box: Box
    crop: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.crop.dtype != np.bool_ or self.crop.shape != (self.box.height, self.box.width):
            raise ValueError(f"A mask of {self.crop.dtype} {self.crop.shape} does not fill its box {self.box}")

    @classmethod
    def from_full(cls, drawn: NDArray[np.bool_]) -> Mask | None:
        """The mask of the true pixels of an image (rows × columns); None if there are none. The inverse of `full`."""
        box = Box.around(drawn)
        return None if box is None else cls(box, np.ascontiguousarray(drawn[box.slices]))

    @property
    def area_px(self) -> int:
        return int(np.count_nonzero(self.crop))

    def full(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask at the size of the whole image (rows, columns)."""
        whole = np.zeros(shape, dtype=np.bool_)
        whole[self.box.slices] = self.crop
        return whole
