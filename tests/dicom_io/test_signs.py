"""Unsigned pixels that the header calls signed are read as unsigned, and signed pixels as signed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_io.pixels.signs import IN_DOUBT, READ_UNSIGNED, without_false_sign


def hill(top: float) -> NDArray[np.int64]:
    """From 40 up to `top` and down again, without a step."""
    y, x = np.mgrid[:90, :90]
    return (40 + (top - 40) * np.exp(-((y - 45) ** 2 + (x - 45) ** 2) / 400)).astype(np.int64)


def as_signed(values: NDArray[np.int64], stored: int) -> NDArray[np.int16]:
    """The values as a reader decodes them that takes the highest bit for a sign."""
    return np.where(values >= 1 << (stored - 1), values - (1 << stored), values).astype(np.int16)


@pytest.mark.parametrize("stored", [8, 10, 12, 14, 16])
def test_unsigned_pixels_that_are_declared_signed_are_read_as_unsigned(stored: int) -> None:
    picture = hill(0.9 * (1 << stored))
    values, remark = without_false_sign(as_signed(picture, stored), stored, 0)
    np.testing.assert_array_equal(values, picture)
    assert remark == READ_UNSIGNED


@pytest.mark.parametrize("picture", [hill(3000) - 2048, hill(3000) - 1000, hill(2000), hill(2000) - 2047])
@pytest.mark.parametrize("greatest_shown", [0, 2047, 4096])
def test_signed_pixels_are_read_as_signed(picture: NDArray[np.int64], greatest_shown: float) -> None:
    values, remark = without_false_sign(picture.astype(np.int16), 12, greatest_shown)
    np.testing.assert_array_equal(values, picture)
    assert remark is None


def test_the_window_decides_the_sign_of_an_ambiguous_step_and_without_one_there_is_a_warning() -> None:
    picture = np.where(hill(2000) > 1500, 3000, np.minimum(hill(2000), 1200))
    torn = as_signed(picture, 12)
    values, remark = without_false_sign(torn, 12, 4000)
    np.testing.assert_array_equal(values, picture)
    assert remark == READ_UNSIGNED
    values, remark = without_false_sign(torn, 12, 0)
    np.testing.assert_array_equal(values, torn)
    assert remark == IN_DOUBT
