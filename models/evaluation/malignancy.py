"""Tables of malignancy: paper A's Table 1 and Figure 7, ROC, precision–recall, calibration, and a decision at a fixed
sensitivity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.birads.calibration import Calibration, Level
from models.evaluation.calibration import calibration_table, categories_table
from models.evaluation.decisions import (
    A1_COLUMNS,
    AREA_COLUMNS,
    CUT,
    CUT_NOTE,
    ONE_SORT,
    WITHIN_NOTE,
    area_row,
    confusion_table,
    counts,
    decision_row,
    hospital_rows,
    patient,
)
from models.evaluation.observations import Observation
from models.evaluation.papers import paper_table
from models.evaluation.plots import calibration_plot, confusion_plot, precision_recall_plot, roc_plot
from models.evaluation.radiologists import BIRADS_NOTES, NO_BIRADS, birads_differences, birads_rows, with_birads
from models.evaluation.scored import (
    Scored,
    arrays,
    levels,
    only_masses,
    scored_images,
    scored_lesions,
    with_masses,
    worth,
)
from models.evaluation.tables import Absent, Cell, Draws, Plot, Row, Section, Table, figures
from models.measures.scores import (
    calibration_curve,
    confusion,
    threshold_at_sensitivity,
)
from models.types.words import counted

FIXED_SENSITIVITY = 0.9
NO_SCORES = "No classifier was run, or no image has a known pathology and a fair label (docs/evaluation.md)."
WITHHELD = "Its score depends on findings, and no detector was run: evaluate the whole bundle (mammo-node evaluate)."
_NO_BREASTS = "No breast is shown by two or more images of one exam that can all be scored."
_NO_EXAMS = "No exam shows both breasts by two or more images each that can all be scored."


def malignancy_section(
    observations: Sequence[Observation],
    validation: Sequence[Observation] | None,
    calibrations: Mapping[Level, Calibration],
    draws: Draws,
) -> Section:
    """Everything about scores.

    Args:
        validation: of other patients, to choose the threshold on; None if there are none.
        calibrations: the bundle's, at the prevalence that they were fitted at.
    """
    by_level = levels(observations)
    images, masses = by_level[Level.IMAGE], scored_lesions(only_masses(observations))
    unfair = sum(observation.score is not None and not observation.label_is_fair for observation in observations)
    text = "Malignant against the rest (benign and normal together)."
    if unfair:
        text += f" Left out: {counted(unfair, 'image')} whose size, view or format reveals the label."
    calibration = calibrations.get(Level.IMAGE)
    return Section(
        "malignancy",
        "Malignancy",
        text,
        (
            _areas(by_level, draws),
            _decisions(observations, calibration, draws),
            confusion_table({"images": worth(images, calibration)}, NO_SCORES),
            *birads_differences(
                {"these models": worth(images, calibration)},
                {"these models": worth(masses, calibrations.get(Level.LESION))},
                observations,
                draws,
            ),
            calibration_table(observations, calibrations, draws),
            categories_table(observations, calibrations),
            _fixed(images, None if validation is None else scored_images(validation), draws),
        ),
        _plots(images, calibration),
    )


def _plots(images: Sequence[Scored], calibration: Calibration | None) -> tuple[Plot, ...]:
    if len({image.malignant for image in images}) != 2:
        return ()
    scores, malignant = arrays(images)
    probabilities, _ = arrays(worth(images, calibration))
    corrected, _ = arrays(worth(images, calibration and calibration.at_prevalence(float(malignant.mean()))))
    return (
        roc_plot(scores, malignant),
        precision_recall_plot(scores, malignant),
        calibration_plot(calibration_curve(corrected, malignant)),
        confusion_plot(confusion(probabilities >= CUT, malignant)),
    )


def why_no_scores(observations: Sequence[Observation]) -> str:
    """The reason why no image has a score."""
    return WITHHELD if any(observation.score_withheld for observation in observations) else NO_SCORES


def _areas(by_level: Mapping[Level, Sequence[Scored]], draws: Draws) -> Table:
    scored = bool(by_level[Level.IMAGE])
    whys = {
        Level.IMAGE: NO_SCORES,
        Level.BREAST: _NO_BREASTS if scored else NO_SCORES,
        Level.EXAM: _NO_EXAMS if scored else NO_SCORES,
        Level.LESION: "No classifier was run, or no lesion has a pathology of its own.",
    }
    names = {Level.LESION: "lesions, by their true outlines"}
    return Table(
        "areas",
        "Areas under the ROC and the precision–recall curve",
        AREA_COLUMNS,
        (
            *(area_row(names.get(level, f"{level}s"), some, draws, whys[level]) for level, some in by_level.items()),
            *hospital_rows("images", by_level[Level.IMAGE], draws),
            *hospital_rows("lesions", by_level[Level.LESION], draws),
        ),
        notes=(
            WITHIN_NOTE,
            "The score of a breast or an exam is the highest of its images, its pathology the most severe. A breast is "
            "included if at least two images of an exam show it, an exam if this holds for both breasts, and only if "
            "all images have a score, a known pathology and a fair label.",
        ),
    )


def _decisions(observations: Sequence[Observation], calibration: Calibration | None, draws: Draws) -> Table:
    images = scored_images(observations)
    masses = scored_images(with_masses(observations))
    ours = [
        decision_row("these models, images", worth(images, calibration), draws, NO_SCORES),
        decision_row("these models, images with masses", worth(masses, calibration), draws, NO_SCORES),
        decision_row(
            "these models, images with a BI-RADS category",
            worth(scored_images(with_birads(observations)), calibration),
            draws,
            NO_BIRADS,
        ),
        *birads_rows(observations, draws),
    ]
    return paper_table("A1", "Malignant or not", A1_COLUMNS, ours, (CUT_NOTE, *BIRADS_NOTES), "decisions")


def _fixed(images: Sequence[Scored], validation: Sequence[Scored] | None, draws: Draws) -> Table:
    chosen = float("nan")
    if validation:
        chosen = threshold_at_sensitivity(*arrays(validation), FIXED_SENSITIVITY)
    elsewhere = not np.isnan(chosen)

    def measure(some: list[Scored]) -> tuple[float, float]:
        scores, malignant = arrays(some)
        least = chosen if elsewhere else threshold_at_sensitivity(scores, malignant, FIXED_SENSITIVITY)
        if np.isnan(least):
            return float("nan"), float("nan")
        table = confusion(scores >= least, malignant)
        return table.recall, table.specificity

    at: Cell = Absent(NO_SCORES)
    if images:
        own = chosen if elsewhere else threshold_at_sensitivity(*arrays(images), FIXED_SENSITIVITY)
        at = Absent("None is malignant.") if np.isnan(own) else own
    cells = figures(images, patient, measure, 2, draws, ONE_SORT if images else NO_SCORES)
    where = (
        "The threshold was chosen on validation patients."
        if elsewhere
        else "The threshold was chosen on these same images, so the figures are too good: give a split with validation "
        "patients."
    )
    return Table(
        "fixed-sensitivity",
        f"Decision at a sensitivity of {FIXED_SENSITIVITY:g}",
        ("threshold", "sensitivity", "specificity"),
        (Row("images", (at, *cells), counts(images)),),
        notes=(where,),
    )
