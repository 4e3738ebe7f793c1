"""Simulated calcifications follow the physics, their truth lies on them, and shams differ in nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.phantom.insertion import grey_per_log_exposure, insert, noise_of, sham, stored, thickness_mm
from models.phantom.microcalcifications import Grain, GrainCluster, draw_grain_cluster

SIDE, MM = 600, 0.1
GAIN = 0.3


def tissue(seed: int = 0, noise: float = 0.01) -> NDArray[np.float32]:
    """Grey values that rise from fat to gland, with noise."""
    draw = np.random.default_rng(seed)
    ramp = np.linspace(0.2, 0.7, SIDE)[None, :]
    return np.asarray(ramp + noise * draw.standard_normal((SIDE, SIDE)), dtype=np.float32).clip(0, 1)


def ball(width: float, attenuation: float = 1.5) -> GrainCluster:
    middle = np.zeros((1, 2))
    return GrainCluster("punctate", "grouped", attenuation, (Grain(middle, middle, np.array([width])),))


@pytest.mark.parametrize("width", [0.15, 0.3, 0.8])
def test_the_path_lengths_through_a_ball_sum_to_its_volume(width: float) -> None:
    (grain,) = ball(width).grains
    volume = thickness_mm(grain, (50, 50), MM)[0].sum() * MM**2
    assert volume == pytest.approx(np.pi / 6 * width**3, rel=0.05)


def test_a_grain_is_brighter_by_its_attenuation_and_blur_dims_smaller_grains_more() -> None:
    pixels = tissue(noise=0.0)
    peaks = []
    for width in (0.15, 0.3, 0.6):
        shown = insert(pixels, GAIN, ball(width), (300, 300), MM, np.random.default_rng(0))
        peaks.append(float((shown.pixels - stored(pixels))[295:306, 295:306].max()) / width)
    unblurred = 1.5 * GAIN
    assert peaks == sorted(peaks)
    assert peaks[0] < 0.5 * unblurred < 0.8 * unblurred < peaks[-1]


def test_every_grain_is_marked_at_its_place_and_the_outline_contains_them_all() -> None:
    draw = np.random.default_rng(3)
    pixels = tissue(noise=0.002)
    for _ in range(5):
        cluster = draw_grain_cluster(draw)
        found = insert(pixels, GAIN, cluster, (310, 290), MM, draw)
        assert len(found.grains) == len(cluster.grains)
        assert found.cluster is not None
        outline = found.cluster.full(pixels.shape)
        gained = found.pixels - stored(pixels)
        for mask in found.grains:
            assert outline[mask.box.slices][mask.crop].all()
            assert gained[mask.box.slices][mask.crop].mean() > 5 * abs(gained[:100].mean())


def test_outside_the_cluster_a_picture_equals_its_sham() -> None:
    """So that no trace of the insertion can be learned."""
    pixels = tissue()
    draw = np.random.default_rng(1)
    found, plain = insert(pixels, GAIN, ball(0.4), (300, 300), MM, draw), sham(pixels)
    assert np.array_equal(found.pixels[:264], plain.pixels[:264])
    assert np.array_equal(found.pixels[:, 336:], plain.pixels[:, 336:])
    assert (plain.grains, plain.cluster, plain.contrast) == ((), None, 0.0)
    assert noise_of(found.pixels) == pytest.approx(noise_of(plain.pixels), rel=0.02)


def test_contrast_is_in_units_of_the_noise() -> None:
    contrasts = [
        insert(tissue(noise=noise), GAIN, ball(0.4), (300, 300), MM, np.random.default_rng(0)).contrast
        for noise in (0.01, 0.02)
    ]
    assert contrasts[0] == pytest.approx(2 * contrasts[1], rel=0.1)


def test_sizes_and_numbers_of_grains_are_as_in_the_literature() -> None:
    draw = np.random.default_rng(0)
    clusters = [draw_grain_cluster(draw) for _ in range(400)]
    counts = [len(cluster.grains) for cluster in clusters]
    punctate = [g.widths[0] for c in clusters if c.morphology == "punctate" for g in c.grains]
    assert (min(counts), max(counts)) == (5, 40)
    assert 11 < np.mean(counts) < 17
    assert (min(punctate), max(punctate)) >= (0.1, 0.5)
    assert max(punctate) <= 1.0
    assert np.median(punctate) == pytest.approx(0.3, abs=0.02)
    assert {c.morphology for c in clusters} == {"punctate", "fine pleomorphic", "fine linear branching"}
    assert np.mean([c.distribution == "segmental" for c in clusters]) == pytest.approx(0.35, abs=0.06)


def test_grey_values_per_exposure_follow_from_the_range_of_the_breast_and_not_from_the_air() -> None:
    """Twice the contrast of the display makes grains twice as bright."""
    pixels = tissue(noise=0.0)
    breast = np.ones(pixels.shape, dtype=np.bool_)
    breast[:200] = False
    plain = grey_per_log_exposure(pixels, breast)
    pixels[:200] = 0.0
    assert grey_per_log_exposure(pixels, breast) == plain
    assert grey_per_log_exposure(pixels / 2, breast) == pytest.approx(plain / 2)
