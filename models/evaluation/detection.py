"""Tables of detection: the free-response ROC, and paper B's Tables 1 and 2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from models.evaluation.observations import PAPERS_IOU, THRESHOLDS, Observation
from models.evaluation.papers import paper_table
from models.evaluation.plots import froc_plot
from models.evaluation.tables import Cell, Counts, Draws, Row, Section, Table, figures
from models.measures.average_precision import mean_average_precision
from models.measures.detection import FROC_POINTS, HIT_IOU, froc_curve, sensitivities
from models.measures.scores import Confusion, confusion
from models.types.reading import FindingKind

PAPERS_CONFIDENCE = 0.2
_NO_LESIONS = "None of the images has a lesion."

FROC_COLUMNS = (*(f"{point:g}" for point in FROC_POINTS), "mean")
B1_COLUMNS = ("Pr", "TPR", "F1", "mAP50", "mAP50-95")
B2_COLUMNS = ("TPR", "FPR", "ACC", "Pr", "Dice")


def measured_images(observations: Sequence[Observation]) -> list[Observation]:
    """The images on which a detector can be measured: a detector was run, and all their lesions are drawn."""
    return [observation for observation in observations if observation.proposals is not None and observation.marked_up]


def detection_section(observations: Sequence[Observation], draws: Draws) -> Section:
    """FROC, the findings that the node would show, and paper B's tables of the detector."""
    images = measured_images(observations)
    results = [image.matched for image in images]
    plots = (froc_plot(*froc_curve(results)),) if any(image.lesions for image in images) else ()
    return Section(
        "detection",
        "Detection",
        f"A proposal finds the lesion it overlaps most, with an intersection over union of {HIT_IOU:g} or more. A "
        "lesion found twice counts once, and its second proposal is not a false positive.",
        (
            _froc(images, draws),
            _shown(images, draws),
            _kinds(images, draws),
            average_precision_table(images, "this detector", draws),
            threshold_table({"": images}, draws),
        ),
        plots,
    )


def counts_of(images: Sequence[Observation]) -> Counts:
    """Patients, images and lesions."""
    return Counts(len({image.patient for image in images}), len(images), sum(len(image.lesions) for image in images))


def froc_row(images: Sequence[Observation], name: str, draws: Draws) -> Row:
    """Sensitivity at 1/4, 1/2, 1, 2 and 4 false positives per image, and their mean."""
    cells = figures(images, lambda image: image.patient, frocs, len(FROC_COLUMNS), draws, why_none(images))
    return Row(name, cells, counts_of(images))


def frocs(images: Sequence[Observation]) -> list[float]:
    """The figures of `froc_row`."""
    found = sensitivities([image.matched for image in images], FROC_POINTS)
    return [*found, float(np.mean(found))]


def _froc(images: Sequence[Observation], draws: Draws) -> Table:
    return Table(
        "froc",
        "Sensitivity at a number of false positives per image (FROC)",
        FROC_COLUMNS,
        (froc_row(images, "all lesions", draws),),
    )


def why_none(images: Sequence[Observation]) -> str:
    """The reason why a figure of the detector is absent."""
    if not images:
        return "No detector was run, or no image of the data has all its lesions drawn."
    return _NO_LESIONS


def _shown(images: Sequence[Observation], draws: Draws) -> Table:
    def measure(some: list[Observation]) -> tuple[float, float]:
        lesions = sum(len(image.lesions) for image in some)
        found = sum(lesion.found for image in some for lesion in image.lesions)
        wrong = sum(proposal.lesion is None and proposal.shown for image in some for proposal in image.proposals or ())
        return found / lesions if lesions else float("nan"), wrong / len(some)

    return Table(
        "shown",
        "What the node would show",
        ("sensitivity", "false positives per image"),
        (
            Row(
                f"confidence {images[0].confidence:g} and above" if images else "the bundle's confidence",
                figures(images, lambda image: image.patient, measure, 2, draws, why_none(images)),
                counts_of(images),
            ),
        ),
    )


def _kinds(images: Sequence[Observation], draws: Draws) -> Table:
    columns = (*(f"as {kind}" for kind in FindingKind), "not found")
    return Table(
        "kinds",
        "The kinds of lesions, and of what the node would show of them",
        columns,
        tuple(_found_as(images, kind, draws) for kind in FindingKind),
        notes=(
            "Of the lesions of a kind, those that are found by a finding of each kind: the most confident one where "
            "several find it. A mass with calcifications is one in which a calcification lies that is a finding too.",
        ),
    )


