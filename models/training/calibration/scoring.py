"""Scores of a whole bundle on patients with known outcomes, for the fitting of calibrations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from models.birads.calibration import Level
from models.datasets.case import Case, Lesion, Pathology
from models.measures.detection import match
from models.pipeline import Pipeline
from models.training.calibration.fitting import ScoredCase
from models.types.mammogram import Laterality
from models.types.reading import ImageReading


def scores(pipeline: Pipeline, cases: Sequence[Case]) -> list[ScoredCase]:
    """Every score that the node would report, at every level, of cases with a fair label (`Case.label_is_fair`).

    A lesion is a finding of the detector, scored by the segmenter's outline. It is malignant if it finds a malignant
    lesion (`models.measures.detection.match`); a false positive is not. A breast's score is the highest of its images,
    an exam's the highest of its breasts (`models/readings/exam.py`). A breast is scored only if at least two images
    show it, and an exam only with both breasts: the highest of fewer would be lower than what the node reports.

    Raises:
        DatasetError: a file cannot be read.
        OutOfMemory: see `Pipeline.read`.
    """
    found: list[ScoredCase] = []
    exams: dict[str, dict[Laterality, list[ScoredCase]]] = {}
    shown = Counter(_breast(case) for case in cases if case.label_is_fair and case.pathology is not None)
    for case in cases:
        if not case.label_is_fair:
            continue
        image = case.read()
        (reading,) = pipeline.read([image])
        found.extend(_findings(case, reading, case.read_lesions(image)))
        if case.pathology is None:
            continue
        malignant, normal = (case.pathology is pathology for pathology in (Pathology.MALIGNANT, Pathology.NORMAL))
        alone = shown[_breast(case)] == 1 or case.exam is None
        found.append(ScoredCase(Level.IMAGE, reading.malignancy, malignant, case.patient, normal, alone))
        if case.exam is not None and case.laterality is not None:
            exam = exams.setdefault(f"{case.dataset}/{case.patient}/{case.exam}", {})
            exam.setdefault(case.laterality, []).append(found[-1])
    for exam in exams.values():
        breasts = [_highest(Level.BREAST, images) for images in exam.values() if len(images) > 1]
        found.extend(breasts)
        if len(breasts) == len(Laterality):
            found.append(_highest(Level.EXAM, breasts))
    return found


def _findings(case: Case, reading: ImageReading, lesions: Sequence[Lesion]) -> Iterator[ScoredCase]:
    """The findings with a known outcome. If not all lesions are drawn, an unmatched finding may be one of them."""
    shown = [(finding.box, finding.confidence) for finding in reading.findings]
    met = match(shown, [lesion.mask.box for lesion in lesions])
    for finding, (_, number) in zip(reading.findings, met, strict=True):
        if number is not None:
            pathology = lesions[number].pathology or case.pathology
        else:
            pathology = Pathology.NORMAL if case.marked_up else case.pathology
            if pathology is Pathology.MALIGNANT:
                continue
        if pathology is not None:
            malignant, normal = pathology is Pathology.MALIGNANT, number is None
            yield ScoredCase(Level.LESION, finding.malignancy, malignant, case.patient, normal)


def _highest(level: Level, some: Sequence[ScoredCase]) -> ScoredCase:
    score, malignant = max(scored.score for scored in some), any(scored.malignant for scored in some)
    return ScoredCase(level, score, malignant, some[0].patient, all(scored.normal for scored in some))


def _breast(case: Case) -> tuple[str | None, ...]:
    return case.dataset, case.patient, case.exam, case.laterality
