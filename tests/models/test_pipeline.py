"""The pipeline joins any three models."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

from models.birads.calibration import Calibration, Level, Method
from models.pipeline import ASSUMED_SPACING, Pipeline
from models.protocols import NotFinite, OutOfMemory, ToOutline, ToScore
from models.types.mammogram import Mammogram
from models.types.reading import BundleId, Detection, FindingKind
from models.types.region import Box, Mask

BOXES = (Box(10, 10, 20, 20), Box(30, 5, 50, 25), Box(60, 60, 70, 90))


@dataclass
class Boxes:
    """Detects the same boxes everywhere; its device has memory for `room` images."""

    boxes: Sequence[Box] = BOXES
    room: int = 99
    batches: list[int] = field(default_factory=list)

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        if len(images) > self.room:
            raise OutOfMemory
        self.batches.append(len(images))
        return [
            tuple(Detection(box, FindingKind.MASS, 0.9 - index / 10) for index, box in enumerate(self.boxes))
            for _ in images
        ]


@dataclass
class Diamonds:
    """Draws a box's middle, or the given mask; nothing in the boxes that it rejects."""

    not_in: Sequence[Box] = ()
    room: int = 99
    drawn: Mapping[Box, Box] = field(default_factory=dict)
    spacings: list[tuple[float, float] | None] = field(default_factory=list)
    asked: list[Box] = field(default_factory=list)

    def segment(self, images: Sequence[ToOutline]) -> list[list[Mask | None]]:
        if len(images) > self.room:
            raise OutOfMemory
        self.spacings += [asked.image.spacing_mm for asked in images]
        boxes = [[box for box, _ in asked.lesions] for asked in images]
        self.asked += [box for of_image in boxes for box in of_image]
        return [[None if box in self.not_in else self._middle(box) for box in of_image] for of_image in boxes]

    def _middle(self, box: Box) -> Mask:
        inner = self.drawn.get(box) or Box(box.top + 2, box.left + 2, box.bottom - 2, box.right - 2)
        return Mask(inner, np.ones((inner.height, inner.width), dtype=np.bool_))


@dataclass
class ByArea:
    """The larger the lesion, the higher the score."""

    room: int = 99

    def classify(self, images: Sequence[ToScore]) -> list[tuple[float, list[float]]]:
        if len(images) > self.room:
            raise OutOfMemory
        return [(0.25, [mask.area_px / 10_000 for mask in asked.masks]) for asked in images]


def _pipeline(
    detector: Boxes | None = None, segmenter: Diamonds | None = None, classifier: ByArea | None = None
) -> Pipeline:
    ticks = count()
    return Pipeline(
        detector=detector or Boxes(),
        segmenter=segmenter or Diamonds(),
        classifier=classifier or ByArea(),
        bundle=BundleId("test", "1"),
        assumed_spacing_mm=0.1,
        clock=lambda: float(next(ticks)),
    )


def _image(**known: object) -> Mammogram:
    plain = {"pixels": np.zeros((100, 120), dtype=np.float32), "spacing_mm": (0.07, 0.07)}
    return Mammogram(**{**plain, **known})


def test_findings_have_outline_and_score_and_the_most_malignant_is_first() -> None:
    [reading] = _pipeline().read([_image()])
    assert [finding.box for finding in reading.findings] == [BOXES[1], BOXES[2], BOXES[0]]
    assert [finding.malignancy for finding in reading.findings] == [0.0256, 0.0156, 0.0036]
    assert [finding.confidence for finding in reading.findings] == [0.8, 0.7, 0.9]
    assert reading.findings[0].mask.box == Box(32, 7, 48, 23)
    assert reading.malignancy == 0.25
    assert reading.shape == (100, 120)
    assert reading.bundle == BundleId("test", "1")
    assert reading.warnings == ()


@dataclass
class Fixed:
    """Gives every image and every lesion its score."""

    image: float
    lesion: float

    def classify(self, images: Sequence[ToScore]) -> list[tuple[float, list[float]]]:
        return [(self.image, [self.lesion] * len(asked.masks)) for asked in images]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_not_finite_is_no_reading(score: float) -> None:
    for classifier in (Fixed(score, 0.5), Fixed(0.5, score)):
        with pytest.raises(NotFinite):
            replace(_pipeline(), classifier=classifier).read([_image()])


