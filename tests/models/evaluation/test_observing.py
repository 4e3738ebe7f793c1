"""A single pass over the images: what is recorded, and how an interrupted evaluation resumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from observations import image, lesion, many

from models.datasets.case import Case, DatasetError, Lesion, Pathology
from models.evaluation.detection import detection_section
from models.evaluation.observations import EvaluationError, ObservationFile
from models.evaluation.observe import Parts, observe, observe_all
from models.evaluation.tables import Absent, Draws
from models.evaluation.truth import read_truth
from models.measures.detection import Figure
from models.protocols import ToOutline, ToScore
from models.types.mammogram import Mammogram
from models.types.reading import Detection, FindingKind
from models.types.region import Box, Mask

BOX, WRONG, UNSURE = Box(20, 20, 40, 40), Box(60, 60, 80, 80), Box(20, 60, 40, 80)


def filled(box: Box) -> Mask:
    return Mask(box, np.ones((box.height, box.width), dtype=np.bool_))


def upper_half(box: Box) -> Mask:
    return filled(Box(box.top, box.left, box.top + box.height // 2, box.right))


class Detects:
    """Detects the lesion with high, something else with medium and a third thing with low confidence."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        proposed = [(BOX, 0.9), (WRONG, 0.45), (UNSURE, 0.02)]
        return [tuple(Detection(box, FindingKind.MASS, confidence) for box, confidence in proposed) for _ in images]


class Outlines:
    """The box in the first pass, its upper half in the second, an empty mask in the third."""

    def outlines_by_pass(self, images: Sequence[ToOutline]) -> list[list[list[Mask | None]]]:
        return [[[filled(box), upper_half(box), None] for box, _ in asked.lesions] for asked in images]


class Scores:
    """The more masks, the higher the score."""

    scores_images_alone = False

    def classify(self, images: Sequence[ToScore]) -> list[tuple[float, list[float]]]:
        return [(0.1 * len(asked.masks), [0.5] * len(asked.masks)) for asked in images]


class LooksAtImages:
    """A score for the image, independent of its findings."""

    scores_images_alone = True

    def classify(self, images: Sequence[ToScore]) -> list[tuple[float, list[float]]]:
        return [(0.3, [0.3] * len(asked.masks)) for asked in images]


class Tired:
    """A detector that must not be called."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        raise AssertionError("asked again")


PARTS = Parts(
    Detects(),
    Outlines(),
    Scores(),
    own_pass=1,
    confidence=0.4,
    most=10,
    assumed_spacing_mm=0.1,
)


def case(name: str = "one", *, broken: bool = False, **changed: object) -> Case:
    def read() -> Mammogram:
        if broken:
            raise DatasetError(f"{name}.dcm cannot be used: the file is cut short. Fetch it again.")
        return Mammogram(np.zeros((100, 100), dtype=np.float32))

    drawn = Lesion(filled(BOX), outlined=True, kind=FindingKind.MASS, pathology=Pathology.MALIGNANT)
    plain = Case(
        name=name,
        dataset="made-up",
        patients=(name,),
        exam=None,
        laterality=None,
        view="CC",
        pathology=Pathology.MALIGNANT,
        birads=None,
        density=None,
        marked_up=True,
        label_is_fair=True,
        official=None,
        read=read,
        read_lesions=lambda _: (drawn,),
    )
    return replace(plain, **changed)


def test_an_image_is_observed_at_the_thresholds_of_the_node_and_below() -> None:
    seen = observe(PARTS, read_truth(case()))
    assert [proposal.lesion for proposal in seen.proposals or ()] == [0, None, None]
    (found,) = seen.lesions
    assert found.found
    assert [overlap.dice for overlap in found.by_true_box] == pytest.approx([1, 2 / 3, 0])
    assert found.by_found_box == found.by_true_box
    assert found.diameter_mm == pytest.approx(19 * 2**0.5 * 0.1 + 0.1)
    assert seen.spacing_assumed
    assert [counts.drawn for counts in seen.by_threshold] == [800, 800, 800, 800, 400]
    assert seen.score == pytest.approx(0.2)  # two proposals are shown


class DetectsNested(Detects):
    """The lesion and, with the highest confidence, a box that contains it."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        around = Detection(Box(10, 10, 90, 50), FindingKind.MASS, 0.95)
        return [(around, *found) for found in super().detect(images)]


def test_of_nested_findings_the_one_that_the_node_shows_is_measured() -> None:
    seen = observe(replace(PARTS, detector=DetectsNested()), read_truth(case()))
    alone = observe(PARTS, read_truth(case()))
    assert [proposal.shown for proposal in seen.proposals or ()] == [False, True, True, False]
    assert seen.lesions == alone.lesions
    assert (seen.by_threshold, seen.score) == (alone.by_threshold, alone.score)


