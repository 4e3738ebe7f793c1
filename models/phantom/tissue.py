"""The tissue of a breast (parenchyma, Cooper's ligaments, ducts, pectoral muscle) as millimetres of glandular tissue.

- Parenchyma: a power-law field (`power_law`), converted to a share of glandular tissue behind the nipple, away from the
  skin. The amount of dense tissue follows the density categories of ACR BI-RADS, fifth edition (2013): A almost
  entirely fatty, B scattered, C heterogeneously dense, D extremely dense.
- Cooper's ligaments: thin shells around compartments of fat, which project as a web of lines (Bakic et al., Med Phys
  29:2131, 2002; Pokrajac et al., Med Phys 39:2290, 2012). Here the web is the set of zero lines of smooth noise.
- Ducts: trees that branch from the nipple backwards (Bakic et al., Med Phys 30:1914, 2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import scipy.special
from numpy.typing import NDArray

from models.phantom.breast import ViewShape
from models.phantom.grid import Field, Grid, stream
from models.phantom.power_law import power_law_field

Density = Literal["A", "B", "C", "D"]
DENSITIES: tuple[Density, ...] = ("A", "B", "C", "D")

_DENSE_SHARE_BIAS = {"A": -1.35, "B": -0.7, "C": 0.15, "D": 1.3}
"""The offset, in standard deviations, that is added to the field before it is converted to a share."""
_WEBS = ((2.6, 1.6), (4.5, 2.6), (8.0, 3.6))
"""Ligaments: (size of the compartments in mm, glandular tissue of a line in mm)."""
_LIGAMENT_MM = 0.38
_RADIAL_STRETCH = 2.2
"""The length of compartments towards the nipple, relative to their width."""
_ARC_MM = 80.0
"""The distance from the nipple at which compartments have their nominal width; closer to it they are narrower."""
_MUSCLE_SHARE = 0.72
_STREAKED = 1.3
"""The length of the parenchyma's texture from front to back, relative to its width."""


@dataclass(frozen=True)
class TissueRecipe:
    """The parameters of a breast's tissue: equal recipes give equal tissue.

    Attributes:
        seed: of this breast; the texture of each view is derived from it.
    """

    density: Density
    seed: int


def glandular_mm(recipe: TissueRecipe, shape: ViewShape, grid: Grid, depth: Field, thickness: Field) -> Field:
    """Millimetres of the compressed thickness that are not fat, at each pixel (0 outside the breast).

    Args:
        depth: distance from the skin (`breast.depth_mm`).
        thickness: compressed thickness (`breast.thickness_mm`).
    """
    disc = _fibroglandular_disc(recipe, shape, grid, depth)
    texture = power_law_field(
        stream(recipe.seed, shape.view, "parenchyma"), grid.shape, (grid.spacing_mm, grid.spacing_mm / _STREAKED)
    )
    # Density is a property of the person: within the disc, the field's mean and deviation are the same in every view.
    mean = np.average(texture, weights=disc)
    texture = (texture - mean) / np.sqrt(np.average((texture - mean) ** 2, weights=disc))
    share = disc * scipy.special.expit(1.7 * (texture + np.float32(_DENSE_SHARE_BIAS[recipe.density])))
    strands = _ligaments(recipe, shape, grid) * (1 - 0.85 * share) + _ducts(recipe, shape, grid)
    # The field is also added where the share is 0 or 1: fat and gland are not entirely homogeneous.
    share = 0.76 * share + 0.06 + 0.045 * texture
    glandular = share * thickness + strands * np.clip(depth / 6, 0, 1)
    muscle = _muscle(recipe, shape, grid)
    glandular = glandular * (1 - muscle) + thickness * _MUSCLE_SHARE * muscle
    return np.asarray(np.clip(glandular, 0, thickness), dtype=np.float32)


def _fibroglandular_disc(recipe: TissueRecipe, shape: ViewShape, grid: Grid, depth: Field) -> Field:
    """0..1: the region of glandular tissue: behind the nipple, under the subcutaneous fat, in front of the chest
    wall."""
    rng = stream(recipe.seed, shape.view, "disc")
    border = power_law_field(rng, grid.shape, (grid.spacing_mm, grid.spacing_mm))
    rows, columns = grid.rows_mm() - np.float32(shape.nipple_row_mm), grid.columns_mm()
    nipple = np.float32(shape.breast.nipple_mm)
    near_nipple = np.exp(-((rows / 14) ** 2) - ((nipple - columns) / 26) ** 2)
    subcutaneous = np.float32(rng.uniform(6, 10)) * (1 - 0.9 * near_nipple)
    chest_wall = np.float32(rng.uniform(0.02, 0.14)) * nipple
    centre = np.float32(-0.07 * nipple)  # a little lateral, and up in MLO
    spread = np.float32(0.30 if recipe.density in "AB" else 0.42) * nipple + 0.45 * np.maximum(nipple - columns, 0)
    behind_nipple = scipy.special.expit((spread - np.abs(rows - centre) + 9 * border) / 6)
    under_fat = scipy.special.expit((depth - subcutaneous + 3 * border) / 1.6)
    before_chest_wall = scipy.special.expit(
        (columns - shape.muscle_edge_mm(grid.rows_mm()) - chest_wall + 7 * border) / 4
    )
    return np.asarray(behind_nipple * under_fat * before_chest_wall, dtype=np.float32)


