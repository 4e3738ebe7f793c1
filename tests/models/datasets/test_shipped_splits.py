"""The splits that ship have the same images on the same sides: one split by patient carries every figure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SPLITS = Path(__file__).parents[3] / "models" / "recipes" / "splits"
SIDES = ("train", "validation", "test", "left_out")


def sides_of(name: str) -> dict[str, str]:
    content = json.loads((SPLITS / f"{name}.json").read_text(encoding="utf-8"))
    return {image: side for side in SIDES for image in content[side]}


WHOLE = sides_of("cbis-ddsm-masses-and-cdd-cesm")


def base_of(name: str) -> str:
    """The image of CDD-CESM that a simulated cluster was put into."""
    return name.removesuffix("-sham").rsplit("-cluster-", 1)[0]


@pytest.mark.parametrize("name", ["cbis-ddsm-masses", "cdd-cesm", "simulated-clusters"])
def test_an_image_is_on_the_side_that_it_has_in_the_split_of_both_sets(name: str) -> None:
    sides = sides_of(name)
    assert sides
    assert {image: WHOLE[base_of(image)] for image in sides} == sides


def test_the_reduced_split_has_the_same_test_images_and_leaves_some_others_out() -> None:
    whole, reduced = sides_of("cbis-ddsm-masses"), sides_of("cbis-ddsm-masses-reduced")
    assert whole.keys() == reduced.keys()
    for image, side in whole.items():
        assert (side == "test") == (reduced[image] == "test")
    assert all(side in (whole[image], "left_out") for image, side in reduced.items())
