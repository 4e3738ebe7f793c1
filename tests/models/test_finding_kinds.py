"""The kinds of lesions: which masses have calcifications in them, and what follows for those who ask for masses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from drawn_cases import drawn_case

from models.datasets.case import Case, Pathology, of_kinds
from models.datasets.draws import draw_folds
from models.detectors.yolov8 import KINDS
from models.framing import breast_framing
from models.readings.overlay import COLOURS
from models.segmenters.prompts import Settings
from models.training.detector.framed import training_images
from models.types.reading import FindingKind, calcifications_in_masses, told_apart
from models.types.region import Box

MASS, CALCIFICATION, BOTH = FindingKind.MASS, FindingKind.CALCIFICATION, FindingKind.MASS_WITH_CALCIFICATIONS
LARGE, SMALL = Box(100, 100, 300, 300), Box(150, 150, 250, 250)


@pytest.mark.parametrize(
    ("boxes", "kinds", "told"),
    [
        ([LARGE, Box(280, 280, 310, 310)], [MASS, CALCIFICATION], [BOTH, CALCIFICATION]),
        ([LARGE, Box(280, 280, 322, 322)], [MASS, CALCIFICATION], [MASS, CALCIFICATION]),
        ([LARGE, Box(100, 80, 140, 122)], [MASS, CALCIFICATION], [BOTH, CALCIFICATION]),
        ([LARGE, Box(0, 0, 400, 400)], [MASS, CALCIFICATION], [BOTH, CALCIFICATION]),
        ([LARGE, SMALL, Box(160, 160, 170, 170)], [MASS, MASS, CALCIFICATION], [MASS, BOTH, CALCIFICATION]),
        ([SMALL, SMALL, Box(160, 160, 170, 170)], [MASS, MASS, CALCIFICATION], [BOTH, MASS, CALCIFICATION]),
        ([LARGE, SMALL], [MASS, MASS], [MASS, MASS]),
        ([LARGE, SMALL], [CALCIFICATION, CALCIFICATION], [CALCIFICATION, CALCIFICATION]),
        ([LARGE], [BOTH], [BOTH]),
        ([], [], []),
    ],
    ids=["its middle inside", "its middle outside", "its middle on the edge", "larger than the mass", "in two masses",
         "in two equal masses", "a mass in a mass", "a cluster in a cluster", "called so before", "nothing"],
)  # fmt: skip
def test_a_mass_has_calcifications_if_the_middle_of_some_lies_in_its_box(
    boxes: list[Box], kinds: list[FindingKind], told: list[FindingKind]
) -> None:
    assert told_apart(boxes, kinds) == told


def test_each_calcification_belongs_to_one_mass_and_a_mass_may_have_several() -> None:
    specks = [Box(160, 160, 170, 170), Box(200, 200, 220, 220), Box(280, 280, 290, 290), Box(0, 0, 9, 9)]
    kinds = [MASS, MASS, *[CALCIFICATION] * 4]
    assert calcifications_in_masses([LARGE, SMALL, *specks], kinds) == {2: 1, 3: 1, 4: 0}


@pytest.mark.parametrize("kind", FindingKind)
def test_every_kind_is_one_that_a_detector_learns_has_a_colour_and_an_outline(kind: FindingKind) -> None:
    assert kind.basic in KINDS
    assert kind.basic.basic is kind.basic
    assert kind.is_mass is (kind.basic is MASS)
    assert kind in COLOURS
    assert Settings().kept(kind) == ("largest" if kind.is_mass else "all")
    assert kind.in_words


def test_colours_and_words_tell_the_kinds_apart() -> None:
    assert len({COLOURS[kind] for kind in FindingKind}) == len({kind.in_words for kind in FindingKind}) == 3


def _image(number: int, *kinds: FindingKind) -> Case:
    plain = drawn_case(number, Pathology.BENIGN)
    (lesion,) = plain.read_lesions(plain.read())
    lesions = tuple(replace(lesion, kind=kind) for kind in kinds)
    return replace(plain, kinds=frozenset(kinds), read_lesions=lambda _: lesions)


def test_a_recipe_for_masses_takes_those_with_calcifications() -> None:
    kept = of_kinds([_image(0, MASS), _image(1, BOTH, CALCIFICATION), _image(2, CALCIFICATION)], (MASS,))
    assert [[lesion.kind for lesion in case.read_lesions(case.read())] for case in kept] == [[MASS], [BOTH]]


def test_a_split_is_the_same_whether_or_not_masses_with_calcifications_are_told_apart() -> None:
    plain = [_image(number, CALCIFICATION if number % 3 else MASS) for number in range(24)]
    told = [replace(case, kinds=frozenset({BOTH})) if MASS in case.kinds else case for case in plain]
    assert draw_folds(told, 4, seed=1) == draw_folds(plain, 4, seed=1)


def test_a_detector_learns_a_mass_with_calcifications_as_a_mass() -> None:
    images = training_images([_image(0, kind) for kind in FindingKind], breast_framing((96, 96), None), KINDS, 1)
    assert [KINDS[number] for image in images for number in image.kinds] == [kind.basic for kind in FindingKind]