def _ligaments(recipe: TissueRecipe, shape: ViewShape, grid: Grid) -> Field:
    """Lines between compartments of fat, elongated towards the nipple; glandular tissue in mm."""
    rows = grid.rows_mm() - np.float32(shape.nipple_row_mm)
    columns = np.float32(shape.breast.nipple_mm + 12) - grid.columns_mm()
    rays = np.hypot(rows, columns), np.arctan2(rows, columns) * np.float32(_ARC_MM)
    web = np.zeros(grid.shape, dtype=np.float32)
    for number, (compartment_mm, line_mm) in enumerate(_WEBS):
        rng = stream(recipe.seed, shape.view, "ligaments", number)
        smooth = _along_rays(rng, rays, compartment_mm)
        down, across = np.gradient(smooth, np.float32(grid.spacing_mm))
        away_mm = np.abs(smooth) / (np.hypot(down, across) + np.float32(1e-6))
        line = np.exp(-((away_mm / max(_LIGAMENT_MM, grid.spacing_mm / 2)) ** 2))
        intensity = np.clip(0.6 + 0.6 * _along_rays(rng, rays, 2 * compartment_mm), 0, 1.6)
        web += np.float32(line_mm) * line * intensity
    return web


def _along_rays(rng: np.random.Generator, rays: tuple[Field, Field], size_mm: float) -> Field:
    """Smooth noise with details of `size_mm`, longer along the rays from the nipple; standard deviation 1.

    Args:
        rays: for each pixel, the distance from the nipple, and the length along the arc of radius `_ARC_MM`; mm.
    """
    step = size_mm / 6
    reach, half_turn = 240.0, 2 * _ARC_MM
    noise = rng.standard_normal((round(2 * half_turn / step), round(reach / (step * _RADIAL_STRETCH))))
    blurred = np.asarray(cv2.GaussianBlur(noise, (0, 0), 6 / 2.5), dtype=np.float32)
    ray, arc = rays[0] / np.float32(step * _RADIAL_STRETCH), (rays[1] + np.float32(half_turn)) / np.float32(step)
    found = cv2.remap(blurred / blurred.std(), ray, arc, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(found, dtype=np.float32)


def _ducts(recipe: TissueRecipe, shape: ViewShape, grid: Grid) -> Field:
    """Main ducts from the nipple, each branching backwards, thinner after every branch; glandular tissue in mm."""
    rng = stream(recipe.seed, shape.view, "ducts")
    canvas = np.zeros(grid.shape, dtype=np.uint8)
    start = np.array([shape.breast.nipple_mm - 1, shape.nipple_row_mm])
    for angle in np.linspace(-0.75, 0.75, int(rng.integers(6, 10))):
        _grow(rng, canvas, grid, start, np.pi + angle + rng.normal(0, 0.08), width_mm=1.3, left=4)
    soft = cv2.GaussianBlur(canvas, (0, 0), max(0.35 * grid.pixels(1), 0.3))
    return np.asarray(soft, dtype=np.float32) * np.float32(2.4 / 255)


def _grow(
    rng: np.random.Generator,
    canvas: cv2.typing.MatLike,
    grid: Grid,
    start: NDArray[np.float64],
    angle: float,
    width_mm: float,
    left: int,
) -> None:
    points: list[NDArray[np.float64]] = [start]
    for _ in range(int(rng.integers(5, 9))):
        angle += rng.normal(0, 0.16)
        points.append(points[-1] + 3.0 * np.array([np.cos(angle), np.sin(angle)]))
    line = np.round(np.array(points) * grid.pixels(1) * 16).astype(np.int32)
    strength = int(255 * min(1, width_mm / 1.3))
    cv2.polylines(canvas, [line], False, strength, max(1, round(grid.pixels(width_mm))), cv2.LINE_AA, shift=4)
    if left:
        for turn in (-1, 1):
            _grow(rng, canvas, grid, points[-1], angle + turn * rng.uniform(0.15, 0.5), 0.75 * width_mm, left - 1)


def _muscle(recipe: TissueRecipe, shape: ViewShape, grid: Grid) -> Field:
    """0..1: the pectoral muscle, with a soft edge and faint fibres along it."""
    if shape.view == "CC":
        return np.zeros(grid.shape, dtype=np.float32)
    edge_mm = shape.muscle_edge_mm(grid.rows_mm())
    inside_mm = edge_mm - grid.columns_mm()
    fibres = power_law_field(
        stream(recipe.seed, shape.view, "fibres"), grid.shape, (grid.spacing_mm, 3 * grid.spacing_mm), beta=2.4
    )
    body = (
        np.clip(edge_mm / 8, 0, 1)
        * scipy.special.expit((inside_mm - 1.5) / 1.1)
        * (0.8 + 0.2 * np.clip(inside_mm / 30, 0, 1) + 0.025 * fibres)
    )
    return np.asarray(np.clip(body, 0, 1), dtype=np.float32)
