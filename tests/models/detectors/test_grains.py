"""Calcifications are detected in images with small pixels, tile by tile, as in the whole breast at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.detectors.both import BothDetectors
from models.detectors.grain_net import CONTEXT_PX, GrainNet, blurring, channels_of, channels_together
from models.detectors.grains import TILE_PX, GrainDetector, load
from models.framing import Frame
from models.prepared import fold_norms
from models.runner import Runner
from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind
from models.types.region import Box

CPU = Runner(torch.device("cpu"))


class Bright(GrainNet):
    """Marks pixels that are brighter than their surroundings."""

    def inner(self, pictures: torch.Tensor) -> torch.Tensor:
        return 20 * (pictures[:, 0, CONTEXT_PX:-CONTEXT_PX, CONTEXT_PX:-CONTEXT_PX] - 0.68)


def detector(confidence: float = 0.5) -> GrainDetector:
    settings = {"mm_per_px": 0.1, "coarsest_mm": 0.15, "grain": 0.3, "fewest": 5, "most": 10}
    return GrainDetector(Bright(), CPU, confidence=confidence, **settings)


def breast(grains: Sequence[tuple[int, int]], rows: int = 900, columns: int = 700) -> NDArray[np.float32]:
    y, x = np.mgrid[:rows, :columns]
    inside = ((y - rows / 2) / (rows * 0.45)) ** 2 + (x / (columns * 0.85)) ** 2 < 1
    pixels = np.where(
        inside, 0.2 + 0.5 * x / columns + 0.01 * np.random.default_rng(0).standard_normal((rows, columns)), 0.0
    )
    for row, column in grains:
        pixels[row : row + 2, column : column + 2] = 0.9
    return pixels.astype(np.float32)


CLUSTER = [(500 + 12 * row, 500 + 10 * column) for row in range(3) for column in range(3)]
"""Across the corner of four tiles of the breast's frame."""


def test_a_cluster_is_found_at_its_place_even_across_tiles() -> None:
    (found,) = detector().detect([Mammogram(breast(CLUSTER), (0.1, 0.1))])
    assert [(each.kind, each.confidence > 0.5) for each in found] == [(FindingKind.CALCIFICATION, True)]
    rows, columns = zip(*CLUSTER, strict=True)
    expected = (min(rows) - 10, min(columns) - 10, max(rows) + 12, max(columns) + 12)
    box = found[0].box
    assert (box.top, box.left, box.bottom, box.right) == pytest.approx(expected, abs=3)


def test_single_grains_far_apart_are_not_a_cluster() -> None:
    far = [(200, 100), (400, 100), (600, 100), (300, 300), (600, 300)]
    assert detector().detect([Mammogram(breast(far), (0.1, 0.1))]) == [()]


@pytest.mark.parametrize(
    ("mm", "film"), [((0.2, 0.2), False), ((0.09, 0.2), None), ((0.042, 0.042), True), ((0.1, 0.1), True)]
)
def test_images_with_pixels_too_coarse_for_calcifications_and_scanned_films_are_skipped(
    mm: tuple[float, float], film: bool | None
) -> None:
    image = Mammogram(breast(CLUSTER), mm, film=film)
    assert not detector().sees(image)
    assert detector().detect([image]) == [()]
    with pytest.raises(ValueError, match="without a spacing"):
        detector().sees(Mammogram(breast(CLUSTER)))


@pytest.mark.parametrize("mm", [0.0389, 0.0476, 0.05, 0.15])
@pytest.mark.parametrize("film", [False, None])
def test_magnified_views_and_detectors_of_any_fine_pixels_are_looked_at(mm: float, film: bool | None) -> None:
    """A 0.07 mm detector's view magnified 1.8 times, and a 0.05 mm detector's with a factor of 1.05."""
    assert detector().sees(Mammogram(breast(CLUSTER), (mm, mm), film=film))


def test_tiles_of_a_larger_picture_are_marked_as_single_tiles() -> None:
    """The real network with its borders: marks in a tile depend on nothing outside it."""
    torch.manual_seed(0)
    network = GrainNet((4, 6, 8)).eval()
    torch.nn.init.constant_(network.head.bias, 0.0)
    made = load(network.state_dict(), CPU, channels=(4, 6, 8))
    greys = np.random.default_rng(0).random((TILE_PX + 200, 160), dtype=np.float32)
    large = Frame(greys, Box(0, 0, *greys.shape), 1.0, 0, 0)
    small = Frame(greys[: TILE_PX + CONTEXT_PX], Box(0, 0, TILE_PX + CONTEXT_PX, 160), 1.0, 0, 0)
    whole, upper = made.marks([large, small])
    assert np.allclose(whole[:TILE_PX], upper[:TILE_PX], atol=2e-3)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("size", [(96, 68), (68, 120)])