class DetectsCalcified(Detects):
    """Calcifications in the lesion too, those in the other finding with too little confidence to be shown."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        within = (
            Detection(Box(box.top + 2, box.left + 2, box.top + 6, box.left + 6), FindingKind.CALCIFICATION, confidence)
            for box, confidence in ((BOX, 0.5), (WRONG, 0.1))
        )
        return [(*found, *within) for found in super().detect(images)]


def test_a_finding_has_the_kind_that_the_node_would_give_it() -> None:
    seen = observe(replace(PARTS, detector=DetectsCalcified(), kinds_apart=True), read_truth(case()))
    assert [(proposal.kind.value, proposal.lesion) for proposal in seen.shown] == [
        ("mass with calcifications", 0),
        ("mass", None),
        ("calcification", None),
    ]
    table = next(table for table in detection_section([seen], Draws(resamples=10)).tables if table.id == "kinds")
    (mass, *others) = table.rows
    assert [cell.value for cell in mass.cells if isinstance(cell, Figure)] == [0, 0, 1, 0]
    assert all(isinstance(cell, Absent) for row in others for cell in row.cells)


def test_a_lesion_with_only_a_box_has_no_dice() -> None:
    box = Lesion(filled(BOX), outlined=False, kind=FindingKind.MASS)
    seen = observe(PARTS, read_truth(case(read_lesions=lambda _: (box,))))
    assert seen.lesions[0].by_true_box == ()
    assert seen.by_threshold == ()


def test_missing_parts_are_not_measured() -> None:
    alone = replace(PARTS, detector=None, segmenter=None)
    seen = observe(alone, read_truth(case()))
    assert seen.proposals is None
    assert seen.lesions[0].by_true_box == ()


def test_a_classifier_alone_never_gets_the_true_masks_of_an_image() -> None:
    alone = replace(PARTS, detector=None, segmenter=None)
    seen = observe(alone, read_truth(case()))
    assert seen.score is None
    assert seen.score_withheld
    assert seen.lesions[0].score == 0.5  # it is called only for lesions
    indifferent = observe(replace(alone, classifier=LooksAtImages()), read_truth(case()))
    assert indifferent.score == 0.3
    assert not indifferent.score_withheld
    assert not observe(PARTS, read_truth(case())).score_withheld


def test_an_image_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    kept = ObservationFile(tmp_path / "observations.jsonl", "a")
    seen, left_out = observe_all(PARTS, [case("bad", broken=True), case("good")], kept, lambda *_: None)
    assert [observation.name for observation in seen] == ["good"]
    assert "bad.dcm" in left_out[0].reason


def test_an_observed_image_is_not_observed_again(tmp_path: Path) -> None:
    path = tmp_path / "observations.jsonl"
    first, _ = observe_all(PARTS, [case("one"), case("two")], ObservationFile(path, "a"), lambda *_: None)
    same = [case("one"), case("two")]
    again, left_out = observe_all(replace(PARTS, detector=Tired()), same, ObservationFile(path, "a"), lambda *_: None)
    assert again == first
    assert left_out == []


@pytest.mark.parametrize(
    "changed",
    [
        {"pathology": Pathology.BENIGN},
        {"label_is_fair": False},
        {"read": lambda: Mammogram(np.ones((100, 100), dtype=np.float32))},
        {"read_lesions": lambda _: (Lesion(filled(WRONG), outlined=True, kind=FindingKind.MASS),)},
    ],
)
def test_an_image_of_the_same_name_with_another_truth_is_observed_again(
    changed: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "observations.jsonl"
    observe_all(PARTS, [case("one")], ObservationFile(path, "a"), lambda *_: None)
    other = case("one", **changed)
    seen, _ = observe_all(PARTS, [other], ObservationFile(path, "a"), lambda *_: None)
    assert seen == [observe(PARTS, read_truth(other))]
    assert ObservationFile(path, "a").seen["one"] == seen[0], "what was noted last counts"


def test_an_observation_truncated_by_a_kill_is_repeated(tmp_path: Path) -> None:
    path = tmp_path / "observations.jsonl"
    kept = ObservationFile(path, "a")
    for observation in (image("1", "a", lesion()), image("2", "b")):
        kept.add(observation)
    path.write_bytes(path.read_bytes()[:-20])
    assert list(ObservationFile(path, "a").seen) == ["1"]
    ObservationFile(path, "a").add(image("2", "b"))
    assert list(ObservationFile(path, "a").seen) == ["1", "2"]


def test_every_observation_is_read_back_unchanged(tmp_path: Path) -> None:
    kept = ObservationFile(tmp_path / "observations.jsonl", "a")
    for observation in many(4):
        kept.add(observation)
    assert list(ObservationFile(tmp_path / "observations.jsonl", "a").seen.values()) == many(4)


def test_observations_of_other_models_are_not_reused(tmp_path: Path) -> None:
    path = tmp_path / "observations.jsonl"
    ObservationFile(path, "a").add(image("1", "a"))
    with pytest.raises(EvaluationError, match="other models"):
        ObservationFile(path, "b")
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(EvaluationError, match="line 3 is damaged"):
        ObservationFile(path, "a")