@dataclass
class Together:
    """Detects a mass, a cluster in it, a mass without and a cluster elsewhere."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        mass, specks = FindingKind.MASS, FindingKind.CALCIFICATION
        places = ((BOXES[1], mass), (Box(35, 10, 45, 20), specks), (BOXES[2], mass), (Box(80, 20, 90, 30), specks))
        return [tuple(Detection(box, kind, 0.9) for box, kind in places) for _ in images]


def test_a_mass_with_calcifications_is_told_apart_and_its_calcifications_stay_a_finding() -> None:
    [reading] = replace(_pipeline(), detector=Together(), kinds_apart=True).read([_image()])
    assert {finding.box: finding.kind.value for finding in reading.findings} == {
        BOXES[1]: "mass with calcifications",
        Box(35, 10, 45, 20): "calcification",
        BOXES[2]: "mass",
        Box(80, 20, 90, 30): "calcification",
    }


def test_a_mass_that_is_dropped_for_the_calcification_in_it_leaves_a_calcification() -> None:
    [reading] = replace(_pipeline(), detector=Together(), kinds_apart=False).read([_image()])
    assert BOXES[1] not in [finding.box for finding in reading.findings]
    assert FindingKind.MASS_WITH_CALCIFICATIONS not in [finding.kind for finding in reading.findings]


def test_an_image_without_findings_has_its_own_score() -> None:
    [reading] = _pipeline(Boxes(())).read([_image()])
    assert reading.findings == ()
    assert reading.malignancy == 0.25


def test_a_lesion_without_an_outline_keeps_its_box_and_the_reading_has_a_warning() -> None:
    [reading] = _pipeline(segmenter=Diamonds(not_in=BOXES[:1])).read([_image()])
    [finding] = [finding for finding in reading.findings if finding.box == BOXES[0]]
    assert finding.mask.box == BOXES[0]
    assert finding.mask.crop.all()
    assert reading.warnings == ("1 finding could not be outlined: the detector's box is used as the outline.",)


AROUND = Box(25, 0, 55, 40)
"""Contains the second of BOXES and no other."""


def test_nested_findings_are_a_single_finding_that_is_outlined_once() -> None:
    segmenter = Diamonds()
    [reading] = _pipeline(Boxes((AROUND, *BOXES)), segmenter).read([_image()])
    assert {finding.box for finding in reading.findings} == set(BOXES)
    assert segmenter.asked == [*BOXES]


def test_nested_outlines_are_a_single_finding_even_if_their_boxes_are_not_nested() -> None:
    apart = (Box(10, 10, 30, 30), Box(10, 28, 30, 58))
    leaking = Diamonds(drawn={apart[1]: Box(8, 8, 32, 60)})
    [reading] = _pipeline(Boxes(apart), leaking).read([_image()])
    assert [finding.box for finding in reading.findings] == [apart[0]]


def _breast() -> NDArray[np.float32]:
    rows, columns = np.mgrid[:300, :200]
    return np.where(((rows - 150) / 110) ** 2 + (columns / 120) ** 2 < 1, 0.2, 0).astype(np.float32)


@pytest.mark.parametrize(
    ("largest", "known", "doubts"),
    [(0.1, {}, 1), (0.9, {}, 0), (None, {}, 0), (0.1, {"extent": "spot/magnified"}, 0)],
    ids=["larger than any", "not so large", "no detector says it", "a part of the breast"],
)
def test_an_outline_larger_than_any_lesion_of_the_training_has_a_warning(
    largest: float | None, known: dict[str, object], doubts: int
) -> None:
    large, small = Box(80, 5, 200, 80), Box(210, 10, 230, 30)
    reads = replace(_pipeline(Boxes((large, small))), largest_lesion=largest)
    [reading] = reads.read([_image(pixels=_breast(), **known)])
    doubtful = [finding.doubt for finding in reading.findings if finding.doubt]
    assert len(doubtful) == len(reading.warnings) == doubts
    for sentence in doubtful:
        assert re.fullmatch(
            r"Doubtful: the outline covers 38\.\d % of the breast; the largest lesion .* covers 10\.0 %\.", sentence
        )
        assert reading.findings[0].box == large


def test_a_missing_spacing_is_assumed_with_a_warning() -> None:
    segmenter = Diamonds()
    [reading] = _pipeline(segmenter=segmenter).read([_image(spacing_mm=None, warnings=("Implant.",))])
    assert segmenter.spacings == [(0.1, 0.1)]
    assert reading.warnings == ("Implant.", ASSUMED_SPACING.format(mm=0.1))


def test_a_batch_too_large_for_the_memory_is_read_in_halves_with_the_same_result() -> None:
    images = [_image() for _ in range(5)]
    detector = Boxes(room=2)
    small = _pipeline(detector, Diamonds(room=1), ByArea(room=3)).read(images)
    large = _pipeline().read(images)
    assert detector.batches == [2, 1, 2]
    assert [[(f.box, f.malignancy) for f in reading.findings] for reading in small] == [
        [(f.box, f.malignancy) for f in reading.findings] for reading in large
    ]


@pytest.mark.parametrize("room", ["detector", "segmenter", "classifier"])
def test_a_single_image_too_large_for_the_memory_is_reported_to_the_caller(room: str) -> None:
    full: dict[str, object] = {"detector": Boxes(room=0), "segmenter": Diamonds(room=0), "classifier": ByArea(room=0)}
    with pytest.raises(OutOfMemory):
        _pipeline(**{room: full[room]}).read([_image()])


@pytest.mark.parametrize(
    ("known", "is_found"), [({}, True), ({"upright": False}, False), ({"extent": "cleavage"}, False)]
)
def test_the_nipple_is_located_only_in_upright_images_of_the_whole_breast(
    known: dict[str, object], is_found: bool
) -> None:
    [reading] = _pipeline().read([_image(pixels=_breast(), **known)])
    assert (reading.nipple is not None) is is_found


def test_each_stage_is_timed_and_every_image_has_its_share() -> None:
    [first, second] = _pipeline().read([_image(), _image()])
    assert first.seconds == {"detect": 0.5, "segment": 0.5, "classify": 0.5}
    assert second.seconds == first.seconds


def test_without_images_there_are_no_readings() -> None:
    assert _pipeline().read([]) == []


def test_a_calibrated_bundle_gives_the_likelihood_of_each_score() -> None:
    [plain] = _pipeline().read([_image()])
    assert plain.likelihood is None
    assert plain.prevalence is None
    assert {finding.likelihood for finding in plain.findings} == {None}
    calibrations = {
        level: Calibration(level, Method.TEMPERATURE, {"slope": (1.0,)}, 0.5, 100, 50).at_prevalence(0.01)
        for level in (Level.IMAGE, Level.LESION)
    }
    [reading] = replace(_pipeline(), calibration=calibrations).read([_image()])
    assert reading.likelihood == calibrations[Level.IMAGE].likelihood(reading.malignancy)
    assert (reading.as_breast, reading.as_exam) == (None, None)
    for finding in reading.findings:
        assert finding.likelihood is not None
        assert finding.likelihood.probability < finding.malignancy
