"""A synthetic four-view exam with its ground truth.

The two views of a breast show the same lesions: at the same distance behind the nipple (the rule by which radiologists
match views: the arc or straight-line method, Kopans, Breast Imaging, 3rd ed. 2007), and at heights that follow from the
position in the breast. The texture of the parenchyma is random and independent for each view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.phantom.breast import VIEWS, BreastShape, ViewShape, depth_mm, draw_breast, thickness_mm
from models.phantom.detector import attenuation, exposed, for_presentation
from models.phantom.grid import HEIGHT_MM, WIDTH_MM, Field, Grid, stream
from models.phantom.lesions import LesionBody, LesionType, PhantomCategory, Projection, draw_cluster, draw_mass, project
from models.phantom.tissue import DENSITIES, Density, TissueRecipe, glandular_mm
from models.types.birads import SEVERITY, Category
from models.types.mammogram import Laterality
from models.types.region import Box, Mask

ORDER = (
    (Laterality.RIGHT, "CC"),
    (Laterality.LEFT, "CC"),
    (Laterality.RIGHT, "MLO"),
    (Laterality.LEFT, "MLO"),
)
"""The order of an exam's images."""
_DENSITY_SHARES = (0.1, 0.4, 0.4, 0.1)
"""Shares of women in the United States, by BI-RADS density (ACR BI-RADS, fifth edition)."""
_MARGIN_MM = 4.0
"""The least distance of a lesion from skin, chest wall, muscle and the next lesion."""
_TRIES = 4000
_COARSE = Grid(0.5)
"""Free places are searched on this grid, so that a lesion's position does not depend on the image's pixel size."""


@dataclass(frozen=True)
class Prevalence:
    """Frequencies in a set of phantoms. All are shares, 0..1.

    Attributes:
        lesions: the share of breasts that have a lesion.
        malignant: the share of lesions that are malignant.
        calcifications: the share of lesions that are calcifications; the others are masses.
        second: the share of breasts with a lesion that have two.

    Raises:
        ValueError: a share is out of 0..1.
    """

    lesions: float = 0.4
    malignant: float = 0.5
    calcifications: float = 0.4
    second: float = 0.15

    def __post_init__(self) -> None:
        for name, share in vars(self).items():
            if not 0 <= share <= 1:
                raise ValueError(f"The share of {name} must be from 0 to 1, not {share}")


@dataclass(frozen=True, eq=False)
class PhantomLesion:
    """A lesion in one image.

    Attributes:
        number: within its breast, from 1: the same in CC and MLO.
        behind_nipple_mm: its centre's distance behind the nipple, the same in both views.
        mask: the outline that a careful reader would draw.
    """

    number: int
    finding: LesionType
    behind_nipple_mm: float
    mask: Mask


@dataclass(frozen=True, eq=False)
class PhantomImage:
    """One view.

    Attributes:
        pixels: uint16, 12 bits, dense tissue bright, air 0.
        thickness_mm: compressed.
    """

    laterality: Laterality
    view: str
    pixels: NDArray[np.uint16]
    spacing_mm: float
    thickness_mm: float
    lesions: tuple[PhantomLesion, ...]


@dataclass(frozen=True, eq=False)
class PhantomExam:
    """Four images, in `ORDER`.

    Attributes:
        number, seed: see `draw_exam`.
    """

    number: int
    seed: int
    density: Density
    images: tuple[PhantomImage, ...]

    def findings(self, laterality: Laterality) -> tuple[LesionType, ...]:
        """The lesions of a breast."""
        shown = next(image for image in self.images if image.laterality is laterality)
        return tuple(lesion.finding for lesion in shown.lesions)


def category(findings: Sequence[LesionType]) -> PhantomCategory:
    """The BI-RADS category of a breast or an exam: its most suspicious lesion's; "1" without a lesion."""
    found: tuple[PhantomCategory, ...] = ("1", *(finding.birads for finding in findings))
    return max(found, key=lambda label: SEVERITY.index(Category(label)))


@dataclass(frozen=True, eq=False)
class _Placed:
    """A lesion and its position in the breast, in mm: behind the nipple, lateral of it, above it."""

    body: LesionBody
    behind: float
    lateral: float
    up: float

    def centre_mm(self, shape: ViewShape) -> tuple[float, float]:
        by_lateral, by_up = shape.vertical
        return (
            shape.nipple_row_mm + by_lateral * self.lateral + by_up * self.up,
            shape.breast.nipple_mm - self.behind,
        )


def draw_exam(number: int, seed: int, spacing_mm: float, prevalence: Prevalence) -> PhantomExam:
    """The exam `number` of the set of `seed`; equal arguments give equal exams.

    Raises:
        ValueError: the pixel size is out of range (see `Grid`).
    """
    grid = Grid(spacing_mm)
    density = DENSITIES[int(stream(seed, number, "density").choice(len(DENSITIES), p=_DENSITY_SHARES))]
    # The two breasts of a person have the same size and density; everything else differs.
    shape = draw_breast(stream(seed, number, "shape"))
    lesions = {side: _draw_lesions(stream(seed, number, side, "lesions"), shape, prevalence) for side in Laterality}
    images = []
    for side, view in ORDER:
        own_seed = int(stream(seed, number, side).integers(1 << 60))
        images.append(_image(side, ViewShape(shape, view), TissueRecipe(density, own_seed), lesions[side], grid))
    return PhantomExam(number, seed, density, tuple(images))