def test_the_inner_part_of_a_picture_is_marked_as_with_the_whole_picture(fused: bool, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = GrainNet((4, 6, 8)).eval().requires_grad_(False)
    if fused:
        fold_norms(network)
        network.fuse()
    pictures = torch.randn(1, 2, *size)
    with torch.inference_mode():
        whole = network(pictures)[:, CONTEXT_PX:-CONTEXT_PX, CONTEXT_PX:-CONTEXT_PX]
        torch.testing.assert_close(network.inner(pictures), whole, atol=1e-5, rtol=1e-4)


def test_a_gpu_s_processor_shows_the_network_the_same_as_the_cpu_does() -> None:
    """Tiles with air, without any, and of nothing but air; also under autocast."""
    side, draw = 160, np.random.default_rng(0)
    tiles = np.stack([draw.random((side, side), dtype=np.float32) * 0.1 + 0.3 for _ in range(5)])
    tiles[1, 40:] = tiles[2, :, :50] = tiles[3] = 0
    tiles[4, 20:23, 20:23] = 0
    wanted = np.stack([channels_of(tile, 0.1) for tile in tiles])
    for half in (False, True):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            found = channels_together(torch.from_numpy(tiles), blurring(side, 0.1))
        assert found.dtype == torch.float32
        assert np.allclose(found.numpy(), wanted, atol=1e-4)


def test_air_is_not_looked_at_and_the_breast_is_marked_as_with_it() -> None:
    torch.manual_seed(0)
    network = GrainNet((4, 6, 8)).eval().requires_grad_(False)
    torch.nn.init.constant_(network.head.bias, 0.0)
    made = load(network.state_dict(), CPU, channels=(4, 6, 8))
    greys = np.zeros((TILE_PX, TILE_PX), dtype=np.float32)
    greys[30:91, 45:300] = np.random.default_rng(0).random((61, 255))
    seen = channels_of(np.pad(greys, CONTEXT_PX), 0.1)
    with torch.inference_mode():
        whole = torch.sigmoid(network(torch.from_numpy(seen[None])))[0, CONTEXT_PX:-CONTEXT_PX, CONTEXT_PX:-CONTEXT_PX]
    marks = made.marks([Frame(greys, Box(0, 0, *greys.shape), 1.0, 0, 0)])[0]
    assert np.allclose(marks, whole.numpy() * (greys > 0), atol=1e-5)


class Breast:
    """Detects a mass and what it classifies as a calcification."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        found = (
            Detection(Box(10, 10, 60, 60), FindingKind.MASS, 0.9),
            Detection(Box(90, 90, 99, 99), FindingKind.CALCIFICATION, 0.3),
        )
        return [found for _ in images]


def test_calcifications_come_from_the_grain_detector_or_for_coarse_pixels_from_the_breast_detector() -> None:
    both = BothDetectors(Breast(), detector(), (0.5, 0.5))
    fine, coarse = both.detect([Mammogram(breast(CLUSTER), (mm, mm)) for mm in (0.1, 0.2)])
    assert [found.kind for found in coarse] == [FindingKind.MASS, FindingKind.CALCIFICATION]
    assert sorted(found.kind for found in fine) == [FindingKind.CALCIFICATION, FindingKind.MASS]
    assert Box(90, 90, 99, 99) not in [found.box for found in fine]
    assert [found.confidence for found in fine] == sorted((found.confidence for found in fine), reverse=True)


@pytest.mark.parametrize("thresholds", [(0.083, 0.611), (0.3, 0.3), (0.6, 0.1)])
def test_both_detectors_show_from_the_same_confidence_on(thresholds: tuple[float, float]) -> None:
    """So findings of both can be ranked together, in results and in the curves of an evaluation."""
    image = Mammogram(breast(CLUSTER), (0.1, 0.1))
    (alone,) = detector().detect([image])[0]
    found = BothDetectors(Breast(), detector(), thresholds).detect([image])[0]
    (cluster,) = (each for each in found if each.kind is FindingKind.CALCIFICATION)
    of_breast, of_grains = thresholds
    assert (cluster.confidence >= of_breast) == (alone.confidence >= of_grains)
    assert cluster.confidence == pytest.approx(alone.confidence ** (np.log(of_breast) / np.log(of_grains)))
