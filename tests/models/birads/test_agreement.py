"""Implied and assigned categories: figures as in scikit-learn, the rule, and a sentence where there is no figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from models.birads.agreement import Compared, kappa, probabilities
from models.birads.calibration import Calibration, Level, Method
from models.evaluation.agreement_plots import plots
from models.evaluation.agreement_tables import agreement_table, area_table, confusion_table, decision_table
from models.evaluation.tables import Absent, Cell, Draws, Table
from models.measures.detection import Figure
from models.types.birads import Agreement, Category, Likelihood, most_severe

FEW = Draws(seed=3, resamples=50)


PROBABILITIES = {"1-2": 0.001, "3": 0.01, "4A": 0.05, "4B": 0.3, "4C": 0.7, "5": 0.97}


def breast(
    implied: str | None,
    assigned: str | None,
    malignant: bool | None = None,
    patient: str = "P",
    score: float | None = None,
) -> Compared:
    """With a probability in the implied category's range; it is also the score if none is given."""
    score = PROBABILITIES.get(implied or "", 0.5) if score is None else score
    likelihood = Likelihood(score, Category(implied)) if implied else None
    return Compared(patient, score, likelihood, 0.1, Category(assigned) if assigned else None, malignant)


def ours(table: Table, name: str) -> dict[str, Cell]:
    (row,) = [row for row in table.rows if row.name == name and not row.theirs]
    return dict(zip(table.columns, row.cells, strict=True))


def value(cell: Cell) -> float:
    assert isinstance(cell, Figure), cell
    return cell.value


def drawn_breasts(count: int = 60) -> list[Compared]:
    draw = np.random.default_rng(5)
    implied = [str(draw.choice(["1-2", "3", "4A", "4C"])) for _ in range(count)]
    return [
        breast(
            category,
            str(draw.choice(["0", "1", "2", "3", "4", "5"])),
            bool(draw.random() < 0.4),
            f"P{number // 2}",
            PROBABILITIES[category] * float(draw.uniform(0.9, 1)),
        )
        for number, category in enumerate(implied)
    ]


def calls(some: Sequence[Compared]) -> tuple[list[bool], list[bool], list[bool]]:
    """Counted by hand: what models and radiologists recall, and what is malignant."""
    return (
        [breast.likelihood is not None and breast.likelihood.category in ("4A", "4B", "4C", "5") for breast in some],
        [breast.assigned in ("0", "4", "4A", "4B", "4C", "5") for breast in some],
        [bool(breast.malignant) for breast in some],
    )


@pytest.mark.parametrize(
    ("implied", "assigned", "agreement"),
    [
        ("3", "2", Agreement.AGREE),
        ("4A", "4C", Agreement.AGREE),
        ("4A", "3", Agreement.AI_HIGHER),
        ("3", "4", Agreement.AI_LOWER),
        ("1-2", "0", Agreement.AI_LOWER),
        ("5", "0", Agreement.AGREE),
        ("5", "6", Agreement.NOT_COMPARED),
        (None, "5", Agreement.NOT_COMPARED),
        ("5", None, Agreement.NOT_COMPARED),
    ],
)
def test_categories_up_to_3_count_as_no_recall_0_and_above_3_as_recall_and_6_is_left_out(
    implied: str | None, assigned: str | None, agreement: Agreement
) -> None:
    assert breast(implied, assigned).agreement is agreement


def test_agreement_and_kappa_equal_those_of_scikit_learn() -> None:
    some = drawn_breasts()
    models, radiologists, _ = calls(some)
    row = ours(agreement_table(some, Level.BREAST, FEW), "all")
    assert (row["patients"], row["breasts"]) == (30, 60)
    assert value(row["agree on recall"]) == pytest.approx(accuracy_score(models, radiologists))
    assert value(row["Cohen's kappa"]) == pytest.approx(cohen_kappa_score(models, radiologists))
    assert sum(value(row[column]) for column in list(Agreement)[:3]) == pytest.approx(1)
    figure = row["Cohen's kappa"]
    assert isinstance(figure, Figure)
    assert figure.low < figure.value < figure.high


def test_every_table_states_the_rule_for_a_recall() -> None:
    for table in (agreement_table([], Level.BREAST, FEW), decision_table([], Level.BREAST, FEW)):
        assert "the radiologist's category above 3 or 0; 6, known cancer, is left out" in " ".join(table.notes)


def test_models_and_radiologists_are_compared_with_pathology_on_the_same_breasts() -> None:
    some = drawn_breasts()
    models, radiologists, malignant = calls(some)
    table = decision_table([*some, breast("5", "6", True), breast("4A", None, True)], Level.BREAST, FEW)
    for name, called in (("models, with a category", models), ("radiologists", radiologists)):
        row = ours(table, name)
        assert (row["breasts"], row["malignant"]) == (60, sum(malignant))
        for column, measure in (
            ("accuracy", accuracy_score),
            ("F1", f1_score),
            ("precision", precision_score),
            ("recall", recall_score),
        ):
            assert value(row[column]) == pytest.approx(measure(malignant, called)), (name, column)
    assert ours(table, "models")["breasts"] == 61
    (theirs,) = [row for row in table.rows if row.name == "BI-RADS > 3"]
    assert theirs.theirs.startswith("paper A, Table 1: theirs, on CBIS-DDSM")
    assert theirs.cells[-4:] == (0.51, 0.57, 0.48, 0.69)


