"""Finds clusters of microcalcifications: the breast at native resolution in, boxes of clusters out.

The breast is looked at in tiles of one size that overlap, air left out; a network marks the grains (`grain_net.py`),
and marked grains that lie close are a cluster (`clusters.py`). Images with coarser pixels than calcifications need, and
those with finer pixels than a digital detector's, are not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.detectors.clusters import clusters_of, peaks_of
from models.detectors.grain_net import CONTEXT_PX, STRIDE, GrainNet, channels_of
from models.framing import Frame, scaled_frame, spacing_of
from models.fused import can_fuse
from models.protocols import OutOfMemory
from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind
from models.types.region import Box

TILE_PX = 512
FINEST_MM = 0.049
"""Digital detectors have pixels of 0.05 to 0.1 mm, film scanners mostly finer ones (`models.anatomy.film`). Dust and
scratches on films look like grains to a network that learned from digital images."""
_TILES_AT_ONCE = 16
"""On a GPU."""


def shows_calcifications(image: Mammogram, finest_mm: float, coarsest_mm: float) -> bool:
    """Whether the image's pixels are fine enough to show calcifications, and no finer than a detector's.

    Raises:
        ValueError: the image has no spacing.
    """
    spacing = spacing_of(image)
    return finest_mm <= min(spacing) and max(spacing) <= coarsest_mm


class GrainDetector:
    """Clusters of microcalcifications. See `models.protocols.Detector`."""

    def __init__(
        self,
        network: GrainNet,
        device: torch.device,
        mixed_precision: bool,
        *,
        mm_per_px: float,
        finest_mm: float,
        coarsest_mm: float,
        grain: float,
        fewest: int,
        confidence: float,
        most: int,
    ) -> None:
        self._network = network.to(device).to(memory_format=torch.channels_last).eval()
        self._device = device
        self._half = mixed_precision and device.type == "cuda"
        self._mm_per_px, self._finest_mm, self._coarsest_mm = mm_per_px, finest_mm, coarsest_mm
        self._grain, self._fewest, self._confidence, self._most = grain, fewest, confidence, most

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        """Clusters of each image, the surest first; see the protocol.

        Raises:
            ValueError: an image has no spacing.
        """
        return [self._detect(image) for image in images]

    def sees(self, image: Mammogram) -> bool:
        """Whether it looks at such an image; see `shows_calcifications`."""
        return shows_calcifications(image, self._finest_mm, self._coarsest_mm)

    def _detect(self, image: Mammogram) -> tuple[Detection, ...]:
        if not self.sees(image):
            return ()
        shown = scaled_frame(image, self._mm_per_px)
        places, sureness = peaks_of(self.marks(shown), min(self._grain, self._confidence))
        found = []
        for cluster in clusters_of(places, sureness, self._fewest, self._mm_per_px):
            box = shown.to_source(cluster.left, cluster.top, cluster.right, cluster.bottom)
            if cluster.confidence >= self._confidence and box is not None:
                found.append(Detection(box, FindingKind.CALCIFICATION, min(1.0, cluster.confidence)))
        return tuple(found[: self._most])

    def marks(self, shown: Frame) -> NDArray[np.float32]:
        """How sure the network is of a grain in each pixel of a frame, 0..1."""
        breast = shown.pixels > 0
        padded = np.pad(shown.pixels, (CONTEXT_PX, TILE_PX + CONTEXT_PX))
        rows, columns = shown.pixels.shape
        corners = [
            (row, column)
            for row in range(0, rows, TILE_PX)
            for column in range(0, columns, TILE_PX)
            if breast[row : row + TILE_PX, column : column + TILE_PX].any()
        ]
        marks = np.zeros((rows + TILE_PX, columns + TILE_PX), dtype=np.float32)
        at_once = _TILES_AT_ONCE if self._device.type == "cuda" else 1
        side = TILE_PX + 2 * CONTEXT_PX
        for first in range(0, len(corners), at_once):
            some = corners[first : first + at_once]
            seen = [
                channels_of(padded[row : row + side, column : column + side], self._mm_per_px) for row, column in some
            ]
            if at_once == 1:  # tiles of different sizes cannot go through the network together
                ((row, column),) = some
                part = _needed(breast[row : row + TILE_PX, column : column + TILE_PX])
                some = [(row + part.top, column + part.left)]
                seen = [seen[0][:, part.top : part.bottom + 2 * CONTEXT_PX, part.left : part.right + 2 * CONTEXT_PX]]
            for (row, column), found in zip(some, self._run(np.stack(seen)), strict=True):
                marks[row : row + found.shape[0], column : column + found.shape[1]] = found
        return marks[:rows, :columns] * breast

    def _run(self, tiles: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            with torch.inference_mode(), torch.autocast(self._device.type, torch.float16, enabled=self._half):
                logits = self._network.inner(torch.from_numpy(tiles).to(self._device))
            return np.asarray(torch.sigmoid(logits.float()).cpu().numpy(), dtype=np.float32)
        except torch.cuda.OutOfMemoryError as error:
            raise OutOfMemory(f"{len(tiles)} tiles of {tiles.shape[-1]} pixels did not fit on the device") from error


def _needed(breast: NDArray[np.bool_]) -> Box:
    """The part of a tile that its breast lies in; its sides are multiples of `STRIDE`."""
    box = Box.around(breast)
    assert box is not None
    top, left = (side // STRIDE * STRIDE for side in (box.top, box.left))
    bottom, right = (-(-side // STRIDE) * STRIDE for side in (box.bottom, box.right))
    return Box(top, left, bottom, right)


def load(
    weights: Mapping[str, torch.Tensor],
    device: torch.device,
    mixed_precision: bool,
    *,
    channels: Sequence[int] = (16, 32, 48),
    mm_per_px: float = 0.1,
    finest_mm: float = FINEST_MM,
    coarsest_mm: float = 0.15,
    grain: float = 0.3,
    fewest: int = 5,
    confidence: float = 0.5,
    most: int = 10,
) -> GrainDetector:
    """Builds the detector from a bundle's weights and settings.

    Args:
        weights: the network's state dict, in any floating-point type.
        device: where it runs.
        mixed_precision: use half precision if the device is a GPU.
        channels: of the network's three levels.
        mm_per_px: the scale at which it looks.
        finest_mm: images with a smaller spacing are not looked at: they are scanned films.
        coarsest_mm: images with a larger spacing are not looked at.
        grain: the least sureness of a grain, 0..1.
        fewest: grains of a cluster, within one square centimetre.
        confidence: clusters below it are not proposed.
        most: the maximum number of clusters per image.

    Raises:
        RuntimeError: the weights do not fit this network.
    """
    fine, middle, coarse = channels
    network = GrainNet((fine, middle, coarse))
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    if can_fuse(device):
        network.eval()
        network.fuse()
    return GrainDetector(
        network,
        device,
        mixed_precision,
        mm_per_px=mm_per_px,
        finest_mm=finest_mm,
        coarsest_mm=coarsest_mm,
        grain=grain,
        fewest=fewest,
        confidence=confidence,
        most=most,
    )
