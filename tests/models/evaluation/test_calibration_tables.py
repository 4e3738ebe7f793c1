"""An evaluation says what a bundle's probabilities are worth, and which categories they imply."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from observations import many

from models.birads.agreement import IMPLIED
from models.birads.calibration import Calibration, Level, Method
from models.evaluation.calibration import COLUMNS, calibration_figures, calibration_table, categories_table
from models.evaluation.observations import Observation
from models.evaluation.reported_scores import ReportedScore, composed, scores_of
from models.evaluation.tables import Absent, Draws
from models.measures.detection import Figure, with_interval
from models.measures.scores import calibration_line
from models.training.held_out_figures import calibration_lines

pytestmark = pytest.mark.slow

DRAWS = Draws(resamples=50)
FITTED = {level: Calibration(level, Method.PLATT, {"slope": (1.0,), "offset": (0.0,)}, 0.5, 40, 20) for level in Level}
COMPOSED = FITTED | {level: replace(FITTED[level], composed=True) for level in (Level.BREAST, Level.EXAM)}


def seen() -> list[Observation]:
    """Every proposal that is confident enough is shown, and scored."""
    return [
        replace(
            image,
            proposals=tuple(
                replace(each, shown=each.confidence >= 0.4, malignancy=0.7 if each.confidence >= 0.4 else None)
                for each in image.proposals or ()
            ),
        )
        for image in many()
    ]


def test_each_level_has_its_line_or_the_reason_why_it_has_none() -> None:
    table = calibration_table(seen(), {Level.IMAGE: FITTED[Level.IMAGE]}, DRAWS)
    assert table.columns == COLUMNS
    lesion, image, breast, exam = table.rows
    assert all(isinstance(cell, Figure) for cell in image.cells)
    assert all(isinstance(cell, Absent) for row in (lesion, breast, exam) for cell in row.cells)
    assert image.counts is not None
    assert (image.counts.patients, image.counts.images) == (24, 48)


def test_breasts_and_exams_are_composed_as_they_were_in_the_fit() -> None:
    own, composed = (calibration_table(seen(), fitted, DRAWS).rows for fitted in (FITTED, COMPOSED))
    assert [row.name for row in own] == list(Level)
    assert own[3].counts is not None
    assert own[3].counts.images == 0, "no exam has both breasts"
    assert isinstance(own[3].cells[0], Absent)
    assert "different patients" in composed[3].name
    assert isinstance(composed[3].cells[0], Figure)


@pytest.mark.parametrize("fitted", [FITTED, COMPOSED])
def test_the_figures_of_a_training_are_those_of_an_evaluation(fitted: dict[Level, Calibration]) -> None:
    lines = calibration_lines(fitted, scores_of(seen()))
    rows = calibration_table(seen(), fitted, Draws(1, 500)).rows
    shown = [cell for row in rows for cell in row.cells[:2] if isinstance(cell, Figure)]
    assert [[cell.value, cell.low, cell.high] for cell in shown] == [lines[name] for name in lines]


def test_the_interval_of_composed_exams_takes_in_the_chance_of_both_patients() -> None:
    """Five partners without cancer for forty patients with it: who these five are decides the line."""
    draw = np.random.default_rng(3)
    scored = [
        ReportedScore(
            Level.IMAGE, float(1 / (1 + np.exp(-draw.normal(1.5 * malignant)))), malignant, f"{number}-{malignant}"
        )
        for malignant, count in ((True, 40), (False, 6))
        for number in range(count)
    ]
    found = calibration_figures(COMPOSED[Level.EXAM], scored, DRAWS)
    assert found is not None
    exams = composed(scored, Level.EXAM)
    assert (len(exams), sum(exam.malignant for exam in exams)) == (40 * 6 + 6 * 5, 40 * 6)
    here = COMPOSED[Level.EXAM].at_prevalence(40 * 6 / len(exams))
    said = np.array([here.probability(exam.score) for exam in exams])
    malignant = np.array([exam.malignant for exam in exams])
    line = calibration_line(said, malignant)
    assert (found[0].value, found[1].value) == pytest.approx(line)
    conditional = with_interval(
        [exam.patient for exam in exams if exam.malignant],
        lambda at: calibration_line(
            np.concatenate((said[malignant][at], said[~malignant])), np.repeat([True, False], [len(at), 30])
        )[1],
        1,
        50,
    )
    assert found[1].high - found[1].low > 1.5 * (conditional.high - conditional.low)


def test_exams_of_too_few_patients_of_either_sort_have_no_interval() -> None:
    scored = [ReportedScore(Level.IMAGE, 0.2 + number / 50, number < 4, str(number)) for number in range(30)]
    found = calibration_figures(COMPOSED[Level.EXAM], scored, DRAWS)
    assert found is not None
    assert all(figure.bare for figure in found)


def test_the_shares_of_the_implied_categories_make_a_whole() -> None:
    table = categories_table(seen(), COMPOSED)
    assert table.columns == tuple(map(str, IMPLIED))
    assert {row.name.rpartition(", ")[2] for row in table.rows} == {"malignant", "benign", "normal"}
    for row in table.rows:
        shares = [cell for cell in row.cells if isinstance(cell, float)]
        assert len(shares) == len(IMPLIED)
        assert sum(shares) == pytest.approx(1)


def test_an_uncalibrated_bundle_implies_no_category() -> None:
    (row,) = categories_table(seen(), {}).rows
    assert all(isinstance(cell, Absent) for cell in row.cells)
