"""From marked grains to clusters: at least five grains within one square centimetre (ACR BI-RADS Atlas: a group)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

RADIUS_MM = 5.64
"""Of a circle of one square centimetre."""
_MOST_GRAINS = 3000
"""More marks than this are no grains: the surest are looked at."""
MARGIN_MM = 1.0
"""A cluster's box leaves this much beside its outermost grains."""


@dataclass(frozen=True)
class FoundCluster:
    """A cluster of marked grains.

    Attributes:
        confidence: the highest threshold at which it still is one: so many grains within a square centimetre, round one
            of them, are at least so sure.
        left, top, right, bottom: of its box, in pixels of the picture of marks.
        grains: how many grains it has.
    """

    confidence: float
    left: float
    top: float
    right: float
    bottom: float
    grains: int


def peaks_of(marks: NDArray[np.float32], least: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The grains in a picture of marks (rows × columns, 0..1): local maxima of at least `least`.

    Returns:
        Their places, n × 2 (row, column), and how sure each is, n.
    """
    highest = cv2.dilate(marks, np.ones((3, 3), dtype=np.uint8))
    top = ((marks >= least) & (marks == highest)).astype(np.uint8)
    # Neighbouring pixels that are equally sure are one grain.
    _, labels, _, centres = cv2.connectedComponentsWithStats(top, connectivity=8)
    labelled = np.flatnonzero(labels)
    first = labelled[np.unique(labels.ravel()[labelled], return_index=True)[1]]
    places = np.round(centres[1:, ::-1]).astype(np.int64)
    return places, marks.ravel()[first]


def clusters_of(
    places: NDArray[np.int64], sureness: NDArray[np.float32], fewest: int, mm_per_px: float
) -> list[FoundCluster]:
    """The clusters among grains, the surest first.

    A grain with at least `fewest` grains (itself among them) in the square centimetre round it makes them one cluster;
    clusters that share a grain are one (DBSCAN, Ester et al., KDD 1996).

    Args:
        places: n × 2, row and column in pixels.
        sureness: n, 0..1.
        fewest: grains of a cluster.
        mm_per_px: of the pixels.
    """
    surest = np.argsort(-sureness, kind="stable")[:_MOST_GRAINS]
    places, sureness = places[surest], sureness[surest]
    if len(places) < fewest:
        return []
    tree = cKDTree(places * mm_per_px)
    near = [np.array(found) for found in tree.query_ball_point(places * mm_per_px, RADIUS_MM)]
    full = np.array([len(found) >= fewest for found in near])
    # A circle round a grain is full as long as that grain and `fewest` in all are marked.
    fifth = np.array([np.sort(sureness[found])[-fewest] if len(found) >= fewest else 0.0 for found in near])
    confidence = np.minimum(fifth, sureness)
    pairs = tree.query_pairs(RADIUS_MM, output_type="ndarray")
    pairs = pairs[full[pairs].all(axis=1)]
    size = (len(places), len(places))
    _, label = connected_components(coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), size), directed=False)
    found = []
    for number in np.unique(label[full]):
        centres = np.flatnonzero(full & (label == number))
        members = np.unique(np.concatenate([near[centre] for centre in centres]))
        found.append(_cluster(places[members], float(confidence[centres].max()), mm_per_px))
    return sorted(found, key=lambda cluster: -cluster.confidence)


def _cluster(places: NDArray[np.int64], confidence: float, mm_per_px: float) -> FoundCluster:
    margin = MARGIN_MM / mm_per_px
    top, left = places.min(axis=0) - margin
    bottom, right = places.max(axis=0) + 1 + margin
    return FoundCluster(confidence, float(left), float(top), float(right), float(bottom), len(places))
