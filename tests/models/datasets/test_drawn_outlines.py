"""Where only boxes are known, classifiers see outlines that a segmenter draws once; the truth stays the boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from drawn_cases import drawn_case

from models.datasets.case import Case, Cases, Lesion, Pathology
from models.datasets.drawn_outlines import Outlines, with_drawn_outlines
from models.evaluation.truth import read_truth
from models.protocols import ToOutline
from models.training.classifier.samples import Wanted, read_samples
from models.types.region import Box, Mask

WANTED = Wanted(images=False, lesions=True, frame_px=96)


class Triangles:
    """Draws the lower left half of each box that is higher than 10 pixels; counts the boxes."""

    def __init__(self) -> None:
        self.drawn = 0

    def segment(self, images: Sequence[ToOutline]) -> list[list[Mask | None]]:
        boxes = [[box for box, _ in asked.lesions] for asked in images]
        self.drawn += sum(map(len, boxes))
        return [[_triangle(box) for box in of_image] for of_image in boxes]


def _triangle(box: Box) -> Mask | None:
    return Mask(box, np.tri(box.height, box.width, dtype=np.bool_)) if box.height > 10 else None


def outlined(cases: Sequence[Case], segmenter: Triangles, folder: Path, identity: str = "triangles") -> list[Case]:
    outlines = Outlines(lambda: segmenter, identity, folder / "outlines", 0.1)
    return list(with_drawn_outlines(Cases(tuple(cases), ()), outlines).cases)


def lesion_of(case: Case) -> Lesion:
    (lesion,) = case.read_lesions(case.read())
    return lesion


def test_an_outline_is_drawn_once_and_read_afterwards(tmp_path: Path) -> None:
    boxed = drawn_case(1, Pathology.MALIGNANT, outlined=False)
    segmenter = Triangles()
    first, second = (lesion_of(outlined([boxed], segmenter, tmp_path)[0]) for _ in range(2))
    assert segmenter.drawn == 1
    assert first.drawn is not None
    assert second.drawn is not None
    assert np.array_equal(first.shown.full((96, 72)), second.shown.full((96, 72)))
    assert second.drawn.area_px < second.mask.area_px
    lesion_of(outlined([boxed], segmenter, tmp_path, "another")[0])
    assert segmenter.drawn == 2


def test_the_truth_stays_the_box_and_a_persons_outline_is_never_replaced(tmp_path: Path) -> None:
    boxed, drawn = (drawn_case(1, Pathology.MALIGNANT, outlined=outlined) for outlined in (False, True))
    segmenter = Triangles()
    of_box, of_outline = map(lesion_of, outlined([boxed, drawn], segmenter, tmp_path))
    assert not of_box.outlined
    assert of_box.mask.crop.all()
    assert of_outline.drawn is None
    assert of_outline.shown is of_outline.mask
    assert segmenter.drawn == 1


def test_a_classifier_is_trained_on_the_drawn_outline_and_its_observation_depends_on_it(tmp_path: Path) -> None:
    boxed = drawn_case(1, Pathology.MALIGNANT, outlined=False)
    (case,) = outlined([boxed], Triangles(), tmp_path)
    box, outline = (read_samples([some], WANTED).lesions[0] for some in (boxed, case))
    assert outline.outlined
    assert not box.outlined
    assert outline.drawn is not None
    assert box.drawn is not None
    assert outline.drawn.sum() < box.drawn.sum()
    assert read_truth(case).digest != read_truth(boxed).digest
