"""Three-dimensional lesions, so that both views of a breast show the same lesion.

Shapes and terms follow ACR BI-RADS, fifth edition (2013). A mass is an ellipsoid with a wavy surface; a malignant one
can also have spicules. De Sisternes et al. (Med Phys 42:1098, 2015) model masses similarly, from a Gaussian random
sphere and branching spicules. A cluster of calcifications is a set of grains: few round ones of similar size, or many
fine ones that differ in size and shape, along a segment (BI-RADS: fine pleomorphic, segmental).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from models.phantom.grid import Field, Grid
from models.types.reading import FindingKind
from models.types.region import Box

PhantomCategory = Literal["1", "2", "3", "4A", "4B", "4C", "5"]
"""A BI-RADS assessment category that a phantom's lesion, breast or exam can have."""

MASS_PER_MM = {False: 0.0802, True: 0.0875}
"""Attenuation by malignancy: benign masses that of gland, carcinomas slightly more (Johns & Yaffe 1987)."""
CALCIFICATION_PER_MM = 1.2
"""Attenuation of calcium salts in tissue, less than that of solid hydroxyapatite."""

_SPICULE_MM, _SPICULE_THICK_MM = 0.9, 8.0
_NARROWEST = 0.4
"""The least distance of a mass's surface from its centre, as a share of the ellipsoid's radius."""
_ROUND_CLUSTER_MM, _SEGMENT_MM = (16.0, 30.0), (18.0, 32.0)
_CLUSTER_MARGIN_MM = 1.5
"""The outline of a cluster has this distance from the outermost grains."""
_FINEST_MM = 0.1
"""Grains are drawn on pixels of at most this size, and averaged."""


@dataclass(frozen=True)
class LesionType:
    """The type of a lesion, in BI-RADS terms.

    Attributes:
        kind: mass or calcification.
        subtype: e.g. "irregular spiculated", "fine pleomorphic segmental".
        birads: the category of such a finding.
    """

    kind: FindingKind
    malignant: bool
    subtype: str
    birads: PhantomCategory


