"""An archive of reported studies whose scores, categories and pathologies are chosen, row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
from readings import blob, lesion, read_image

from models.birads.calibration import Calibration, Level, Method
from models.readings.reading_json import masks_of, to_json
from models.types.birads import Category
from models.types.mammogram import Laterality
from models.types.reading import BundleId, ImageReading
from node.store.database import Sessions, open_database, sessions_of
from node.store.states import StudyState
from node.store.tables import Instance, ReceivedAssessment, Study

L, R = Laterality.LEFT, Laterality.RIGHT
TEST = BundleId("test", "1")
SHARE = 0.25
"""Of malignant breasts, where a probability is the score; twice that of exams."""


@dataclass(frozen=True)
class AssessedStudy:
    """A study: the score of each breast, the categories (None: the exam), its patient and its state.

    Attributes:
        views: of each breast, all with its score.
    """

    scores: Mapping[Laterality, float]
    categories: Mapping[Laterality | None, Category] = field(default_factory=dict)
    patient: str | None = None
    calibrated: bool = True
    state: StudyState = StudyState.REPORTED
    bundle: BundleId = TEST
    views: Sequence[str] = ("CC",)


def archive(data_dir: Path, studies: Sequence[AssessedStudy]) -> Sessions:
    """The archive, as `mammo-node` finds it; the n-th study has the UID 1.2.n, accession number An and patient Pn."""
    sessions = sessions_of(open_database(f"sqlite:///{data_dir / 'queue.sqlite'}"))
    with sessions.begin() as session:
        for number, entry in enumerate(studies, start=1):
            study = Study(
                study_instance_uid=f"1.2.{number}", source="PACS", first_received_at=0, last_received_at=0, opened_at=0
            )
            study.state = entry.state
            for place, (side, view) in enumerate(product(entry.scores, entry.views), start=1):
                study.instances.append(_instance(data_dir, number, place, side, view, entry))
            session.add(study)
            for breast, category in entry.categories.items():
                session.add(
                    ReceivedAssessment(
                        study=study, laterality=breast, category=category, source="CSV", document="", received_at=number
                    )
                )
    return sessions


def forty(seed: int = 7) -> tuple[list[AssessedStudy], dict[tuple[int, Laterality], bool]]:
    """Forty studies of 36 patients, and which breasts are malignant. A score equals its observed frequency."""
    draw = np.random.default_rng(seed)
    studies, malignant = [], {}
    for number in range(1, 41):
        scores: dict[Laterality, float] = {}
        categories: dict[Laterality | None, Category] = {}
        for side in (L, R):
            scores[side] = float(np.clip(draw.beta(0.25, 0.75), 0.001, 0.999))
            truth = bool(draw.random() < scores[side])
            several = "0 2 4A 4B 4C 5 5" if truth else "1 1 1 1 1 2 2 2 3 0 4A"
            categories[side] = Category(draw.choice(several.split()))
            malignant[number, side] = truth
        studies.append(AssessedStudy(scores, categories, patient=f"P{min(number, 36)}"))
    return studies, malignant


def as_table(malignant: Mapping[tuple[int, Laterality], bool]) -> str:
    """The pathologies as CSV."""
    rows = [f"1.2.{number},{side},{'malignant' if is_so else 'benign'}" for (number, side), is_so in malignant.items()]
    return "\n".join(("study_instance_uid,laterality,pathology", *rows)) + "\n"


def _instance(data_dir: Path, number: int, place: int, side: Laterality, view: str, exam: AssessedStudy) -> Instance:
    uid = f"1.2.{number}.{place}"
    reading = _reading(exam.scores[side], side, exam)
    masks = data_dir / f"{uid}.npz"
    masks.write_bytes(masks_of(reading))
    return Instance(
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.2",
        series_instance_uid=f"{uid}.0",
        patient_id=f"P{number}" if exam.patient is None else exam.patient,
        patient_birth_date="19600101",
        accession_number=f"A{number}",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        kind="for-presentation",
        laterality=side,
        view=view,
        path=f"{uid}.dcm",
        received_at=0,
        reading=to_json(reading),
        masks_path=masks.name,
    )


def _reading(score: float, side: Laterality, exam: AssessedStudy) -> ImageReading:
    reading = read_image("", (60, 40), lesion(10, 10, blob(12, 9)), laterality=side, malignancy=score).reading
    reading = replace(reading, bundle=exam.bundle)
    if not exam.calibrated:
        return reading
    as_breast, as_exam = (_calibration(level).likelihood(score) for level in (Level.BREAST, Level.EXAM))
    return replace(reading, as_breast=as_breast, as_exam=as_exam, prevalence=2 * SHARE)


def _calibration(level: Level) -> Calibration:
    """A score is its own probability."""
    parameters = {"slope": (1.0,), "offset": (0.0,)}
    return Calibration(level, Method.PLATT, parameters, SHARE, 1000, 1000)
