"""Finds clusters of microcalcifications: the breast at native resolution in, boxes of clusters out.

The breast is looked at in tiles of one size that overlap, air left out; a network marks the grains (`grain_net.py`),
and marked grains that lie close are a cluster (`clusters.py`). Images with coarser pixels than calcifications need, and
scanned films, are not looked at: dust and scratches on films look like grains to a network that learned from digital
images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.detectors.clusters import clusters_of, peaks_of
from models.detectors.grain_net import CONTEXT_PX, STRIDE, GrainNet, blurring, channels_of, channels_together
from models.framing import Frame, scaled_frame, spacing_of
from models.runner import Runner
from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind
from models.types.region import Box

TILE_PX = 512
_AT_ONCE = 32
"""Tiles that go through the network together."""
_IMAGES_AT_ONCE = 8
"""Images whose tiles do: their frames at native resolution take main memory."""


def shows_calcifications(image: Mammogram, coarsest_mm: float) -> bool:
    """Whether the image's pixels are fine enough to show calcifications, and it is not known to be a scanned film.

    Raises:
        ValueError: the image has no spacing.
    """
    spacing = spacing_of(image)
    return not image.film and max(spacing) <= coarsest_mm


class GrainDetector:
    """Clusters of microcalcifications. See `models.protocols.Detector`."""

    def __init__(
        self,
        network: GrainNet,
        runner: Runner,
        *,
        mm_per_px: float,
        coarsest_mm: float,
        grain: float,
        fewest: int,
        confidence: float,
        most: int,
    ) -> None:
        runner.place(network)
        self._network, self._runner = network, runner
        self._run = runner.recorded(self._sureness, network)
        self._blur = blurring(TILE_PX + 2 * CONTEXT_PX, mm_per_px).to(runner.device)
        self._mm_per_px, self._coarsest_mm = mm_per_px, coarsest_mm
        self._grain, self._fewest, self._confidence, self._most = grain, fewest, confidence, most

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        """Clusters of each image, the surest first; see the protocol.

        Raises:
            ValueError: an image has no spacing.
        """
        seen = [number for number, image in enumerate(images) if self.sees(image)]
        found: list[tuple[Detection, ...]] = [()] * len(images)
        for batch in self._runner.batches([None] * len(seen), _IMAGES_AT_ONCE):
            numbers = [seen[place] for place in batch]
            frames = [scaled_frame(images[number], self._mm_per_px) for number in numbers]
            for number, shown, marks in zip(numbers, frames, self.marks(frames), strict=True):
                found[number] = self._clusters(shown, marks)
        return found

    def sees(self, image: Mammogram) -> bool:
        """Whether it looks at such an image; see `shows_calcifications`."""
        return shows_calcifications(image, self._coarsest_mm)

    def _clusters(self, shown: Frame, marks: NDArray[np.float32]) -> tuple[Detection, ...]:
        places, sureness = peaks_of(marks, min(self._grain, self._confidence))
        found = []
        for cluster in clusters_of(places, sureness, self._fewest, self._mm_per_px):
            box = shown.to_source(cluster.left, cluster.top, cluster.right, cluster.bottom)
            if cluster.confidence >= self._confidence and box is not None:
                found.append(Detection(box, FindingKind.CALCIFICATION, min(1.0, cluster.confidence)))
        return tuple(found[: self._most])

    def marks(self, frames: Sequence[Frame]) -> list[NDArray[np.float32]]:
        """How sure the network is of a grain in each pixel of each frame, 0..1."""
        padded = [np.pad(shown.pixels, (CONTEXT_PX, TILE_PX + CONTEXT_PX)) for shown in frames]
        marks = [np.zeros([side + TILE_PX for side in shown.pixels.shape], dtype=np.float32) for shown in frames]
        tiles = [_Tile(number, *corner) for number, shown in enumerate(frames) for corner in _corners(shown)]
        for batch in self._runner.batches([None] * len(tiles), _AT_ONCE):
            some = [tiles[number] for number in batch]
            shown = [padded[tile.frame][tile.with_context] for tile in some]
            if self._runner.together:  # only tiles of one size can be
                parts, found = [_WHOLE_TILE] * len(some), self._runner.run(self._sureness_together, shown)
            else:
                parts = [_needed(frames[tile.frame].pixels[tile.inner] > 0) for tile in some]
                found = self._runner.run(
                    self._run, [self._seen(tile, part) for tile, part in zip(shown, parts, strict=True)]
                )
            for tile, part, sure in zip(some, parts, found, strict=True):
                marks[tile.frame][tile.part(part)] = sure.numpy()
        return [
            marked[: shown.pixels.shape[0], : shown.pixels.shape[1]] * (shown.pixels > 0)
            for marked, shown in zip(marks, frames, strict=True)
        ]

    def _seen(self, tile: NDArray[np.float32], part: Box) -> NDArray[np.float32]:
        """What the network sees of a part of a tile, with its surroundings."""
        rows, columns = slice(part.top, part.bottom + 2 * CONTEXT_PX), slice(part.left, part.right + 2 * CONTEXT_PX)
        return channels_of(tile, self._mm_per_px)[:, rows, columns]

    def _sureness_together(self, tiles: torch.Tensor) -> torch.Tensor:
        return self._run(channels_together(tiles, self._blur))

    def _sureness(self, tiles: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self._network.inner(tiles).float())


@dataclass(frozen=True)
class _Tile:
    """A square of `TILE_PX` of a frame, by the frame's number and its upper left corner."""

    frame: int
    row: int
    column: int

    @property
    def inner(self) -> tuple[slice, slice]:
        return slice(self.row, self.row + TILE_PX), slice(self.column, self.column + TILE_PX)

    @property
    def with_context(self) -> tuple[slice, slice]:
        """The same with its surroundings, in the padded frame."""
        side = TILE_PX + 2 * CONTEXT_PX
        return slice(self.row, self.row + side), slice(self.column, self.column + side)

    def part(self, part: Box) -> tuple[slice, slice]:
        """A part of the tile, in the frame."""
        top, left = self.row + part.top, self.column + part.left
        return slice(top, top + part.height), slice(left, left + part.width)


