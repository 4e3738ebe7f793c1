"""Comparison of recipes: the tables of made-up observations."""

from __future__ import annotations

from dataclasses import replace

import pytest
from observations import image, lesion, many, overlap

from models.bundles.bundle import Bundle, find_bundle, read_bundle
from models.evaluation.evaluation import Observed
from models.evaluation.observations import THRESHOLDS, Observation
from models.evaluation.tables import About, Absent, Draws, Table
from models.measures.detection import Figure
from models.training.ablation import Contender, any_recipe
from models.training.ablation_report import ablation_report

ABOUT = About("made up", "made up", ("made-up",), "all images")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return replace(read_bundle(find_bundle("research-default")), calibration={})


def tables(*contenders: Contender) -> dict[str, Table]:
    (section,) = ablation_report(ABOUT, contenders, Draws(seed=1, resamples=60)).sections
    return {table.id: table for table in section.tables}


def contender(bundle: Bundle, recipe: str, seen: list[Observation], detector: str = "") -> Contender:
    return Contender(any_recipe(recipe), (bundle,), (Observed(tuple(seen), None, ()),), detector)


def better(seen: list[Observation]) -> list[Observation]:
    """The same observations with every Dice higher by 0.01."""
    return [
        replace(
            observation,
            lesions=tuple(
                replace(marked, by_true_box=tuple(overlap(drawn.dice + 0.01) for drawn in marked.by_true_box))
                for marked in observation.lesions
            ),
        )
        for observation in seen
    ]


def width(figure: object) -> float:
    assert isinstance(figure, Figure)
    return figure.high - figure.low


def test_a_difference_of_one_point_is_reported_even_if_each_interval_is_wider(bundle: Bundle) -> None:
    seen = many()
    found = tables(contender(bundle, "hq-sam-tiny", seen), contender(bundle, "mlsam-tiny", better(seen)))
    dice = [row.cells[3] for row in found["B4"].rows[:2]]
    (row,) = found["B4-differences"].rows
    between = row.cells[3]
    assert row.name == "mlsam-tiny − hq-sam-tiny"
    assert isinstance(between, Figure)
    assert between.value == pytest.approx(0.01, abs=0.002)
    assert between.low > 0
    assert width(between) < 0.1 * min(map(width, dice))


def test_a_single_recipe_has_no_table_of_differences(bundle: Bundle) -> None:
    for recipe in ("yolo-mlsam-detector", "mlsam-tiny", "efficientnet-mask"):
        assert not [name for name in tables(contender(bundle, recipe, many())) if name.endswith("-differences")]


def test_table_5_measures_detector_and_segmenter_together_and_an_undetected_lesion_counts_as_0(bundle: Bundle) -> None:
    seen = [image("1", "a", lesion((0.8,))), image("2", "b", lesion((0.8,), found=False))]
    behind, alone = contender(bundle, "mlsam-tiny", seen, "yolo"), contender(bundle, "hq-sam-tiny", seen)
    found = tables(behind, alone)
    ours = {row.name: row.cells[3] for row in found["B5"].rows if not row.theirs}
    (whole,) = [cell for name, cell in ours.items() if name == "yolo + mlsam-tiny, fold 1"]
    assert isinstance(whole, Figure)
    assert whole.value == pytest.approx(0.4)
    assert isinstance(ours["hq-sam-tiny"], Absent)
    assert "--base" in ours["hq-sam-tiny"].not_measured
    thresholds = [row.name for row in found["thresholds"].rows if not row.theirs]
    assert thresholds == [f"yolo + mlsam-tiny, {at:g}" for at in THRESHOLDS]
    true_box = found["folds"].rows[0].cells[3]
    assert isinstance(true_box, Figure)
    assert true_box.value == pytest.approx(0.8)


def test_rows_for_comparison_with_the_paper_are_also_given_for_masses_alone(bundle: Bundle) -> None:
    rows = {row.name: row for row in tables(contender(bundle, "efficientnet-mask", many()))["A1"].rows}
    every, masses = (rows[f"efficientnet-mask, {what}"].counts for what in ("lesions", "masses"))
    assert every is not None
    assert masses is not None
    assert 0 < masses.images < every.images


def test_an_ablation_has_confusion_matrices_and_the_differences_of_every_row(bundle: Bundle) -> None:
    seen = [replace(observation, hospital="AB"[at % 2], birads="4") for at, observation in enumerate(many())]
    found = tables(contender(bundle, "efficientnet-whole", seen))
    confusion = found["confusion"]
    names = [row.name for row in confusion.rows]
    assert "efficientnet-whole, images with masses" in names
    assert "BI-RADS > 3 = malignant (0 a recall), masses" in names
    for row in confusion.rows:
        assert row.counts is not None
        assert sum(cell for cell in row.cells if isinstance(cell, int)) == row.counts.images
    assert {row.name for row in found["A1-paper"].rows} == set(names)
    assert len(found["A1-radiologists"].rows) == 4
    assert len(found["areas-hospitals"].rows) == 4


def test_masses_are_compared_with_the_radiologists_even_if_no_recipe_scores_whole_images(bundle: Bundle) -> None:
    seen = [replace(observation, score=None) for observation in many()]
    found = tables(contender(bundle, "efficientnet-mask", seen))
    rows = {row.name: row for row in found["A1"].rows}
    counts = rows["BI-RADS > 3 = malignant (0 a recall), masses"].counts
    assert counts is not None
    assert counts == rows["efficientnet-mask, masses"].counts
    differences = {row.name: row.cells for row in found["A1-radiologists"].rows}
    (of_masses,) = [cells for name, cells in differences.items() if name.endswith("(0 a recall), masses")]
    assert all(isinstance(cell, Figure) for cell in of_masses)


def test_a_classifier_of_several_folds_has_a_row_for_each_their_mean_and_their_spread(bundle: Bundle) -> None:
    halves = [[replace(observation, birads="4") for observation in many()][part] for part in (slice(5), slice(5, None))]
    one = contender(bundle, "efficientnet-mask", many())
    assert "A1-folds" not in tables(one)
    folds = tuple(Observed(tuple(half), None, ()) for half in halves)
    rows = {row.name: row for row in tables(replace(one, bundles=(bundle, bundle), folds=folds))["A1-folds"].rows}
    cells = [rows[f"efficientnet-mask, fold {number}"].cells[0] for number in (1, 2)]
    first, second = (cell.value for cell in cells if isinstance(cell, Figure))
    assert first != second
    assert rows["efficientnet-mask, mean"].cells[0] == pytest.approx((first + second) / 2)
    assert rows["efficientnet-mask, spread"].cells[0] == pytest.approx(abs(first - second) / 2**0.5)
    counted = [rows[name].counts for name in ("efficientnet-mask, fold 1", "efficientnet-mask, fold 2")]
    whole = rows["efficientnet-mask, mean"].counts
    assert whole is not None
    assert whole.images == sum(fold.images for fold in counted if fold is not None)
    assert len([name for name in rows if name.startswith("BI-RADS > 3 = malignant (0 a recall)")]) == 4
