"""The pixels of a phantom."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from models.anatomy.breast import breast_mask, breast_side
from models.phantom.breast import VIEWS, ViewShape, depth_mm, draw_breast, thickness_mm
from models.phantom.exam import PhantomExam, PhantomImage, Prevalence, category, draw_exam
from models.phantom.grid import Grid, stream
from models.phantom.lesions import draw_cluster, draw_mass, project
from models.phantom.power_law import power_law_field
from models.phantom.tissue import DENSITIES, Density, TissueRecipe, glandular_mm
from models.types.birads import SEVERITY, Category
from models.types.mammogram import Laterality
from models.types.reading import FindingKind

GRID = Grid(0.3)


def exponent(region: NDArray[np.floating], spacing_mm: float, band_per_mm: tuple[float, float]) -> float:
    """β of a region: the negative slope of log power over log frequency, Hann-windowed, averaged over rings."""
    window = np.outer(*(np.hanning(length) for length in region.shape))
    centred = region - (region * window).sum() / window.sum()
    power = np.abs(np.fft.fft2(centred * window)) ** 2
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, spacing_mm) for n in region.shape), indexing="ij"))
    rings = [(frequency >= low) & (frequency < high) for low, high in pairwise(np.geomspace(*band_per_mm, 13))]
    x = [np.log(frequency[ring].mean()) for ring in rings if ring.any()]
    y = [np.log(power[ring].mean()) for ring in rings if ring.any()]
    return -float(np.polyfit(x, y, 1)[0])


def tissue(density: Density, view: str, seed: int) -> tuple[NDArray[np.floating], NDArray[np.float32], ViewShape]:
    """Share of glandular tissue, distance from the skin, and the shape of both."""
    shape = ViewShape(draw_breast(stream(seed, "shape")), view)
    depth = depth_mm(shape, GRID)
    thickness = thickness_mm(shape, depth)
    glandular = glandular_mm(TissueRecipe(density, seed), shape, GRID, depth, thickness)
    return glandular / np.maximum(thickness, 1), depth, shape


@pytest.fixture(scope="module")
def exams() -> list[PhantomExam]:
    """Both kinds, benign and malignant, both breasts."""
    return [draw_exam(number, 2, 0.5, Prevalence(lesions=1, second=0.4)) for number in range(1, 4)]


def images(exams: list[PhantomExam]) -> list[PhantomImage]:
    return [image for exam in exams for image in exam.images]


def test_the_random_field_has_the_requested_power_spectrum() -> None:
    for beta in (2.5, 3.0):
        field = power_law_field(stream(1, "field"), (400, 300), (0.3, 0.3), beta)
        assert exponent(field[:256, :256], 0.3, (0.07, 1.0)) == pytest.approx(beta, abs=0.2)


@pytest.mark.parametrize("density", DENSITIES)
def test_the_power_spectrum_of_parenchyma_has_the_exponent_of_mammograms(density: Density) -> None:
    """β is 3 on average (Burgess et al. 2001)."""
    found = []
    for seed in (1, 2):
        share, _, shape = tissue(density, "CC", seed)
        middle, half = int(GRID.pixels(shape.nipple_row_mm)), int(GRID.pixels(22))
        column = int(GRID.pixels(shape.breast.nipple_mm * 0.5))
        found.append(exponent(share[middle - half : middle + half, column - half : column + half], 0.3, (0.1, 1.0)))
    assert 2.5 < np.mean(found) < 3.5


@pytest.mark.parametrize("view", VIEWS)
def test_denser_categories_have_more_glandular_tissue(view: str) -> None:
    shares = []
    for density in DENSITIES:
        share, depth, shape = tissue(density, view, 3)
        breast = (depth > 5) & (GRID.columns_mm() > shape.muscle_edge_mm(GRID.rows_mm()) + 5)
        shares.append(float((share[breast] > 0.4).mean()))
    assert shares == sorted(shares)
    assert shares[0] < 0.15
    assert shares[-1] > 0.5


def test_a_breast_is_convex_from_its_chest_wall_and_surrounded_by_black_air(exams: list[PhantomExam]) -> None:
    for image in images(exams):
        shown = image.pixels.astype(np.float32) / 4095
        assert breast_side(shown) == ("left" if image.laterality is Laterality.LEFT else "right")
        mask = breast_mask(shown)
        assert 0.1 < mask.mean() < 0.6
        far = image.pixels[:, -5:] if image.laterality is Laterality.LEFT else image.pixels[:, :5]
        assert not far.any()


def test_the_breast_darkens_towards_the_skin(exams: list[PhantomExam]) -> None:
    for exam in exams:
        image = exam.images[1]
        row = image.pixels[image.pixels.shape[0] // 2 - 40].astype(float)
        skin = int(np.flatnonzero(row)[-1])
        edge, inside = row[skin - 2 : skin].mean(), row[skin - 30 : skin - 16].mean()
        assert edge < 0.5 * inside


def test_the_muscle_is_a_bright_triangle_in_mlo_and_absent_in_cc() -> None:
    shape = draw_breast(stream(5, "shape"))
    rows = GRID.rows_mm()
    edges = ViewShape(shape, "MLO").muscle_edge_mm(rows)
    assert edges[0, 0] > 0.3 * shape.nipple_mm
    assert edges[-1, 0] == 0
    assert not ViewShape(shape, "CC").muscle_edge_mm(rows).any()
    share, _, _ = tissue("A", "MLO", 5)
    inside, outside = share[: int(GRID.pixels(30)), : int(GRID.pixels(15))], share[:, int(GRID.pixels(50)) :]
    assert inside.mean() > 2 * outside[outside > 0].mean()


def test_both_views_show_the_same_lesions_equally_far_behind_the_nipple(exams: list[PhantomExam]) -> None:
    lesions = 0
    for exam in exams:
        for side in Laterality:
            views = {image.view: image for image in exam.images if image.laterality is side}
            for cc, mlo in zip(views["CC"].lesions, views["MLO"].lesions, strict=True):
                assert (cc.number, cc.finding, cc.behind_nipple_mm) == (mlo.number, mlo.finding, mlo.behind_nipple_mm)
                depth_cc, depth_mlo = ((lesion.mask.box.left + lesion.mask.box.right) / 2 * 0.5 for lesion in (cc, mlo))
                assert depth_cc == pytest.approx(depth_mlo, abs=4)
                assert cc.mask.area_px == pytest.approx(mlo.mask.area_px, rel=0.6)
                lesions += 1
    assert lesions > 5


def test_a_healthy_breast_has_no_lesion_and_category_1() -> None:
    exam = draw_exam(1, 1, 0.5, Prevalence(lesions=0))
    assert all(image.lesions == () for image in exam.images)
    assert category(exam.findings(Laterality.LEFT)) == "1"


def test_lesions_lie_in_the_breast_and_apart_from_each_other(exams: list[PhantomExam]) -> None:
    for image in images(exams):
        inside = breast_mask(image.pixels.astype(np.float32) / 4095)
        together = np.zeros(image.pixels.shape, dtype=int)
        for lesion in image.lesions:
            whole = lesion.mask.full(image.pixels.shape)
            assert inside[whole].all()
            together += whole
        assert together.max(initial=0) <= 1


@pytest.mark.parametrize("malignant", [False, True])
def test_the_malignancy_of_a_phantom_lesion_follows_its_shape(malignant: bool) -> None:
    """Irregular outlines are longer for their area; pleomorphic grains differ more in size and shape."""
    masses = [draw_mass(stream(seed, "mass"), malignant) for seed in range(12)]
    for mass in masses:
        assert mass.finding.kind is FindingKind.MASS
        assert (len(mass.spicules) > 0) == ("spiculated" in mass.finding.subtype)
        assert ("irregular" in mass.finding.subtype) == mass.finding.malignant == malignant
        assert (SEVERITY.index(Category(mass.finding.birads)) > SEVERITY.index(Category.THREE)) == malignant
        assert mass.heights[4:].any() == malignant
    for cluster in (draw_cluster(stream(seed, "cluster"), malignant) for seed in range(12)):
        assert (cluster.elongations.std() > 0) == ("pleomorphic" in cluster.finding.subtype) == malignant
        assert cluster.diameters_mm.max() < 1


def test_a_mass_is_moderately_brighter_than_the_same_tissue_without_it() -> None:
    """Faint, but visible: the image with the mass against the same image without it."""
    plain = draw_exam(1, 8, 0.4, Prevalence(lesions=0))
    shown = draw_exam(1, 8, 0.4, Prevalence(lesions=1, malignant=1, calcifications=0, second=0))
    for without, image in zip(plain.images, shown.images, strict=True):
        (lesion,) = image.lesions
        inside = lesion.mask.full(image.pixels.shape)
        added = image.pixels[inside].astype(int).mean() - without.pixels[inside].astype(int).mean()
        assert -50 < added < 1200
        assert image.pixels[inside].mean() < 3800


def test_the_amount_of_calcium_does_not_depend_on_the_pixel_size() -> None:
    cluster = draw_cluster(stream(1, "cluster"), malignant=True)
    volumes = [
        float(project(cluster, (120, 60), (-1.0, 0.0), Grid(spacing)).thickness_mm.sum() * spacing**2)
        for spacing in (0.05, 0.1, 0.5)
    ]
    assert volumes == pytest.approx([volumes[0]] * 3, rel=0.05)


def test_pixels_that_a_mammogram_cannot_have_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0.05 to 0.5 mm, not 0.7"):
        draw_exam(1, 1, 0.7, Prevalence())
    with pytest.raises(ValueError, match="share of lesions"):
        Prevalence(lesions=1.5)