def _found_as(images: Sequence[Observation], kind: FindingKind, draws: Draws) -> Row:
    """Of the lesions of one kind: the shares that are found as each kind, and that of those not found."""

    def shares(some: list[Observation]) -> list[float]:
        found = [_finders_kind(image, number) for image in some for number in _of_kind(image, kind)]
        return [found.count(called) / len(found) for called in (*FindingKind, None)]

    showing = [image for image in images if _of_kind(image, kind)]
    counts = Counts(
        len({image.patient for image in showing}), len(showing), sum(len(_of_kind(image, kind)) for image in showing)
    )
    none = f"No lesion is a {kind}." if images else why_none(images)
    return Row(
        str(kind), figures(showing, lambda image: image.patient, shares, len(FindingKind) + 1, draws, none), counts
    )


def _of_kind(image: Observation, kind: FindingKind) -> list[int]:
    return [number for number, lesion in enumerate(image.lesions) if lesion.kind is kind]


def _finders_kind(image: Observation, number: int) -> FindingKind | None:
    """The kind of the most confident shown proposal that finds this lesion; None if none does."""
    return next((found.kind for found in image.shown if found.lesion == number), None)


def average_precision_row(images: Sequence[Observation], name: str, draws: Draws) -> Row:
    """A row of paper B's Table 1, of these images."""
    none = why_none(images)
    reasons = (f"Nothing reaches the confidence of {PAPERS_CONFIDENCE:g}.", none, none)
    return Row(
        name,
        (
            *figures(images, lambda image: image.patient, counted, 3, draws, reasons if images else none),
            *figures(images, lambda image: image.patient, averaged, 2, draws, why_none(images)),
        ),
        counts_of(images),
    )


def counted(images: Sequence[Observation]) -> tuple[float, float, float]:
    """Precision, sensitivity and F1 of lesions, at the paper's confidence and an IoU of 0.5."""
    results = [image.matched_by_half for image in images]
    lesions = sum(result.lesions for result in results)
    proposed = sum(confidence >= PAPERS_CONFIDENCE for result in results for confidence, _ in result.proposals)
    found = sum(int(np.count_nonzero(result.hits >= PAPERS_CONFIDENCE)) for result in results)
    table = Confusion(found, proposed - found, lesions - found, 0)
    return table.precision, table.recall, table.f1


def averaged(images: Sequence[Observation]) -> tuple[float, float]:
    """mAP50 and mAP50-95."""
    return mean_average_precision([image.matched_for_precision for image in images])


def average_precision_table(images: Sequence[Observation], name: str, draws: Draws) -> Table:
    """Paper B's Table 1, with one row of ours."""
    ours = [average_precision_row(images, name, draws)]
    return paper_table("B1", "Precision, sensitivity and average precision", B1_COLUMNS, ours, B1_NOTES, "attention")


B1_NOTES = (
    f"Pr, TPR and F1 are of lesions, at the paper's confidence of {PAPERS_CONFIDENCE:g} and an IoU of {PAPERS_IOU:g}; "
    "a lesion's second proposal is a false positive here. The paper does not state its IoU.",
    "mAP by COCO's rules (pycocotools), masses and calcifications as one class.",
)


def threshold_table(contenders: Mapping[str, Sequence[Observation]], draws: Draws) -> Table:
    """Paper B's Table 2: images by the detector's confidence, with a row for each contender and threshold."""
    ours = [
        Row(f"{name}, {at:g}" if name else f"{at:g}", _at_threshold(images, number, at, draws), counts_of(images))
        for name, images in contenders.items()
        for number, at in enumerate(THRESHOLDS)
    ]
    notes = (
        "The paper does not define a sample. Our interpretation: TPR, FPR, ACC and Pr are of images; an image with a "
        "lesion is positive, and called positive if any proposal reaches the threshold.",
        "Dice is the mean over images with lesions: all outlines of the threshold against all true ones, 0 if nothing "
        "is proposed.",
    )
    return paper_table("B2", "The detector's threshold", B2_COLUMNS, ours, notes, "thresholds")


def _at_threshold(images: Sequence[Observation], number: int, at: float, draws: Draws) -> tuple[Cell, ...]:
    def rates(some: list[Observation]) -> tuple[float, ...]:
        called = np.array([any(proposal.confidence >= at for proposal in image.proposals or ()) for image in some])
        table: Confusion = confusion(called, np.array([bool(image.lesions) for image in some]))
        return table.recall, 1 - table.specificity, table.accuracy, table.precision

    def dice(some: list[Observation]) -> tuple[float]:
        return (float(np.mean([image.by_threshold[number].dice for image in some])),)

    outlined = [image for image in images if image.lesions and image.by_threshold]
    none = why_none(images)
    reasons = (none, "Every image has a lesion: no false call is possible.", none, "Nothing reaches the threshold.")
    cells = figures(images, lambda image: image.patient, rates, 4, draws, reasons if images else none)
    no_outline = "No image with a lesion has all its outlines drawn, or no segmenter was run."
    return (*cells, *figures(outlined, lambda image: image.patient, dice, 1, draws, no_outline))
