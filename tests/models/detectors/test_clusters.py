"""Five or more marked grains in a square centimetre are a cluster, with the fifth highest confidence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.detectors.clusters import MARGIN_MM, clusters_of, peaks_of

MM = 0.1


def ring(count: int, radius_mm: float, middle: tuple[int, int] = (300, 300)) -> NDArray[np.int64]:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.round(np.column_stack((np.sin(angles), np.cos(angles))) * radius_mm / MM + middle).astype(np.int64)


def test_five_grains_in_a_square_centimetre_are_a_cluster_and_four_are_not() -> None:
    (found,) = clusters_of(ring(5, 2.0), np.full(5, 0.8, dtype=np.float32), 5, MM)
    assert found.grains == 5
    assert clusters_of(ring(4, 2.0), np.full(4, 0.8, dtype=np.float32), 5, MM) == []
    assert clusters_of(ring(5, 20.0), np.full(5, 0.8, dtype=np.float32), 5, MM) == []


def test_the_confidence_of_a_cluster_is_that_of_its_fifth_most_confident_grain() -> None:
    sureness = np.array([0.9, 0.3, 0.8, 0.7, 0.6, 0.95], dtype=np.float32)
    (found,) = clusters_of(ring(6, 1.5), sureness, 5, MM)
    assert found.confidence == pytest.approx(0.6)


def test_a_cluster_remains_at_any_threshold_below_its_confidence_and_at_none_above() -> None:
    draw = np.random.default_rng(0)
    places, sureness = draw.integers(0, 400, (60, 2)), draw.random(60).astype(np.float32)
    found = clusters_of(places, sureness, 5, MM)
    for at in (0.2, 0.4, 0.6):
        sure = sureness >= at
        again = clusters_of(places[sure], sureness[sure], 5, MM)
        assert bool(again) == any(cluster.confidence >= at for cluster in found)


def test_the_box_encloses_all_grains_and_a_margin() -> None:
    places = ring(8, 3.0)
    (found,) = clusters_of(places, np.full(8, 0.5, dtype=np.float32), 5, MM)
    margin = MARGIN_MM / MM
    assert (found.top, found.left) == tuple(places.min(axis=0) - margin)
    assert (found.bottom, found.right) == tuple(places.max(axis=0) + 1 + margin)


def test_separate_clusters_are_listed_in_order_of_confidence() -> None:
    places = np.concatenate((ring(6, 2.0), ring(6, 2.0, (900, 900))))
    sureness = np.repeat(np.array([0.4, 0.7], dtype=np.float32), 6)
    first, second = clusters_of(places, sureness, 5, MM)
    assert (first.confidence, second.confidence) == pytest.approx((0.7, 0.4))
    assert first.left > second.right


def test_a_grain_of_several_marked_pixels_is_a_single_peak() -> None:
    marks = np.zeros((40, 40), dtype=np.float32)
    marks[10:13, 10:13] = 0.6
    marks[11, 11] = 0.9
    marks[30:32, 20:22] = 0.5  # equally sure
    places, sureness = peaks_of(marks, 0.3)
    assert {tuple(place) for place in places.tolist()} == {(11, 11), (30, 20)}
    assert sorted(sureness.tolist()) == pytest.approx([0.5, 0.9])
    assert len(peaks_of(marks, 0.95)[0]) == 0
