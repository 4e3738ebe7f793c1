"""Simulated calcifications follow the physics, their truth lies on them, and shams differ in nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from models.phantom.insertion import exposure_noise, insert, noise_of, sham, stored, thickness_mm
from models.phantom.microcalcifications import Grain, GrainCluster, draw_grain_cluster

SIDE, MM = 600, 0.1


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
    pixels = tissue(noise=0.01)
    peaks = []
    for width in (0.15, 0.3, 0.6):
        shown = insert(pixels, ball(width), (300, 300), MM, np.random.default_rng(0))
        peaks.append(float((shown.pixels - stored(pixels))[298:303, 298:303].mean()) / width)
    unblurred = 1.5 * noise_of(pixels, MM) / exposure_noise(MM)
    assert peaks == sorted(peaks)
    assert peaks[0] < 0.3 * unblurred < 0.6 * unblurred < peaks[-1] < 1.1 * unblurred


def test_every_grain_is_marked_at_its_place_and_the_outline_contains_them_all() -> None:
    draw = np.random.default_rng(3)
    pixels, gains = tissue(), []
    for _ in range(5):
        cluster = draw_grain_cluster(draw)
        found = insert(pixels, cluster, (310, 290), MM, draw)
        assert len(found.grains) == len(cluster.grains)
        assert found.cluster is not None
        outline = found.cluster.full(pixels.shape)
        gained = found.pixels - stored(pixels)
        for mask in found.grains:
            assert outline[mask.box.slices][mask.crop].all()
            gains.append(gained[mask.box.slices][mask.crop].mean())
    assert np.mean(np.array(gains) > 0) > 0.9  # the noise behind a grain can hide a faint one
    assert np.mean(gains) > 2 * noise_of(pixels, MM)


def test_outside_the_cluster_a_picture_equals_its_sham() -> None:
    """So that no trace of the insertion can be learned."""
    pixels = tissue()
    draw = np.random.default_rng(1)
    found, plain = insert(pixels, ball(0.4), (300, 300), MM, draw), sham(pixels)
    assert np.array_equal(found.pixels[:264], plain.pixels[:264])
    assert np.array_equal(found.pixels[:, 336:], plain.pixels[:, 336:])
    assert (plain.grains, plain.cluster, plain.contrast) == ((), None, 0.0)
    assert noise_of(found.pixels, MM) == pytest.approx(noise_of(plain.pixels, MM), rel=0.02)


@pytest.mark.parametrize("noise", [0.01, 0.02])
def test_grains_stand_out_of_the_noise_by_the_quanta_and_not_by_the_display(noise: float) -> None:
    """The same grain has the same contrast to noise however the picture is displayed."""
    pixels = tissue(noise=noise)
    draws = [insert(pixels, ball(0.4), (300, 300), MM, np.random.default_rng(seed)) for seed in range(20)]
    gained = np.mean([shown.pixels - stored(pixels) for shown in draws], axis=0)
    assert draws[0].contrast == pytest.approx(gained.max() / noise_of(pixels, MM), rel=0.2)
    assert 10 < draws[0].contrast < 30


@pytest.mark.parametrize("smoothed_px", [0.4, 0.6, 0.8])
def test_grains_are_not_fainter_because_the_noise_between_neighbouring_pixels_was_smoothed_away(
    smoothed_px: float,
) -> None:
    """As vendors' processing and coarser copies do."""
    rough = tissue(noise=0.02)
    smooth = cv2.GaussianBlur(rough, (0, 0), smoothed_px)
    gained = [
        (insert(pixels, ball(0.4), (300, 300), MM, np.random.default_rng(0)).pixels - stored(pixels)).max()
        for pixels in (rough, smooth)
    ]
    assert gained[1] > 0.4 * gained[0]


def test_white_noise_is_measured_as_it_is() -> None:
    assert noise_of(tissue(noise=0.02), MM) == pytest.approx(0.02, rel=0.05)


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
