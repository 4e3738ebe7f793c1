"""Scores of a whole bundle on patients with known outcomes: calibrations are fitted and measured on them.

In a data set of single views no exam's score (the highest of its breasts) can be measured, and the calibration of
images is wrong for exams: the highest of two scores is higher, also in healthy patients. So exams are composed from the
breasts of two patients, at most one of them malignant (`composed`). A breast of which there is a single view gets its
image's score: both views are assumed to have the same. The node takes the highest of two views, which agree only
roughly, so its probabilities for breasts and exams are too high rather than too low. (If the views were assumed to be
independent, the composed breasts would be easier to separate than real ones, and the calibration would be
overconfident.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.birads.calibration import Calibration, Level
from models.datasets.case import Case, Pathology
from models.evaluation.observations import Observation
from models.evaluation.scored import breast_of
from models.measures.detection import match
from models.pipeline import Pipeline
from models.types.mammogram import Laterality
from models.types.region import Box


@dataclass(frozen=True)
class ReportedScore:
    """One score with a known outcome.

    Attributes:
        score: the model's, 0..1.
        patient: of the case.
        normal: whether it shows no lesion.
        alone: of an image: whether no other image shows the same breast.
    """

    level: Level
    score: float
    malignant: bool
    patient: str
    normal: bool = False
    alone: bool = True


@dataclass(frozen=True)
class _Read:
    """An image that was read.

    Attributes:
        of: the image with its labels.
        malignancy: its score.
        findings: box, confidence and score of each.
        lesions: box of each true lesion, and its own pathology if that is known.
    """

    of: Case | Observation
    malignancy: float
    findings: Sequence[tuple[Box, float, float]]
    lesions: Sequence[tuple[Box, Pathology | None]]


def scores(pipeline: Pipeline, cases: Sequence[Case]) -> list[ReportedScore]:
    """Every score that the node would report, at every level, of cases with a fair label (`Case.label_is_fair`).

    A lesion is a finding of the detector, scored by the segmenter's outline. It is malignant if it finds a malignant
    lesion (`models.measures.detection.match`); a false positive is not. A breast's score is the highest of its images,
    an exam's the highest of its breasts (`models/readings/exam.py`). A breast is scored only if at least two images
    show it, and an exam only with both breasts: the highest of fewer would be lower than what the node reports.

    Raises:
        DatasetError: a file cannot be read.
        OutOfMemory: see `Pipeline.read`.
    """
    return _scored([_read(pipeline, case) for case in cases if case.label_is_fair])


def scores_of(observations: Iterable[Observation]) -> list[ReportedScore]:
    """The same of images that a whole bundle has read (`models.evaluation.observe`)."""
    return _scored(
        [
            _Read(
                seen,
                seen.score,
                [(each.box, each.confidence, each.malignancy) for each in seen.shown if each.malignancy is not None],
                [(lesion.box, lesion.pathology) for lesion in seen.lesions],
            )
            for seen in observations
            if seen.label_is_fair and seen.score is not None
        ]
    )


def _read(pipeline: Pipeline, case: Case) -> _Read:
    image = case.read()
    (reading,) = pipeline.read([image])
    findings = [(finding.box, finding.confidence, finding.malignancy) for finding in reading.findings]
    lesions = [(lesion.mask.box, lesion.pathology) for lesion in case.read_lesions(image)]
    return _Read(case, reading.malignancy, findings, lesions)


def _scored(reads: Sequence[_Read]) -> list[ReportedScore]:
    found: list[ReportedScore] = []
    exams: dict[str, dict[Laterality, list[ReportedScore]]] = {}
    shown = Counter(breast_of(read.of) for read in reads if read.of.pathology is not None)
    for read in reads:
        case = read.of
        found.extend(_findings(read))
        if case.pathology is None:
            continue
        malignant, normal = (case.pathology is pathology for pathology in (Pathology.MALIGNANT, Pathology.NORMAL))
        alone = shown[breast_of(case)] == 1 or case.exam is None
        found.append(ReportedScore(Level.IMAGE, read.malignancy, malignant, case.patient, normal, alone))
        if case.exam is not None and case.laterality is not None:
            exam = exams.setdefault(f"{case.dataset}/{case.patient}/{case.exam}", {})
            exam.setdefault(case.laterality, []).append(found[-1])
    for exam in exams.values():
        breasts = [_highest(Level.BREAST, images) for images in exam.values() if len(images) > 1]
        found.extend(breasts)
        if len(breasts) == len(Laterality):
            found.append(_highest(Level.EXAM, breasts))
    return found


def _findings(read: _Read) -> Iterator[ReportedScore]:
    """The findings with a known outcome. If not all lesions are drawn, an unmatched finding may be one of them."""
    case = read.of
    met = match([(box, confidence) for box, confidence, _ in read.findings], [box for box, _ in read.lesions])
    for (_, _, score), (_, number) in zip(read.findings, met, strict=True):
        if number is not None:
            pathology = read.lesions[number][1] or case.pathology
        else:
            pathology = Pathology.NORMAL if case.marked_up else case.pathology
            if pathology is Pathology.MALIGNANT:
                continue
        if pathology is not None:
            malignant, normal = pathology is Pathology.MALIGNANT, number is None
            yield ReportedScore(Level.LESION, score, malignant, case.patient, normal)


def _highest(level: Level, some: Sequence[ReportedScore]) -> ReportedScore:
    score, malignant = max(scored.score for scored in some), any(scored.malignant for scored in some)
    return ReportedScore(level, score, malignant, some[0].patient, all(scored.normal for scored in some))


def of_calibration(scored: Sequence[ReportedScore], calibration: Calibration) -> list[ReportedScore]:
    """The scores of the calibration's level: composed, if those were that it was fitted on."""
    if calibration.composed:
        return composed(scored, calibration.level)
    return [case for case in scored if case.level is calibration.level]


def composed(scored: Sequence[ReportedScore], level: Level) -> list[ReportedScore]:
    """The breasts of two views, and each other image as a breast; or each pair of such a breast and another one that is
    not malignant, as an exam."""
    breasts = [
        replace(case, level=Level.BREAST)
        for case in scored
        if case.level is Level.BREAST or (case.level is Level.IMAGE and case.alone)
    ]
    if level is Level.BREAST:
        return breasts
    malignant = np.array([breast.malignant for breast in breasts], dtype=np.bool_)
    return [
        ReportedScore(
            level, max(breast.score, other.score), breast.malignant, breast.patient, breast.normal and other.normal
        )
        for breast, other in ((breasts[one], breasts[two]) for one, two in zip(*pairs(malignant), strict=True))
    ]


def pairs(malignant: NDArray[np.bool_], at: Sequence[int] | None = None) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Both breasts of each exam that can be composed: each breast with each other one that is not malignant.

    Args:
        malignant: of each breast.
        at: the breasts to use, by their index, some more than once (a draw of a bootstrap): copies of a breast are no
            pair. None: all, once.
    """
    used = np.arange(malignant.size) if at is None else np.asarray(at, dtype=np.intp)
    others = used[~malignant[used]]
    first, second = np.repeat(used, others.size), np.tile(others, used.size)
    different = first != second
    return first[different], second[different]
