"""Training pictures of the detector of microcalcifications: patches of real breasts, with and without clusters.

A patch with a cluster and one without go through the same steps (`models.phantom.insertion.stored` among them), so that
nothing but the grains tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.anatomy.breast import breast_mask
from models.anatomy.film import with_spacing
from models.datasets.case import Case
from models.datasets.simulated_clusters import depth_in, place_of
from models.detectors.grain_net import channels_of
from models.framing import mean_spacing_mm
from models.phantom.insertion import insert, stored
from models.phantom.microcalcifications import draw_grain_cluster
from models.training.kept import IN_MEMORY, Arrays, Kept
from models.types.mammogram import Mammogram
from models.types.region import Box

_ROOM_PX = 32
"""A crop reaches so much beyond its patch: the coarse structure that is taken out needs it."""
_GAMMA = 1.4
_TRIES = 20


@dataclass(frozen=True, eq=False)
class Background:
    """A breast without calcifications to put clusters into.

    Attributes:
        levels: rows × columns, its greys as integers, 0 to 255.
        depth: how far each pixel lies inside the breast, in pixels; 0 outside.
        dark, bright: the greys that become 0 and 1.
        spacing_mm: between pixels.
    """

    levels: NDArray[np.uint8]
    depth: NDArray[np.float32]
    dark: float
    bright: float
    spacing_mm: float


@dataclass(frozen=True, eq=False)
class Patch:
    """A training picture.

    Attributes:
        channels: 2 × rows × columns; see `models.detectors.grain_net.channels_of`.
        grains: rows × columns, which pixels belong to a grain.
    """

    channels: NDArray[np.float32]
    grains: NDArray[np.bool_]


def backgrounds(
    cases: Sequence[Case],
    mm_per_px: float,
    fine_enough: Callable[[Mammogram], bool],
    assumed_spacing_mm: float,
    workers: int,
    kept: Kept = IN_MEMORY,
) -> list[Background]:
    """The breasts of the cases in which nothing is to be found and whose pixels are fine enough, at one scale.

    Args:
        fine_enough: the detector's rule, of which images it looks at.
        kept: holds the breasts.

    Raises:
        DatasetError: a case cannot be read.
    """

    def made(case: Case) -> Arrays:
        image = with_spacing(case.read(), assumed_spacing_mm)
        if not fine_enough(image):
            return {}
        factor = mean_spacing_mm(image) / mm_per_px
        size = round(image.shape[1] * factor), round(image.shape[0] * factor)
        pixels = np.asarray(cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
        breast = breast_mask(pixels)
        if not breast.any():
            return {}
        levels = np.round(pixels.clip(0, 1) * 255).astype(np.uint8)
        return {"levels": levels, "depth": depth_in(breast), "ends": np.percentile(pixels[breast], (1.0, 99.7))}

    def background(case: Case) -> Background | None:
        arrays = kept.of(f"background/{case.dataset}/{case.name}", lambda: made(case))
        if not arrays:
            return None
        dark, bright = (float(end) for end in np.asarray(arrays["ends"], np.float64))
        levels, depth = np.asarray(arrays["levels"], np.uint8), np.asarray(arrays["depth"], np.float32)
        return Background(levels, depth, dark, bright, mm_per_px)

    without = [case for case in cases if case.marked_up and not case.kinds]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        return [found for found in pool.map(background, without) if found is not None]


def patch_of(background: Background, side: int, with_cluster: bool, draw: np.random.Generator) -> Patch:
    """A patch of `side` pixels of a breast, with (a part of) a simulated cluster or without one."""
    cluster = draw_grain_cluster(draw)
    centre = None
    for _ in range(_TRIES):
        centre = place_of(cluster, background.depth, draw)
        if centre is not None:
            break
        cluster = draw_grain_cluster(draw)
    if centre is None:
        return _without(background, _anywhere(background, draw), side, draw)
    if not with_cluster:
        return _without(background, centre, side, draw)
    reach = int(np.ceil(cluster.reach_mm / background.spacing_mm)) + 8 + side // 2 + _ROOM_PX
    crop = _crop(background.levels.shape, centre, reach)
    pixels = background.levels[crop.slices].astype(np.float32) / np.float32(255)
    within = centre[0] - crop.top, centre[1] - crop.left
    made = insert(pixels, cluster, within, background.spacing_mm, draw)
    grains = np.zeros(pixels.shape, dtype=np.bool_)
    for grain in made.grains:
        grains[grain.box.slices] |= grain.crop
    chosen = made.grains[int(draw.integers(len(made.grains)))].box
    middle = (chosen.top + chosen.bottom) // 2, (chosen.left + chosen.right) // 2
    return _finished(made.pixels, grains, background, crop, middle, side, draw)


def _without(background: Background, centre: tuple[int, int], side: int, draw: np.random.Generator) -> Patch:
    crop = _crop(background.levels.shape, centre, side + _ROOM_PX)
    pixels = stored(background.levels[crop.slices].astype(np.float32) / np.float32(255))
    within = centre[0] - crop.top, centre[1] - crop.left
    return _finished(pixels, np.zeros(pixels.shape, dtype=np.bool_), background, crop, within, side, draw)


def _finished(
    pixels: NDArray[np.float32],
    grains: NDArray[np.bool_],
    background: Background,
    crop: Box,
    middle: tuple[int, int],
    side: int,
    draw: np.random.Generator,
) -> Patch:
    """A patch round `middle`, moved, mirrored and turned by chance, in other light."""
    light = np.clip((pixels - background.dark) / (background.bright - background.dark), 0, 1)
    light = np.where(background.depth[crop.slices] > 0, light**_GAMMA ** draw.uniform(-1, 1), 0).astype(np.float32)
    channels = channels_of(light, background.spacing_mm)
    offset = draw.integers(-side // 3, side // 3 + 1, 2)
    top, left = (
        int(np.clip(at - side // 2 + moved, 0, max(0, length - side)))
        for at, moved, length in zip(middle, offset, pixels.shape, strict=True)
    )
    part = slice(top, top + side), slice(left, left + side)
    seen, marked = channels[:, *part], grains[part]
    missing = [(0, side - length) for length in marked.shape]
    seen, marked = np.pad(seen, ((0, 0), *missing)), np.pad(marked, missing)
    turns, mirrored = int(draw.integers(4)), bool(draw.random() < 0.5)
    seen, marked = np.rot90(seen, turns, (1, 2)), np.rot90(marked, turns)
    if mirrored:
        seen, marked = seen[..., ::-1], marked[:, ::-1]
    return Patch(np.ascontiguousarray(seen), np.ascontiguousarray(marked))


def _anywhere(background: Background, draw: np.random.Generator) -> tuple[int, int]:
    places = np.flatnonzero(background.depth)
    row, column = divmod(int(places[int(draw.integers(places.size))]), background.depth.shape[1])
    return row, column


def _crop(shape: tuple[int, ...], centre: tuple[int, int], reach: int) -> Box:
    """A part of the picture round a place, on the raster of JPEG's blocks of 8 × 8 pixels."""
    top, left = (max(0, (at - reach) // 8 * 8) for at in centre)
    bottom, right = (min(length, at + reach) for at, length in zip(centre, shape, strict=True))
    return Box(top, left, bottom, right)
