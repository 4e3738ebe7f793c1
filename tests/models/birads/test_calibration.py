"""Calibrated scores equal observed frequencies at the reading's prevalence; calibration keeps their order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from models.birads.calibration import Calibration, Level, Method, logit, prior_of
from models.evaluation.reported_scores import ReportedScore, composed
from models.measures.scores import calibration_line, weights
from models.training.calibration.fitting import calibrate, calibrate_composed, fit_calibration
from models.training.recipe import CalibrationRecipe
from models.types.birads import Category


def cases(count: int, slope: float, offset: float, seed: int = 1) -> list[ReportedScore]:
    """Scores whose logit, times `slope` plus `offset`, is the true log odds of malignancy."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, count)
    truth = 1 / (1 + np.exp(-(slope * logits + offset)))
    malignant = draw.random(count) < truth
    scores = 1 / (1 + np.exp(-logits))
    return [
        ReportedScore(Level.LESION, float(score), bool(label), str(number // 2))
        for number, (score, label) in enumerate(zip(scores, malignant, strict=True))
    ]


def test_a_known_overconfidence_is_estimated() -> None:
    found = fit_calibration(Level.LESION, cases(20_000, 0.5, 0.0), Method.TEMPERATURE)
    assert found is not None
    assert found.parameters["slope"][0] == pytest.approx(0.5, abs=0.03)
    assert found.probability(0.5) == pytest.approx(found.prevalence)
    assert (found.cases, found.patients) == (20_000, 10_000)


def test_a_known_slope_and_offset_are_estimated() -> None:
    found = fit_calibration(Level.LESION, cases(20_000, 0.7, -1.0), Method.PLATT)
    assert found.parameters["slope"][0] == pytest.approx(0.7, abs=0.03)
    assert found.parameters["offset"][0] == pytest.approx(-1.0, abs=0.06)


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_a_temperature_is_estimated_correctly_if_few_are_malignant(share: float) -> None:
    """Scores of a network trained with equal numbers of both classes: their odds lack the prior."""
    draw = np.random.default_rng(5)

    def some(count: int) -> list[ReportedScore]:
        labels = draw.random(count) < share
        logits = 2 * draw.normal(np.where(labels, 0.5, -0.5))  # of true log odds 1, stated twice as large
        scores = 1 / (1 + np.exp(-logits))
        return [
            ReportedScore(Level.IMAGE, float(score), bool(label), "p")
            for score, label in zip(scores, labels, strict=True)
        ]

    found = fit_calibration(Level.IMAGE, some(20_000), Method.TEMPERATURE)
    assert found is not None
    assert found.parameters["slope"][0] == pytest.approx(0.5, abs=0.04)
    fresh = some(20_000)
    probabilities = np.array([found.probability(case.score) for case in fresh])
    truth = np.array([case.malignant for case in fresh])
    assert probabilities.mean() == pytest.approx(share, abs=0.01)
    for low, high in ((0.0, 0.05), (0.05, 0.2), (0.2, 0.6)):
        within = (probabilities >= low) & (probabilities < high)
        assert truth[within].mean() == pytest.approx(probabilities[within].mean(), abs=0.03)
    assert found.at_prevalence(0.01).probability(0.5) == pytest.approx(0.01)


@pytest.mark.parametrize("method", [Method.PLATT, Method.ISOTONIC])
def test_calibrated_probabilities_equal_the_observed_frequencies(method: Method) -> None:
    found = fit_calibration(Level.LESION, cases(20_000, 0.5, -1.0), method)
    fresh = cases(20_000, 0.5, -1.0, seed=2)
    probabilities = np.array([found.probability(case.score) for case in fresh])
    truth = np.array([case.malignant for case in fresh])
    for low in (0.1, 0.3, 0.5):
        some = (probabilities >= low) & (probabilities < low + 0.2)
        assert truth[some].mean() == pytest.approx(probabilities[some].mean(), abs=0.03)


@pytest.mark.parametrize("method", list(Method))
def test_the_prevalence_of_the_site_changes_the_mean_and_keeps_the_order(method: Method) -> None:
    some = cases(5_000, 0.8, 0.5)
    found = fit_calibration(Level.LESION, some, method)
    at_site = found.at_prevalence(0.006)
    scores = np.array([case.score for case in some])
    truth = np.array([case.malignant for case in some])
    before, after = (np.array([calibration.probability(score) for score in scores]) for calibration in (found, at_site))
    assert roc_auc_score(truth, after) == pytest.approx(roc_auc_score(truth, before))
    assert after.mean() < 0.1 < before.mean()
    assert found.at_prevalence(found.prevalence).probability(0.3) == pytest.approx(found.probability(0.3))
    odds = [logit(calibration.probability(0.4)) for calibration in (found, at_site)]
    assert odds[1] - odds[0] == pytest.approx(logit(0.006) - logit(found.prevalence))


def test_perfectly_separated_scores_give_no_probability_of_0_or_1() -> None:
    few = [ReportedScore(Level.IMAGE, score, score > 0.5, str(score)) for score in (0.1, 0.2, 0.3, 0.7, 0.8, 0.9)]
    for method in Method:
        found = fit_calibration(Level.IMAGE, few, method)
        assert 0.01 < found.probability(0.01) < found.probability(0.99) < 0.995, method


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("misleading", [True, False])
def test_uninformative_or_inverted_scores_are_not_calibrated_and_the_reason_is_stated(
    method: Method, misleading: bool
) -> None:
    scores = np.linspace(0.05, 0.95, 40)
    wrong = [ReportedScore(Level.IMAGE, score if misleading else 0.3, score < 0.5, str(score)) for score in scores]
    found, missing = calibrate([*cases(200, 1, 0), *wrong], CalibrationRecipe(method=method.value))
    assert set(found) == {Level.LESION}
    area = "0.00, 95 % interval 0.00 to 0.00" if misleading else "0.50, 95 % interval 0.50 to 0.50"
    assert missing == [
        "Scores of the level image are not calibrated: those of the 20 malignant cases are not significantly higher "
        f"than those of the 20 others (area under the ROC curve {area})."
    ]


def test_scores_that_may_be_chance_are_not_calibrated() -> None:
    """The same scores are significant in 600 cases and not in 42."""
    few = images(21, 21, 0.4)
    assert fit_calibration(Level.IMAGE, few, Method.PLATT) is not None
    found, (why,) = calibrate(few, CalibrationRecipe())
    assert not found
    assert "not significantly higher" in why
    many = images(300, 300, 0.4)
    assert set(calibrate(many, CalibrationRecipe())[0]) == {Level.IMAGE}


def test_levels_with_too_few_cases_are_not_calibrated_and_the_reason_is_stated() -> None:
    some = [*cases(200, 1, 0), *(ReportedScore(Level.IMAGE, 0.5, number == 0, str(number)) for number in range(30))]
    found, missing = calibrate(some, CalibrationRecipe())
    assert set(found) == {Level.LESION}
    assert missing == [
        "Scores of the level image are not calibrated: 1 malignant and 29 other cases, "
        "but [calibration] least requires 10 of each."
    ]
    assert calibrate(some, CalibrationRecipe(method="none")) == ({}, [])


@pytest.mark.parametrize(("level", "in_screening"), [(Level.EXAM, 0.006), (Level.BREAST, 0.003), (Level.LESION, 0.003)])
@pytest.mark.parametrize("prevalence", [0.006, 0.3])
def test_a_likelihood_ratio_not_above_that_of_screening_implies_1_2_at_every_prevalence(
    level: Level, in_screening: float, prevalence: float
) -> None:
    worth = Calibration(level, Method.PLATT, {"slope": (1.0,), "offset": (0.0,)}, 0.5, 10, 10).at_prevalence(prevalence)

    def implied(probability: float) -> Category:
        score = 1 / (1 + np.exp(logit(prevalence) - logit(probability)))
        likelihood = worth.likelihood(float(score))
        assert likelihood.probability == pytest.approx(probability)
        return likelihood.category

    assert implied(in_screening * 0.999) is Category.ONE_OR_TWO
    assert implied(in_screening * 1.001) is Category.THREE
    assert (implied(0.0199), implied(0.0201)) == (Category.THREE, Category.FOUR_A)


def images(malignant: int, others: int, distance: float) -> list[ReportedScore]:
    """Images whose logits have unit variance; those of malignant images are higher by `distance`."""
    draw = np.random.default_rng(3)
    labels = [True] * malignant + [False] * others
    logits = [draw.normal(distance * label) for label in labels]
    return [
        ReportedScore(Level.IMAGE, float(1 / (1 + np.exp(-value))), label, str(number))
        for number, (value, label) in enumerate(zip(logits, labels, strict=True))
    ]


def test_a_breast_has_the_calibration_of_images_and_an_exam_a_lower_probability() -> None:
    """The maximum over two breasts is high more often, for any patient."""
    few = images(20, 30, 1.5)
    image = fit_calibration(Level.IMAGE, few, Method.PLATT)
    found = calibrate_composed([*few, *cases(10, 1, 0)], Method.PLATT)
    breast, exam = found[Level.BREAST], found[Level.EXAM]
    assert image is not None
    assert breast == replace(image, level=Level.BREAST, composed=True)
    assert (exam.level, exam.cases, exam.patients) == (Level.EXAM, 50, 50)
    assert exam.prevalence == pytest.approx(image.prevalence, abs=0.02)
    assert exam.probability(0.6) < image.probability(0.6)


def test_normal_cases_count_as_much_as_benign_ones_if_the_recipe_says_so() -> None:
    """Nine benign cases for a normal one, and normal ones have lower scores: benign ones would decide otherwise."""
    draw = np.random.default_rng(5)
    sorts = {"malignant": (300, 1.5), "benign": (270, 0.5), "normal": (30, -2.0)}
    some = [
        ReportedScore(
            Level.IMAGE,
            float(1 / (1 + np.exp(-draw.normal(mean)))),
            sort == "malignant",
            f"{sort}-{at}",
            sort == "normal",
        )
        for sort, (count, mean) in sorts.items()
        for at in range(count)
    ]
    plain, weighted = (fit_calibration(Level.IMAGE, some, Method.PLATT, normals) for normals in (None, 0.5))
    assert plain is not None
    assert weighted is not None
    assert (plain.normals, weighted.normals) == (None, 0.5)
    assert weighted.prevalence == plain.prevalence
    labels, normal = (np.array([getattr(case, name) for case in some]) for name in ("malignant", "normal"))
    said = np.array([weighted.probability(case.score) for case in some])
    assert calibration_line(said, labels, weights(labels, normal, 0.5)) == pytest.approx((0, 1), abs=0.06)
    assert calibration_line(said, labels) != pytest.approx((0, 1), abs=0.1)
    benign = [case for case in some if not case.normal]
    unweighted = fit_calibration(Level.IMAGE, benign, Method.PLATT, 0.5)
    assert unweighted is not None
    assert unweighted.normals is None, "without normal cases there is nothing to weigh"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_weights_give_normal_cases_their_share_and_change_no_prevalence(share: float) -> None:
    malignant = np.array([True] * 4 + [False] * 8)
    normal = np.array([False] * 10 + [True] * 2)
    found = weights(malignant, normal, share)
    assert found.mean() == pytest.approx(1)
    assert found[malignant].tolist() == [1] * 4
    assert found[normal].sum() == pytest.approx(share * 8)


def test_a_breast_of_two_views_keeps_its_score_and_an_image_without_another_view_is_a_breast() -> None:
    scored = [
        ReportedScore(Level.IMAGE, 0.2, False, "two views", alone=False),
        ReportedScore(Level.IMAGE, 0.6, True, "two views", alone=False),
        ReportedScore(Level.BREAST, 0.6, True, "two views"),
        ReportedScore(Level.IMAGE, 0.3, False, "one view", normal=True),
        ReportedScore(Level.IMAGE, 0.4, False, "another", normal=False),
    ]
    breasts = composed(scored, Level.BREAST)
    assert sorted(breast.score for breast in breasts) == [0.3, 0.4, 0.6]
    exams = composed(scored, Level.EXAM)
    assert sorted((exam.score, exam.malignant, exam.normal) for exam in exams) == [
        (0.4, False, False),
        (0.4, False, False),
        (0.6, True, False),
        (0.6, True, False),
    ]


def test_exams_composed_of_images_have_the_odds_of_the_combination_rule() -> None:
    """Of exams of two breasts, at most one of them malignant."""
    exam = calibrate_composed(images(200, 300, 2.0), Method.PLATT)[Level.EXAM]
    draw = np.random.default_rng(9)
    labels = draw.random(20_000) < 0.4
    breasts = draw.normal(size=(20_000, 2)) + 2.0 * (labels[:, None] & np.array([True, False]))
    probabilities = np.array([exam.probability(float(1 / (1 + np.exp(-value)))) for value in breasts.max(axis=1)])
    for low in (0.1, 0.3, 0.5, 0.7):
        some = (probabilities >= low) & (probabilities < low + 0.2)
        assert labels[some].mean() == pytest.approx(probabilities[some].mean(), abs=0.06)


def test_the_prevalence_per_breast_is_half_of_that_per_exam() -> None:
    assert prior_of(Level.EXAM, 0.006) == 0.006
    assert prior_of(Level.BREAST, 0.006) == 0.003


@pytest.mark.parametrize(
    ("method", "parameters", "prevalence"),
    [
        (Method.PLATT, {"slope": (1.0,)}, 0.5),
        (Method.ISOTONIC, {"scores": (0.1, 0.2), "probabilities": (0.1,)}, 0.5),
        (Method.TEMPERATURE, {"slope": (1.0, 2.0)}, 0.5),
        (Method.TEMPERATURE, {"slope": (1.0,)}, 1.0),
        (Method.TEMPERATURE, {"slope": (-0.1,)}, 0.5),
        (Method.TEMPERATURE, {"slope": (float("nan"),)}, 0.5),
        (Method.TEMPERATURE, {"slope": (1.0,)}, float("nan")),
        (Method.PLATT, {"slope": (1.0,), "offset": (float("inf"),)}, 0.5),
        (Method.PLATT, {"slope": (-1.0,), "offset": (0.0,)}, 0.5),
        (Method.ISOTONIC, {"scores": (0.2, 0.1), "probabilities": (0.1, 0.2)}, 0.5),
        (Method.ISOTONIC, {"scores": (0.1, 0.2), "probabilities": (0.2, 0.1)}, 0.5),
        (Method.ISOTONIC, {"scores": (0.1, 0.2), "probabilities": (0.2, 1.1)}, 0.5),
        (Method.ISOTONIC, {"scores": (-0.1, 0.2), "probabilities": (0.2, 0.3)}, 0.5),
    ],
)
def test_a_calibration_with_invalid_parameters_is_refused(
    method: Method, parameters: dict[str, tuple[float, ...]], prevalence: float
) -> None:
    with pytest.raises(ValueError, match=r"parameters|prevalence"):
        Calibration(Level.LESION, method, parameters, prevalence, 10, 10)