@dataclass(frozen=True, eq=False)
class Mass:
    """A mass around its centre; axes are (towards the nipple, lateral, up).

    Attributes:
        radii_mm: of the ellipsoid along the axes.
        waves, phases, heights: of its surface: radius = ellipsoid · (1 + Σ height · cos(wave · direction + phase)).
        spicules: n × 3 unit directions times length in mm, from the centre; none where it is not spiculated.
        softness_mm: standard deviation of the blur of its edge.
    """

    finding: LesionType
    radii_mm: NDArray[np.float64]
    waves: NDArray[np.float64]
    phases: NDArray[np.float64]
    heights: NDArray[np.float64]
    spicules: NDArray[np.float64]
    softness_mm: float

    def radius_mm(self, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The distance of its surface from its centre along unit vectors (… × 3)."""
        ellipsoid = 1 / np.sqrt(((directions / self.radii_mm) ** 2).sum(axis=-1))
        waves = (self.heights * np.cos(directions @ self.waves.T + self.phases)).sum(axis=-1)
        return np.asarray(ellipsoid * np.maximum(1 + waves, _NARROWEST))

    @cached_property
    def body_mm(self) -> float:
        """The largest distance of its body from its centre; spicules may extend farther."""
        evenly = _directions(np.random.default_rng(0), 2000)
        return float(self.radius_mm(evenly).max())

    @cached_property
    def reach_mm(self) -> float:
        """The largest distance of any part of it from its centre, spicules included."""
        return float(np.linalg.norm(self.spicules, axis=1).max(initial=self.body_mm)) + 3 * self.softness_mm


@dataclass(frozen=True, eq=False)
class Cluster:
    """A cluster of calcifications around its centre; axes as of a mass.

    Attributes:
        grains: n × 3 positions in mm.
        diameters_mm: of each grain.
        elongations: length over width of each grain, 1 is round.
        angles: of each grain in the image, radians.
    """

    finding: LesionType
    grains: NDArray[np.float64]
    diameters_mm: NDArray[np.float64]
    elongations: NDArray[np.float64]
    angles: NDArray[np.float64]

    @cached_property
    def body_mm(self) -> float:
        """The largest distance of its outline from its centre."""
        return float(np.linalg.norm(self.grains, axis=1).max()) + _CLUSTER_MARGIN_MM

    @cached_property
    def reach_mm(self) -> float:
        """The same as `body_mm`."""
        return self.body_mm


LesionBody = Mass | Cluster


@dataclass(frozen=True, eq=False)
class Projection:
    """A lesion in one view.

    Attributes:
        box: the pixels that it covers.
        attenuation_per_mm: of its material.
        thickness_mm: its thickness along the beam, box.height × box.width.
        outline: the outline that a careful reader would draw: a mass without its spicules, a cluster as a whole.
    """

    box: Box
    attenuation_per_mm: float
    thickness_mm: Field
    outline: NDArray[np.bool_]


@dataclass(frozen=True)
class _Patch:
    """The pixels around a lesion's centre in one view.

    Attributes:
        centre_mm: (row, column) of the lesion's centre from the patch's corner.
        vertical: see `breast.ViewShape.vertical`.
        size: rows and columns.
    """

    centre_mm: tuple[float, float]
    vertical: tuple[float, float]
    size: int
    spacing_mm: float


def draw_mass(rng: np.random.Generator, malignant: bool) -> Mass:
    """A circumscribed benign mass or an irregular malignant one, 8 to 24 mm across."""
    irregularity = rng.uniform(0.6, 1) if malignant else rng.uniform(0, 0.4)
    spiculated = irregularity > 0.7
    if not malignant:
        finding = LesionType(FindingKind.MASS, False, "oval circumscribed", "3" if irregularity > 0.12 else "2")
    elif spiculated:
        finding = LesionType(FindingKind.MASS, True, "irregular spiculated", "5")
    else:
        finding = LesionType(FindingKind.MASS, True, "irregular indistinct", "4C")
    count = 10
    waves = rng.normal(0, 1, (count, 3))
    waves *= (np.linspace(2, 13, count) / np.linalg.norm(waves, axis=1))[:, None]
    heights = 0.30 * irregularity * rng.uniform(0.4, 1, count) / np.linspace(1, 2.4, count)
    if not malignant:
        heights[4:] = 0  # only long waves: smooth lobes
    spicules = _directions(rng, int(rng.integers(18, 34)) if spiculated else 0)
    radius = rng.uniform(4.2, 11) if not malignant else rng.uniform(3.5, 7.5)
    return Mass(
        finding=finding,
        radii_mm=radius * np.array([1, *rng.uniform(0.66, 1, 2)]) if not malignant else np.full(3, radius),
        waves=waves,
        phases=rng.uniform(0, 2 * np.pi, count),
        heights=heights,
        spicules=spicules * (radius * rng.uniform(1.8, 3.4, len(spicules)))[:, None],
        softness_mm=0.3 if not malignant else 0.7,
    )


def draw_cluster(rng: np.random.Generator, malignant: bool) -> Cluster:
    """Round scattered grains (benign), or fine pleomorphic grains along a segment that points to the nipple."""
    if malignant:
        finding = LesionType(FindingKind.CALCIFICATION, True, "fine pleomorphic segmental", "4C")
        count = int(rng.integers(18, 36))
        length = rng.uniform(*_SEGMENT_MM)
        along = rng.uniform(-0.5, 0.5, count)
        across = rng.normal(0, 0.13, (count, 2)) * (0.6 - along)[:, None]  # narrower towards the nipple
        grains = length * np.column_stack([along, across])
        diameters, elongations = rng.uniform(0.2, 0.55, count), rng.uniform(1, 3.2, count)
    else:
        finding = LesionType(FindingKind.CALCIFICATION, False, "round scattered", "2")
        count = int(rng.integers(7, 14))
        grains = _directions(rng, count) * (rng.uniform(*_ROUND_CLUSTER_MM) / 2 * rng.uniform(0.2, 1, count))[:, None]
        diameters, elongations = rng.uniform(0.6, 0.95, count), np.ones(count)
    return Cluster(finding, grains, diameters, elongations, rng.uniform(0, np.pi, count))


def project(body: LesionBody, centre_mm: tuple[float, float], vertical: tuple[float, float], grid: Grid) -> Projection:
    """The projection of the lesion in a view.

    Args:
        centre_mm: (row, column) in mm from the top and from the chest wall.
        vertical: see `breast.ViewShape.vertical`.

    Raises:
        ValueError: it would extend beyond the image.
    """
    reach = int(np.ceil(body.reach_mm / grid.spacing_mm)) + 3
    corner = [int(part / grid.spacing_mm) - reach for part in centre_mm]
    size = 2 * reach + 1
    if min(corner) < 0 or corner[0] + size > grid.shape[0] or corner[1] + size > grid.shape[1]:
        raise ValueError(f"A lesion at {centre_mm} mm does not fit into the image")
    in_patch = centre_mm[0] - corner[0] * grid.spacing_mm, centre_mm[1] - corner[1] * grid.spacing_mm
    patch = _Patch(in_patch, vertical, size, grid.spacing_mm)
    box = Box(corner[0], corner[1], corner[0] + size, corner[1] + size)
    if isinstance(body, Mass):
        return Projection(box, MASS_PER_MM[body.finding.malignant], *_project_mass(body, patch))
    return Projection(box, CALCIFICATION_PER_MM, *_project_cluster(body, patch))


def _project_mass(mass: Mass, patch: _Patch) -> tuple[Field, NDArray[np.bool_]]:
    steps = (np.arange(patch.size) + 0.5) * patch.spacing_mm
    down, right = np.meshgrid(steps - patch.centre_mm[0], steps - patch.centre_mm[1], indexing="ij")
    distance = np.hypot(down, right) + 1e-6
    # The outline is the section of the surface with the image plane: star-shaped, and consistent between the views.
    directions = np.stack([right, down * patch.vertical[0], down * patch.vertical[1]], axis=-1) / distance[..., None]
    relative = distance / mass.radius_mm(directions)
    thickness = (2 * mass.radii_mm.mean() * np.sqrt(np.clip(1 - relative**2, 0, None))).astype(np.float32)
    soft = cv2.GaussianBlur(thickness, (0, 0), max(mass.softness_mm / patch.spacing_mm, 0.1))
    return np.maximum(soft, _spicules(mass, patch), dtype=np.float32), relative <= 1


def _spicules(mass: Mass, patch: _Patch) -> Field:
    """Lines from the centre of the mass that become thinner towards their ends."""
    canvas = np.zeros((patch.size, patch.size), dtype=np.uint8)
    stops = np.linspace(0, 1, 8)
    for right, lateral, up in mass.spicules:
        down = patch.vertical[0] * lateral + patch.vertical[1] * up
        across = np.column_stack([patch.centre_mm[1] + stops * right, patch.centre_mm[0] + stops * down])
        points = [(round(x), round(y)) for x, y in across / patch.spacing_mm * 16]
        for stop, start, end in zip(stops[:-1], points[:-1], points[1:], strict=True):
            width = max(1, round(_SPICULE_MM * (1.4 - stop) / patch.spacing_mm))
            cv2.line(canvas, start, end, round(255 * (1 - 0.8 * stop)), width, cv2.LINE_AA, shift=4)
    soft = cv2.GaussianBlur(canvas, (0, 0), max(0.25 / patch.spacing_mm, 0.3))
    return np.asarray(soft, dtype=np.float32) * np.float32(_SPICULE_THICK_MM / 255)


def _project_cluster(cluster: Cluster, patch: _Patch) -> tuple[Field, NDArray[np.bool_]]:
    rows_mm = patch.centre_mm[0] + cluster.grains[:, 1:] @ np.array(patch.vertical)
    columns_mm = patch.centre_mm[1] + cluster.grains[:, 0]
    thickness = np.zeros((patch.size, patch.size), dtype=np.float32)
    grains = zip(rows_mm, columns_mm, cluster.diameters_mm, cluster.elongations, cluster.angles, strict=True)
    for grain in grains:
        _add_grain(thickness, patch.spacing_mm, *grain)
    outline = np.zeros((patch.size, patch.size), dtype=np.uint8)
    hull = cv2.convexHull(np.floor(np.column_stack([columns_mm, rows_mm]) / patch.spacing_mm).astype(np.int32))
    cv2.fillConvexPoly(outline, hull, 1)
    margin = 2 * round(_CLUSTER_MARGIN_MM / patch.spacing_mm) + 1
    outline = np.asarray(cv2.dilate(outline, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (margin, margin))))
    return thickness, outline.astype(np.bool_)


def _add_grain(
    thickness: Field,
    spacing_mm: float,
    row_mm: float,
    column_mm: float,
    diameter: float,
    elongation: float,
    angle: float,
) -> None:
    """Adds an ellipsoid of calcium, averaged over each pixel that it covers."""
    finer = max(1, int(np.ceil(spacing_mm / _FINEST_MM)))
    reach = int(np.ceil(diameter * elongation / 2 / spacing_mm)) + 1
    size = 2 * reach + 1
    top, left = int(row_mm / spacing_mm) - reach, int(column_mm / spacing_mm) - reach
    steps = (np.arange(size * finer) + 0.5) * (spacing_mm / finer)
    down, right = steps[:, None] + top * spacing_mm - row_mm, steps[None, :] + left * spacing_mm - column_mm
    along = (np.cos(angle) * right + np.sin(angle) * down) / (diameter * elongation / 2)
    across = (np.cos(angle) * down - np.sin(angle) * right) / (diameter / 2)
    fine = diameter * np.sqrt(np.clip(1 - along**2 - across**2, 0, None))
    thickness[top : top + size, left : left + size] += fine.reshape(size, finer, size, finer).mean(axis=(1, 3))


def _directions(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Unit vectors (count × 3), uniformly distributed over the sphere."""
    vectors = rng.normal(0, 1, (count, 3))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
