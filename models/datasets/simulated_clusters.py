"""Simulated clusters of microcalcifications in real breasts.

The folder is CDD-CESM's (`--data simulated-clusters:FOLDER`). Its native images without calcifications get clusters
(models/phantom/insertion.py). Each image is there several times, each time with another cluster at another place, and
once as a sham: stored alike, without a cluster. All of these are of one patient, so that patients, and not insertions,
are split and resampled. What is drawn follows from the image's name and the number of the insertion alone: the set is
the same on every machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.anatomy.breast import breast_mask
from models.anatomy.film import with_spacing
from models.datasets.case import Case, Cases, DatasetError, Lesion
from models.datasets.cdd_cesm import read_without_calcifications
from models.phantom.insertion import Inserted, insert, sham
from models.phantom.microcalcifications import GrainCluster, draw_grain_cluster
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind

SPACING_MM = 0.1
"""Of CDD-CESM's native images, which state none."""
PER_IMAGE = 4
"""Clusters per image, each in a picture of its own."""
_SKIN_MM = 8.0
"""A cluster's grains lie at least so far inside the breast's outline."""
_TRIES = 50


def read_simulated_clusters(folder: Path) -> Cases:
    """The pictures of the set: `PER_IMAGE` with a cluster and one sham per image.

    Raises:
        DatasetError: see `models.datasets.cdd_cesm.read_cdd_cesm`.
    """
    found = []
    for base in read_without_calcifications(folder):
        found += [_case(base, number) for number in range(1, PER_IMAGE + 1)]
        found.append(_case(base, None))
    return Cases(tuple(found), ())


def inserted_into(image: Mammogram, name: str, number: int | None) -> Inserted:
    """The image of this name with its cluster of this number, or (None) as a sham."""
    if number is None:
        return sham(image.pixels)
    draw = draws_of(name, number)
    breast = breast_mask(image.pixels)
    depth = depth_in(breast)
    for _ in range(_TRIES):
        cluster = draw_grain_cluster(draw)
        centre = place_of(cluster, depth, draw)
        if centre is not None:
            return insert(image.pixels, cluster, centre, SPACING_MM, draw)
    raise DatasetError(f"No cluster fits into the breast of {name}. Leave the image out of the folder.")


def draws_of(name: str, number: int) -> np.random.Generator:
    """Random numbers that follow from a name and a number."""
    return np.random.default_rng(np.frombuffer(hashlib.sha256(f"{name} {number}".encode()).digest(), dtype=np.uint32))


def depth_in(breast: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How far each pixel lies inside the breast, in pixels; 0 outside."""
    depth = cv2.distanceTransform(np.pad(breast.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.asarray(depth, dtype=np.float32)


def place_of(cluster: GrainCluster, depth: NDArray[np.float32], draw: np.random.Generator) -> tuple[int, int] | None:
    """A place by chance (row, column) whose surroundings hold the cluster inside the breast; None where none does."""
    reach = int(np.ceil(cluster.reach_mm / SPACING_MM)) + 10
    free = depth > (cluster.reach_mm + _SKIN_MM) / SPACING_MM
    free[:reach], free[-reach:], free[:, :reach], free[:, -reach:] = False, False, False, False
    places = np.flatnonzero(free)
    if not places.size:
        return None
    row, column = divmod(int(places[int(draw.integers(places.size))]), depth.shape[1])
    return row, column


def _case(base: Case, number: int | None) -> Case:
    kinds = frozenset() if number is None else frozenset({FindingKind.CALCIFICATION})

    def read() -> Mammogram:
        image = with_spacing(base.read(), SPACING_MM)
        return replace(image, pixels=inserted_into(image, base.name, number).pixels)

    def read_lesions(_: Mammogram) -> tuple[Lesion, ...]:
        cluster = inserted_into(with_spacing(base.read(), SPACING_MM), base.name, number).cluster
        return () if cluster is None else (Lesion(cluster, True, FindingKind.CALCIFICATION),)

    return replace(
        base,
        name=f"{base.name}-sham" if number is None else f"{base.name}-cluster-{number}",
        dataset="simulated-clusters",
        pathology=None,
        birads=None,
        marked_up=True,
        label_is_fair=False,
        read=read,
        read_lesions=read_lesions,
        kinds=kinds,
        made_from=base.name,
    )
