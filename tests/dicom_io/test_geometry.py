import numpy as np
import pytest
from readings import blob, lesion
from scipy.ndimage import binary_fill_holes
from skimage.draw import polygon2mask
from skimage.measure import points_in_poly
from summary_exams import drawn_exam, many_findings

from dicom_io.results.geometry import frame, outline, outlined_once, to_xy


def test_the_centre_of_the_first_pixel_is_at_one_half_one_half():
    assert to_xy(np.array([[0.0, 0.0], [10.0, 3.0]])).tolist() == [[0.5, 0.5], [3.5, 10.5]], "x is the column"


@pytest.mark.parametrize("seed", range(5))
def test_an_outline_encloses_its_lesion(seed: int):
    finding = lesion(40, 7, blob(60 + seed, 31, seed))
    xy = outline(finding.mask)
    inside = polygon2mask((150, 80), (xy - 0.5)[:, ::-1])  # rows, columns of pixel centres
    mask = binary_fill_holes(finding.mask.full((150, 80)))
    assert np.count_nonzero(mask & ~inside) <= 0.02 * finding.mask.area_px, "the lesion lies inside its outline"
    assert np.count_nonzero(inside & ~mask) <= 0.03 * finding.mask.area_px, "and nothing else"


def test_a_rectangular_lesion_is_outlined_along_its_pixel_edges():
    xy = outline(lesion(10, 20, np.ones((6, 8), dtype=bool)).mask)
    assert xy.min(axis=0).tolist() == [20, 10]
    assert xy.max(axis=0).tolist() == [28, 16]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2), (3, 1), (40, 40)])
def test_outlines_are_closed_and_have_more_points_than_a_rectangle(shape: tuple[int, int]):
    xy = outline(lesion(0, 0, np.ones(shape, dtype=bool)).mask)
    assert np.array_equal(xy[0], xy[-1])
    assert len(xy) > 5
    assert xy.min() >= 0
    rows, columns = np.nonzero(np.ones(shape))
    assert points_in_poly(np.stack([columns + 0.5, rows + 0.5], axis=1), xy).all()


def test_a_single_distant_pixel_does_not_enlarge_an_outline():
    crop = np.zeros((50, 60), dtype=bool)
    crop[:20, :20] = crop[49, 59] = True
    assert outline(lesion(0, 0, crop).mask).max() <= 20


def test_a_very_irregular_lesion_has_an_outline_that_fits_into_an_sr():
    comb = np.ones((300, 2000), dtype=bool)
    comb[:250, ::2] = False
    assert len(outline(lesion(0, 0, comb).mask)) <= 1000


def test_a_lesion_of_several_parts_has_a_single_outline():
    parts = np.zeros((50, 60), dtype=bool)
    parts[2:5, 3:6] = parts[40:44, 20:25] = parts[10:12, 50:55] = True
    xy = outline(lesion(100, 200, parts).mask)
    rows, columns = np.nonzero(parts)
    assert points_in_poly(np.stack([columns + 200.5, rows + 100.5], axis=1), xy).all()


def test_a_frame_follows_the_edge_of_its_image():
    xy = frame((300, 200))
    assert xy.min(axis=0).tolist() == [0, 0]
    assert xy.max(axis=0).tolist() == [200, 300]
    assert np.array_equal(xy[0], xy[-1])
    assert len(xy) > 5


def test_an_outline_is_calculated_once_for_all_objects_of_a_study():
    exam = drawn_exam(*many_findings(3))
    once = outlined_once(exam)
    masks = [finding.mask for image in exam.images for finding in image.reading.findings]
    kept = [finding.mask for image in once.images for finding in image.reading.findings]
    assert len(kept) == len(masks) == 12
    for mask, keeper in zip(masks, kept, strict=True):
        assert np.array_equal(outline(keeper), outline(mask))
        assert outline(keeper) is outline(keeper), "the second object gets the outline of the first"