def _draw_lesions(rng: np.random.Generator, shape: BreastShape, prevalence: Prevalence) -> list[_Placed]:
    count = int(rng.random() < prevalence.lesions) * (1 + int(rng.random() < prevalence.second))
    placed: list[_Placed] = []
    for _ in range(count):
        malignant = bool(rng.random() < prevalence.malignant)
        draw = draw_cluster if rng.random() < prevalence.calcifications else draw_mass
        if found := _place(rng, shape, draw(rng, malignant), placed):
            placed.append(found)
    return placed


def _place(rng: np.random.Generator, shape: BreastShape, body: LesionBody, others: Sequence[_Placed]) -> _Placed | None:
    """A position at which both views show the whole lesion; None if there is no room for a second lesion."""
    views = [ViewShape(shape, view) for view in VIEWS]
    depths = [depth_mm(view, _COARSE) for view in views]
    room = body.body_mm + _MARGIN_MM
    for _ in range(_TRIES):
        candidate = _Placed(
            body,
            behind=float(rng.uniform(10, shape.nipple_mm - 10)),
            lateral=float(rng.normal(8, 0.3 * shape.nipple_mm)),
            up=float(rng.normal(8, 0.3 * shape.nipple_mm)),
        )
        if all(_fits(candidate, room, view, depth, others) for view, depth in zip(views, depths, strict=True)):
            return candidate
    if not others:
        raise ValueError(f"No place for a lesion of {body.body_mm:.0f} mm in a breast of {shape.nipple_mm:.0f} mm")
    return None


def _fits(candidate: _Placed, room: float, view: ViewShape, depth: Field, others: Sequence[_Placed]) -> bool:
    row, column = candidate.centre_mm(view)
    whole = candidate.body.reach_mm + _MARGIN_MM  # spicules may overlap the muscle, but not the image's edge
    muscle = float(view.muscle_edge_mm(np.array([max(row - room, 0)], dtype=np.float32))[0])
    if not (whole < row < HEIGHT_MM - whole and max(muscle + room, whole) < column < WIDTH_MM - whole):
        return False
    if depth[int(_COARSE.pixels(row)), int(_COARSE.pixels(column))] < room:
        return False
    return all(
        np.hypot(*np.subtract(other.centre_mm(view), (row, column))) > room + other.body.body_mm for other in others
    )


def _image(
    side: Laterality, shape: ViewShape, recipe: TissueRecipe, lesions: Sequence[_Placed], grid: Grid
) -> PhantomImage:
    depth = depth_mm(shape, grid)
    thickness = thickness_mm(shape, depth)
    taken = attenuation(glandular_mm(recipe, shape, grid, depth, thickness), thickness, depth)
    shown = [project(lesion.body, lesion.centre_mm(shape), shape.vertical, grid) for lesion in lesions]
    for projection in shown:
        _insert(taken, thickness, projection)
    measured = exposed(stream(recipe.seed, shape.view, "quanta"), taken, grid)
    pixels = for_presentation(measured, thickness, shape.thickness_mm)
    mirrored = side is Laterality.RIGHT
    return PhantomImage(
        laterality=side,
        view=shape.view,
        pixels=np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels),
        spacing_mm=grid.spacing_mm,
        thickness_mm=shape.thickness_mm,
        lesions=tuple(
            PhantomLesion(number, lesion.body.finding, lesion.behind, _mask(projection, grid, mirrored))
            for number, (lesion, projection) in enumerate(zip(lesions, shown, strict=True), start=1)
        ),
    )


def _insert(taken: Field, thickness: Field, projection: Projection) -> None:
    """Replaces tissue by the lesion: the same thickness of the average tissue at each pixel is removed."""
    where = projection.box.slices
    whole = np.maximum(thickness[where], np.float32(1e-3))
    lesion = np.minimum(projection.thickness_mm, whole)
    taken[where] += lesion * (np.float32(projection.attenuation_per_mm) - taken[where] / whole)


def _mask(projection: Projection, grid: Grid, mirrored: bool) -> Mask:
    rows, columns = np.flatnonzero(projection.outline.any(axis=1)), np.flatnonzero(projection.outline.any(axis=0))
    top, bottom, left, right = (int(part) for part in (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1))
    crop = projection.outline[top:bottom, left:right]
    row, column = projection.box.top, projection.box.left
    if mirrored:
        width = grid.shape[1]
        box = Box(row + top, width - column - right, row + bottom, width - column - left)
        return Mask(box, np.ascontiguousarray(crop[:, ::-1]))
    return Mask(Box(row + top, column + left, row + bottom, column + right), crop.copy())
