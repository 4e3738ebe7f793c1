"""A stored reading is loaded unchanged."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from models.readings.reading_json import from_json, masks_of, to_json
from models.types.birads import Category, Likelihood
from models.types.reading import BundleId, Finding, FindingKind, ImageReading
from models.types.region import Box, Mask


def _reading(findings: int) -> ImageReading:
    random = np.random.default_rng(7)
    return ImageReading(
        findings=tuple(
            Finding(
                kind=list(FindingKind)[index % 3],
                box=Box(10, 20 + index, 40, 60),
                mask=Mask(Box(8, 18, 8 + 33, 18 + 47), random.random((33, 47)) > 0.5),
                confidence=float(random.random()),
                malignancy=1 / (3 + index),
                likelihood=Likelihood(0.01 / 3, Category.THREE) if index else None,
            )
            for index in range(findings)
        ),
        malignancy=0.1 + 0.2,
        shape=(4000, 3000),
        bundle=BundleId("research-default", "0.1.0"),
        seconds={"decode": 0.25, "detect": 1e-9},
        warnings=("Nothing was seen, “with quotes” and ümlauts.",),
        likelihood=Likelihood(0.1 / 3, Category.FOUR_A),
        as_breast=Likelihood(0.2 / 3, Category.FOUR_A),
        as_exam=Likelihood(0.3 / 3, Category.FOUR_B),
        prevalence=0.006,
        spacing_mm=(0.07, 0.08),
        nipple=(2000, 2900),
        preview=random.integers(0, 256, (96, 72), dtype=np.uint8),
        tones=np.arange(-5, 300, dtype=np.int16),
    )


@pytest.mark.parametrize("findings", [0, 1, 12])
def test_a_reading_is_loaded_unchanged(findings: int) -> None:
    reading = _reading(findings)
    back = from_json(json.loads(json.dumps(to_json(reading))), masks_of(reading))
    assert to_json(back) == to_json(reading)
    for loaded, stored in zip(back.findings, reading.findings, strict=True):
        assert loaded.mask.box == stored.mask.box
        assert loaded.mask.crop.dtype == np.bool_
        np.testing.assert_array_equal(loaded.mask.crop, stored.mask.crop)
    assert back.shape == reading.shape
    assert isinstance(back.shape, tuple)
    assert (back.spacing_mm, back.nipple, back.as_exam) == (reading.spacing_mm, reading.nipple, reading.as_exam)
    for kept, made in ((back.preview, reading.preview), (back.tones, reading.tones)):
        np.testing.assert_array_equal(kept, made, strict=True)


def test_a_stored_reading_without_likelihoods_and_previews_still_loads() -> None:
    reading = replace(_reading(2), preview=None, tones=None)
    stored = json.loads(json.dumps(to_json(reading)))
    for table in (stored, *stored["findings"]):
        del table["likelihood"]
    for later in ("as_breast", "as_exam", "prevalence", "spacing_mm", "nipple"):
        del stored[later]
    back = from_json(stored, masks_of(reading))
    assert back.likelihood is None
    assert back.preview is None
    assert [finding.likelihood for finding in back.findings] == [None, None]


def test_the_same_reading_gives_the_same_bytes() -> None:
    assert masks_of(_reading(3)) == masks_of(_reading(3))


def test_masks_of_another_reading_are_refused() -> None:
    with pytest.raises(ValueError, match="masks"):
        from_json(to_json(_reading(1)), masks_of(_reading(2)))
    with pytest.raises(ValueError, match="Not a stored reading"):
        from_json(to_json(_reading(2)), masks_of(_reading(1)))


def test_damaged_masks_are_refused() -> None:
    with pytest.raises(ValueError, match="Not a stored reading"):
        from_json(to_json(_reading(1)), masks_of(_reading(1))[:40])


def test_pickled_masks_are_never_opened() -> None:
    import io

    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{"0": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ValueError):
        from_json(to_json(_reading(1)), buffer.getvalue())
