"""Calibrations are fitted on what the node shows: findings, breasts and exams, by the combination rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from drawn_cases import drawn_case, drawn_cases

from models.birads.calibration import Level
from models.datasets.case import Case, Pathology
from models.evaluation.observe import Parts, observe
from models.evaluation.reported_scores import ReportedScore, scores, scores_of
from models.evaluation.truth import read_truth
from models.pipeline import Pipeline
from models.protocols import ToOutline, ToScore
from models.types.mammogram import Laterality, Mammogram
from models.types.reading import BundleId, Detection, FindingKind
from models.types.region import Box, Mask

CORNER = Box(2, 0, 10, 8)
LEFT, RIGHT = Laterality.LEFT, Laterality.RIGHT


@dataclass(frozen=True)
class Finds:
    """Finds the same boxes everywhere."""

    boxes: Sequence[Box] = ()

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        return [tuple(Detection(box, FindingKind.MASS, 0.9) for box in self.boxes) for _ in images]


class DrawsNothing:
    """The box is used as the outline."""

    def segment(self, images: Sequence[ToOutline]) -> list[list[Mask | None]]:
        return [[None] * len(asked.lesions) for asked in images]


def brightness(image: Mammogram, box: Box | None = None) -> float:
    return float(image.pixels[box.slices if box else ...].mean())


class Brightness:
    """The brighter the lesion, the higher the score."""

    scores_images_alone = True

    def classify(self, images: Sequence[ToScore]) -> list[tuple[float, list[float]]]:
        return [
            (brightness(asked.image), [brightness(asked.image, mask.box) for mask in asked.masks]) for asked in images
        ]


def scored(cases: Sequence[Case], *boxes: Box) -> list[ReportedScore]:
    reads = Pipeline(Finds(boxes), DrawsNothing(), Brightness(), BundleId("test", "1"), 0.1, lambda: 0.0)
    return scores(reads, cases)


def drawn_box(case: Case) -> Box:
    (lesion,) = case.read_lesions(case.read())
    return lesion.mask.box


@pytest.mark.parametrize("pathology", [Pathology.BENIGN, Pathology.MALIGNANT])
def test_a_finding_has_the_label_of_its_lesion_and_a_false_positive_is_not_malignant(
    pathology: Pathology,
) -> None:
    case = drawn_case(1, pathology)
    found = [finding for finding in scored([case], drawn_box(case), CORNER) if finding.level is Level.LESION]
    met, missed = sorted(found, key=lambda finding: -finding.score)
    assert (met.malignant, missed.malignant) == (pathology is Pathology.MALIGNANT, False)


def test_a_lesion_that_is_not_found_has_no_score() -> None:
    assert [scored_case.level for scored_case in scored([drawn_case(1, Pathology.MALIGNANT)])] == [Level.IMAGE]


def test_a_finding_outside_drawn_lesions_has_no_label_if_lesions_may_be_undrawn() -> None:
    malignant, benign = (
        replace(drawn_case(at, pathology, lesion=False), marked_up=False)
        for at, pathology in enumerate((Pathology.MALIGNANT, Pathology.BENIGN))
    )
    assert [scored_case.level for scored_case in scored([malignant], CORNER)] == [Level.IMAGE]
    assert [scored_case.malignant for scored_case in scored([benign], CORNER)] == [False, False]


def test_an_image_whose_format_reveals_its_label_is_not_scored() -> None:
    unfair = [drawn_case(20 + at, Pathology.MALIGNANT, fair=False) for at in range(3)]
    assert len({scored_case.patient for scored_case in scored([*drawn_cases(2), *unfair], CORNER)}) == 2


def of_exam(exam: str | None, laterality: Laterality, number: int, pathology: Pathology = Pathology.BENIGN) -> Case:
    return replace(drawn_case(number, pathology), patients=("one",), exam=exam, laterality=laterality)


def test_a_breast_has_the_highest_score_of_its_images_and_is_malignant_if_any_of_them_is() -> None:
    first = [of_exam("first", LEFT, 0), of_exam("first", LEFT, 1, Pathology.MALIGNANT), of_exam("first", RIGHT, 2)]
    found = scored([*first, of_exam("first", RIGHT, 3), of_exam(None, RIGHT, 4)], CORNER)
    counts = {level: sum(scored_case.level is level for scored_case in found) for level in Level}
    assert counts == {Level.LESION: 5, Level.IMAGE: 5, Level.BREAST: 2, Level.EXAM: 1}
    images = [scored_case.score for scored_case in found if scored_case.level is Level.IMAGE]
    (exam,) = (scored_case for scored_case in found if scored_case.level is Level.EXAM)
    assert (exam.score, exam.malignant) == (max(images[:4]), True)
    assert [scored_case.malignant for scored_case in found if scored_case.level is Level.BREAST] == [True, False]


def test_whether_an_image_is_normal_and_the_only_one_of_its_breast_is_known() -> None:
    normal = replace(of_exam("second", LEFT, 3, Pathology.NORMAL), patients=("two",))
    cases = [of_exam("first", LEFT, 0), of_exam("first", LEFT, 1), of_exam("first", RIGHT, 2), normal]
    images = [case for case in scored(cases) if case.level is Level.IMAGE]
    assert [image.alone for image in images] == [False, False, True, True]
    assert [image.normal for image in images] == [False, False, False, True]
    (breast,) = (case for case in scored(cases) if case.level is Level.BREAST)
    assert not breast.normal


def test_a_view_that_is_not_scored_does_not_hide_the_breast_of_the_other() -> None:
    other_view = replace(of_exam("first", LEFT, 1), label_is_fair=False)
    (image,) = (case for case in scored([of_exam("first", LEFT, 0), other_view]) if case.level is Level.IMAGE)
    assert image.alone


def test_an_incomplete_breast_or_exam_has_no_score() -> None:
    cases = [of_exam("first", LEFT, 0), of_exam("first", LEFT, 1), of_exam("first", RIGHT, 2), of_exam("next", LEFT, 3)]
    levels = [scored_case.level for scored_case in scored(cases)]
    assert levels.count(Level.BREAST) == 1
    assert Level.EXAM not in levels


def test_what_an_evaluation_observed_has_the_scores_that_the_node_reports() -> None:
    """So held-out images are read once, for their figures and for their calibration."""
    cases = [of_exam("first", LEFT, 0), of_exam("first", LEFT, 1, Pathology.MALIGNANT), *drawn_cases(3)]
    unfair = drawn_case(20, Pathology.MALIGNANT, fair=False)
    boxes = CORNER, drawn_box(cases[0]), drawn_box(cases[1])
    parts = Parts(Finds(boxes), None, Brightness(), 1, 0.5, 10, 0.1)
    seen = [observe(parts, read_truth(case)) for case in [*cases, unfair]]
    assert sorted(map(repr, scores_of(seen))) == sorted(map(repr, scored(cases, *boxes)))
