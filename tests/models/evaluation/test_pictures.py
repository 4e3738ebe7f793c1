"""The pages of pictures show the best and the worst results alike, and mark what was found, missed and wrong."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_cases import drawn_case
from observations import image, lesion

from models.datasets.case import Case, Pathology
from models.evaluation.observations import Observation, Proposal
from models.evaluation.pictures import MANY, draw, in_thirds, result_of, write_pictures
from models.types.reading import FindingKind
from models.types.region import Box

WRONG = Box(60, 5, 75, 20)


def seen(number: int, sure: float | None, wrong: float | None) -> tuple[Observation, Case]:
    """An image with a lesion, found with this confidence (None: missed), and a wrong proposal."""
    case = drawn_case(number, Pathology.MALIGNANT)
    (drawn,) = case.read_lesions(case.read())
    proposals = [
        Proposal(box, FindingKind.MASS, confidence, of, shown=True)
        for box, confidence, of in ((drawn.mask.box, sure, 0), (WRONG, wrong, None))
        if confidence is not None
    ]
    plain = image(case.name, case.patient, replace(lesion(), box=drawn.mask.box, found=sure is not None))
    return replace(plain, dataset="drawn", proposals=tuple(proposals)), case


@pytest.mark.parametrize(
    ("sure", "wrong", "result"), [(0.9, None, 0.9), (0.9, 0.3, 0.6), (None, None, 0.0), (None, 0.8, -0.8)]
)
def test_a_result_is_the_better_the_surer_the_lesion_and_the_less_sure_what_is_wrong(
    sure: float | None, wrong: float | None, result: float
) -> None:
    assert result_of(seen(1, sure, wrong)[0]) == pytest.approx(result)


def test_of_each_third_as_many_pictures_are_drawn_and_always_the_same_ones() -> None:
    observations = [seen(number, number / 100, None)[0] for number in range(1, 61)]
    best, middle, worst = in_thirds(observations)
    assert [len(third) for third in (best, middle, worst)] == [20, 20, 20]
    assert min(map(result_of, best)) > max(map(result_of, middle)) > max(map(result_of, worst))
    assert len(draw(worst, 1)) == MANY
    assert draw(worst, 1) == draw(worst, 1) != draw(worst, 2)
    assert draw(worst[:3], 1) == worst[:3]


def test_found_and_wrong_proposals_are_marked_in_colours_of_their_own(tmp_path: Path) -> None:
    observations, cases = zip(seen(1, 0.9, 0.3), seen(2, None, None), strict=True)
    (page,) = write_pictures(observations, cases, tmp_path, 1)
    html = page.read_text()
    assert page.name == "pictures-drawn.html"
    assert "1 of 1 lesion found, 1 wrong" in html
    assert "0 of 1 lesion found, 0 wrong" in html
    pictures = [
        cv2.imdecode(np.frombuffer(base64.b64decode(jpeg), dtype=np.uint8), cv2.IMREAD_COLOR).astype(int)
        for jpeg in re.findall(r"base64,([^\"]+)", html)
    ]
    blue, green, red = (
        [int((picture[..., at] - picture[..., [other for other in range(3) if other != at]].max(axis=2) > 30).sum())
         for picture in pictures]
        for at in range(3)
    )  # fmt: skip
    assert blue[1] > 20, "the lesion that was missed"
    assert min(green[0], red[0]) > 20
    assert green[1] == red[1] == 0


def test_a_set_in_which_not_all_lesions_are_drawn_has_no_page(tmp_path: Path) -> None:
    observation, case = seen(1, 0.9, None)
    assert write_pictures([replace(observation, marked_up=False)], [case], tmp_path, 1) == []
