import numpy as np
import pytest

from models.types.region import Box, Mask


@pytest.mark.parametrize("box", [Box(0, 0, 1, 1), Box(3, 4, 9, 7), Box(0, 0, 12, 10), Box(11, 9, 12, 10)])
def test_a_mask_is_unchanged_after_conversion_to_the_whole_image_and_back(box: Box):
    crop = np.ones((box.height, box.width), dtype=bool)
    crop[1:-1, 1:-1] = False
    again = Mask.from_full(Mask(box, crop).full((12, 10)))
    assert again is not None
    assert again.box == box
    assert np.array_equal(again.crop, crop)


def test_an_empty_image_has_no_box_and_no_mask():
    assert Box.around(np.zeros((5, 6), dtype=bool)) is None
    assert Mask.from_full(np.zeros((5, 6), dtype=bool)) is None
