"""Areas within hospitals, and the differences of the models to the radiologists and to the paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from evaluation_reports import DRAWS, row_of, table_of, value_of
from hypothesis import given, settings
from hypothesis import strategies as st
from observations import image, lesion

from models.datasets.case import Pathology
from models.evaluation.malignancy import malignancy_section
from models.evaluation.observations import Observation
from models.evaluation.radiologists import birads_differences, image_calls, paper_differences
from models.evaluation.scored import scored_images
from models.evaluation.subgroups import subgroups_section
from models.evaluation.tables import Absent
from models.measures.detection import auc, auc_within


def films() -> list[Observation]:
    """Hospital A: mostly malignant and high scores; B: mostly benign and low scores. Within each, they say nothing."""
    made = []
    for hospital, malignant, benign, score in (("A", 8, 2, 0.8), ("B", 2, 8, 0.2)):
        for number in range(malignant + benign):
            name = f"{hospital}{number}"
            seen = image(name, name, *([lesion()] if number < malignant else []))
            made.append(replace(seen, score=score, hospital=hospital))
    return made


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.booleans(), st.sampled_from("ABC")),
        min_size=1,
        max_size=14,
    )
)
def test_the_area_within_groups_is_the_share_of_rightly_ordered_pairs_of_one_group(
    items: list[tuple[int, bool, str]],
) -> None:
    pairs = [
        1.0 if score > other else 0.5 if score == other else 0.0
        for score, malignant, group in items
        for other, ill, its_group in items
        if malignant and not ill and group == its_group
    ]
    scores = np.array([score for score, _, _ in items], dtype=np.float64)
    malignant = np.array([ill for _, ill, _ in items])
    groups = np.array([group for _, _, group in items])
    expected = float(np.mean(pairs)) if pairs else float("nan")
    assert auc_within(scores, malignant, groups) == pytest.approx(expected, nan_ok=True)
    assert auc_within(scores, malignant, np.full(len(items), "A")) == pytest.approx(auc(scores, malignant), nan_ok=True)


def test_a_score_that_only_tells_hospitals_apart_has_no_area_within_hospitals() -> None:
    areas = table_of(malignancy_section(films(), None, {}, DRAWS), "areas")
    pooled, within, _ = row_of(areas, "images (").cells
    assert value_of(pooled) > 0.75
    assert value_of(within) == 0.5
    assert row_of(areas, "images, hospital A").name == "images, hospital A (8 malignant, 2 not)"
    by_hospital = table_of(subgroups_section(films(), DRAWS), "by-hospital")
    assert [row.name for row in by_hospital.rows] == ["A", "B"]


def test_without_hospitals_the_area_within_them_is_not_measured_and_the_others_are() -> None:
    areas = table_of(malignancy_section([replace(film, hospital="") for film in films()], None, {}, DRAWS), "areas")
    pooled, within, _ = row_of(areas, "images").cells
    assert value_of(pooled) > 0.75
    assert isinstance(within, Absent)
    assert "hospital" in within.not_measured


def read_by_radiologists() -> list[Observation]:
    """Twelve images; the radiologists recalled the malignant ones, half of them by a 0."""
    images = []
    for number in range(12):
        ill = number % 2 == 0
        seen = image(str(number), str(number), *([lesion()] if ill else []))
        birads = ("0" if number % 4 else "5") if ill else "2"
        pathology = Pathology.MALIGNANT if ill else Pathology.BENIGN
        images.append(replace(seen, birads=birads, pathology=pathology, score=0.9 if number < 6 else 0.1))
    return images


def test_models_are_compared_with_the_radiologists_on_the_same_images_by_both_rules() -> None:
    seen = read_by_radiologists()
    (table,) = birads_differences({"ours": scored_images(seen)}, {}, seen, DRAWS)
    recall, literal = (row for row in table.rows if row.name.endswith("images"))
    assert recall.name == "ours − BI-RADS > 3 = malignant (0 a recall), images"
    ours = np.mean([((observation.score or 0) >= 0.5) == observation.malignant for observation in seen])
    assert value_of(recall.cells[0]) == pytest.approx(ours - 1)
    assert value_of(literal.cells[0]) == pytest.approx(ours - 0.75)
    assert recall.counts is not None
    assert recall.counts.images == 12


def test_the_papers_best_figures_are_subtracted_from_ours() -> None:
    calls = image_calls(read_by_radiologists())["BI-RADS > 3 = malignant (0 a recall)"]
    (table,) = paper_differences({"radiologists": calls}, DRAWS)
    assert [value_of(cell) for cell in table.rows[0].cells] == pytest.approx([1 - 0.76, 1 - 0.77, 1 - 0.75, 1 - 0.78])