_WHOLE_TILE = Box(0, 0, TILE_PX, TILE_PX)


def _corners(shown: Frame) -> list[tuple[int, int]]:
    """Of the tiles of a frame that are not only air."""
    rows, columns = shown.pixels.shape
    breast = shown.pixels > 0
    return [
        (row, column)
        for row in range(0, rows, TILE_PX)
        for column in range(0, columns, TILE_PX)
        if breast[row : row + TILE_PX, column : column + TILE_PX].any()
    ]


def _needed(breast: NDArray[np.bool_]) -> Box:
    """The part of a tile that its breast lies in; its sides are multiples of `STRIDE`."""
    box = Box.around(breast)
    assert box is not None
    top, left = (side // STRIDE * STRIDE for side in (box.top, box.left))
    bottom, right = (-(-side // STRIDE) * STRIDE for side in (box.bottom, box.right))
    return Box(top, left, bottom, right)


def load(
    weights: Mapping[str, torch.Tensor],
    runner: Runner,
    *,
    channels: Sequence[int] = (16, 32, 48),
    mm_per_px: float = 0.1,
    coarsest_mm: float = 0.15,
    grain: float = 0.3,
    fewest: int = 5,
    confidence: float = 0.5,
    most: int = 10,
) -> GrainDetector:
    """Builds the detector from a bundle's weights and settings.

    Args:
        weights: the network's state dict, in any floating-point type.
        runner: how it is run.
        channels: of the network's three levels.
        mm_per_px: the scale at which it looks.
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
    runner.prepare(network)
    if runner.fuses:
        network.fuse()
    return GrainDetector(
        network,
        runner,
        mm_per_px=mm_per_px,
        coarsest_mm=coarsest_mm,
        grain=grain,
        fewest=fewest,
        confidence=confidence,
        most=most,
    )