def test_the_area_under_the_curve_equals_that_of_scikit_learn() -> None:
    some = drawn_breasts()
    row = ours(area_table(some, Level.BREAST, FEW), "the models' probability")
    *_, malignant = calls(some)
    assert value(row["AUC"]) == pytest.approx(roc_auc_score(malignant, [breast.score for breast in some]))


def test_scores_without_calibration_have_an_area_under_the_curve_and_imply_no_category() -> None:
    some = [
        breast(None, "4" if number % 2 else "2", number % 3 == 0, f"P{number}", number / 20) for number in range(20)
    ]
    area = area_table(some, Level.BREAST, FEW)
    assert isinstance(ours(area, "the models' score")["AUC"], Figure)
    assert "imply no category" in area.notes[0]
    decisions = decision_table(some, Level.BREAST, FEW)
    absent = ours(decisions, "models")["accuracy"]
    assert isinstance(absent, Absent)
    assert "imply no category" in absent.not_measured
    assert isinstance(ours(decisions, "radiologists")["accuracy"], Figure)
    none = next(row for row in confusion_table(some).rows if row.name == "none: no probability")
    assert sum(int(str(cell)) for cell in none.cells) == 20


def test_kappa_is_not_given_if_all_breasts_or_none_are_recalled() -> None:
    row = ours(agreement_table([breast("1-2", "1", patient=f"P{n}") for n in range(9)], Level.BREAST, FEW), "all")
    assert value(row["agree on recall"]) == 1
    absent = row["Cohen's kappa"]
    assert isinstance(absent, Absent)
    assert "recall every breast, or none" in absent.not_measured
    assert math.isnan(kappa(np.zeros(3, dtype=bool), np.zeros(3, dtype=bool)))


def test_one_patient_gives_figures_without_intervals_and_the_table_says_so() -> None:
    table = agreement_table([breast("4A", "2"), breast("4A", "5")], Level.BREAST, FEW)
    figure = ours(table, "all")["agree on recall"]
    assert isinstance(figure, Figure)
    assert figure.bare
    assert any("fewer than 5 patients" in sentence for sentence in table.intervals)


def test_without_data_every_cell_of_the_table_states_why() -> None:
    for table in (
        agreement_table([], Level.EXAM, FEW),
        decision_table([], Level.EXAM, FEW),
        area_table([], Level.EXAM, FEW),
    ):
        cells = [cell for row in table.rows if not row.theirs for cell in row.cells]
        assert all(cell == 0 or isinstance(cell, Absent) for cell in cells)
        assert "exam" in " ".join(table.reasons)
    assert plots([], Level.EXAM) == ()


def test_the_confusion_matrix_counts_every_category_that_was_assigned_once() -> None:
    some = [
        breast("4A", "0"),
        breast("4A", "0"),
        breast("1-2", "6"),
        breast("3", None),
        Compared("P", None, assigned=Category.TWO),
    ]
    table = confusion_table(some)
    cells = {
        (row.name, column): cell for row in table.rows for column, cell in zip(table.columns, row.cells, strict=True)
    }
    assert {at: cell for at, cell in cells.items() if cell} == {
        ("4A", "0"): 2,
        ("1-2", "6"): 1,
        ("none: not read", "2"): 1,
    }


def test_an_exams_category_is_the_most_suspicious_of_its_breasts_a_recall_above_3() -> None:
    categories = [Category.ZERO, Category.THREE, Category.TWO]
    assert most_severe(categories) is Category.ZERO
    assert most_severe([*categories, Category.FOUR]) is Category.FOUR
    assert most_severe([Category.FOUR_A, Category.FOUR]) is Category.FOUR


def test_known_cancer_in_one_breast_hides_no_new_suspicion_in_the_other() -> None:
    assert most_severe([Category.SIX, Category.ZERO]) is Category.ZERO
    assert most_severe([Category.SIX, Category.FOUR_A]) is Category.FOUR_A
    assert most_severe([Category.SIX, Category.TWO]) is Category.SIX


def test_probabilities_at_another_prevalence_equal_those_of_the_calibration() -> None:
    calibration = Calibration(Level.BREAST, Method.PLATT, {"slope": (1.3,), "offset": (-0.4,)}, 0.2, 50, 50)
    stated, moved = calibration.at_prevalence(0.01), calibration.at_prevalence(0.3)
    some = [Compared("P", score, stated.likelihood(score), 0.01) for score in (0.1, 0.5, 0.9)]
    assert probabilities(some, 0.3) == pytest.approx([moved.probability(score) for score in (0.1, 0.5, 0.9)])


def test_a_plot_is_drawn_only_if_its_data_exist() -> None:
    some = drawn_breasts()
    assert [plot.id for plot in plots(some, Level.BREAST)] == ["confusion", "roc", "reliability"]
    without = [
        Compared(breast.patient, breast.score, breast.likelihood, breast.prior, breast.assigned) for breast in some
    ]
    assert [plot.id for plot in plots(without, Level.BREAST)] == ["confusion"]
    for plot in plots(some, Level.BREAST):
        assert "Research use only" in plot.svg
        assert plot.svg.endswith("</svg>")
