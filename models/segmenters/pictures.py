"""The input format of each family of networks: converts a crop to the input, and logits back to the crop's pixels.

Every network has a square input of `side` pixels and three equal channels. Crops are rows × columns, float32 in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_MEAN = (123.675, 116.28, 103.53)
_DEVIATION = (58.395, 57.12, 57.375)
"""Mean and standard deviation of ImageNet's colours, in 0..255; SAM and HQ-SAM are trained with them."""


class Picture(Protocol):
    """A network's input format."""

    @property
    def side(self) -> int:
        """Its rows and columns."""

    def scale(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Input pixels per pixel of a crop of this shape, down and across."""

    def shrink(self, crop: NDArray[np.float32]) -> Tensor:
        """A crop's greys at the input's resolution: rows × columns, each at most `side`; float32."""

    def fill(self, small: Tensor) -> Tensor:
        """The input (3 × side × side, float32) from the result of `shrink`."""

    def prepare(self, crop: NDArray[np.float32]) -> Tensor:
        """The input (3 × side × side, float32) from a crop."""
        return self.fill(self.shrink(crop))

    def restore(self, logits: Tensor, shape: tuple[int, int]) -> Tensor:
        """A network's logits (square, any size), resampled to the shape of their crop (rows × columns)."""
        down, across = (self.restoring(len(logits), shape, axis) for axis in (0, 1))
        return down @ logits @ across.T

    def drawn(self, logits: Tensor, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Where restored logits (on the CPU) are above 0; resampled only near cells that are."""
        drawn = np.zeros(shape, dtype=np.bool_)
        above = logits > 0
        if not above.any():
            return drawn
        down, across = (self.restoring(len(logits), shape, axis) for axis in (0, 1))
        # A resampled logit is a mean of cells: it is above 0 only if one of them is.
        rows, columns = _reach(down, above.any(dim=1)), _reach(across, above.any(dim=0))
        drawn[rows, columns] = (down[rows] @ logits @ across[columns].T > 0).numpy()
        return drawn

    def restoring(self, cells: int, shape: tuple[int, int], axis: Literal[0, 1]) -> Tensor:
        """Along one axis of a crop of this shape, the weights of the logits' cells in each of its pixels: pixels ×
        cells, float32."""


@dataclass(frozen=True)
class SamPicture(Picture):
    """SAM's and HQ-SAM's: longer side to `side`, ImageNet's mean and deviation, then zeros below or to the right.

    As in segment_anything's SamPredictor, but without rounding to 8 bits: 0..1 corresponds to its 0..255.
    """

    side: int = 1024

    def scale(self, shape: tuple[int, int]) -> tuple[float, float]:
        rows, columns = self._filled(shape)
        return rows / shape[0], columns / shape[1]

    def shrink(self, crop: NDArray[np.float32]) -> Tensor:
        filled = self._filled((crop.shape[0], crop.shape[1]))
        return _resized(torch.from_numpy(np.ascontiguousarray(crop)), filled, "bilinear", antialias=True)

    def fill(self, small: Tensor) -> Tensor:
        rows, columns = small.shape
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
        return functional.pad((small * 255 - mean) / deviation, (0, self.side - columns, 0, self.side - rows))

    def restoring(self, cells: int, shape: tuple[int, int], axis: Literal[0, 1]) -> Tensor:
        filled = self._filled(shape)[axis]
        return _weights(filled, shape[axis]) @ _weights(cells, self.side)[:filled]

    def _filled(self, shape: tuple[int, int]) -> tuple[int, int]:
        scale = self.side / max(shape)
        return max(1, int(shape[0] * scale + 0.5)), max(1, int(shape[1] * scale + 0.5))


@dataclass(frozen=True)
class MedSamPicture(Picture):
    """MedSAM's: both sides resized to `side` (cubic), greys scaled to 0..1; no mean, no deviation.

    The published code resizes with scikit-image (order 3, smoothed before shrinking) and rounds to 8 bits. Here it is
    torch's bicubic with antialiasing: the greys differ by about 1 %, and it is many times faster on a mammogram.
    """

    side: int = 1024

    def scale(self, shape: tuple[int, int]) -> tuple[float, float]:
        return self.side / shape[0], self.side / shape[1]

    def shrink(self, crop: NDArray[np.float32]) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(crop))
        small = _resized(pixels, (self.side, self.side), "bicubic", antialias=True)
        small = small.clamp(pixels.min(), pixels.max())
        low, high = small.min(), small.max()
        return (small - low) / (high - low).clamp(min=1e-8)

    def fill(self, small: Tensor) -> Tensor:
        return small.expand(3, -1, -1)

    def restoring(self, cells: int, shape: tuple[int, int], axis: Literal[0, 1]) -> Tensor:
        return _weights(cells, shape[axis])


@dataclass(frozen=True)
class LiteMedSamPicture(Picture):
    """LiteMedSAM's: longer side to 256, greys scaled to 0..1, zeros below or to the right."""

    side: int = 256

    def scale(self, shape: tuple[int, int]) -> tuple[float, float]:
        return self.side / max(shape), self.side / max(shape)

    def shrink(self, crop: NDArray[np.float32]) -> Tensor:
        rows, columns = self._filled((crop.shape[0], crop.shape[1]))
        shrinks = max(crop.shape) > self.side
        small = cv2.resize(crop, (columns, rows), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
        low, high = float(small.min()), float(small.max())
        return torch.from_numpy((small - low) / max(high - low, 1e-8))

    def fill(self, small: Tensor) -> Tensor:
        rows, columns = small.shape
        return functional.pad(small, (0, self.side - columns, 0, self.side - rows)).expand(3, -1, -1)

    def restoring(self, cells: int, shape: tuple[int, int], axis: Literal[0, 1]) -> Tensor:
        filled = self._filled(shape)[axis]
        return functional.pad(_weights(filled, shape[axis]), (0, cells - filled))

    def _filled(self, shape: tuple[int, int]) -> tuple[int, int]:
        scale = self.side / max(shape)
        return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def _resized(pixels: Tensor, shape: tuple[int, int], mode: str, antialias: bool = False) -> Tensor:
    return functional.interpolate(pixels[None, None], shape, mode=mode, align_corners=False, antialias=antialias)[0, 0]


def _weights(before: int, after: int) -> Tensor:
    """Of a linear interpolation of so many values to so many: after × before."""
    return functional.interpolate(torch.eye(before)[None], after, mode="linear", align_corners=False)[0].T


def _reach(weights: Tensor, cells: Tensor) -> slice:
    """The pixels, from the first to the last, in which one of these cells (a bool each) counts; of a smaller crop
    perhaps none."""
    pixels = ((weights != 0) & cells).any(dim=1).nonzero()
    return slice(int(pixels[0]), int(pixels[-1]) + 1) if len(pixels) else slice(0, 0)
