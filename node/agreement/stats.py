"""Collects the archive's breasts or exams with the models' and the radiologists' categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_io.errors import NotReadable
from models.birads.agreement import Compared
from models.birads.calibration import Level, prior_of
from models.types.birads import RECALL_THRESHOLD, Agreement, Assessment, Category, most_severe
from models.types.exam import ExamReading
from models.types.mammogram import Laterality
from node.agreement.pathology import Outcomes, outcome
from node.assessments.entered import assessments_of
from node.reporting.exams import exam_of
from node.store.states import StudyState
from node.store.tables import ReceivedAssessment, Study

NO_CATEGORY = "reported studies without a radiologist's category"
NOT_REPORTED = "studies with a category or a pathology that are not reported (`mammo-node status` says why)"
UNMATCHED = "categories that wait for their study (`mammo-node birads list --unmatched`)"
ONLY_EXAM = "studies with a category of the exam and of no breast (`--level exam` compares it)"
ONE_BREAST = "studies with a category of one breast only, of two that were read"
SIX = "{level}s of category 6, known cancer"
UNREAD = "{level}s of which no image was read"
UNCALIBRATED = "{level}s whose score is not calibrated and implies no category"
NOT_ALL_READ = "{level}s of which nothing negative is stated, because not all of it was read"
LOST = "studies whose reading is damaged or gone from the data folder"
WHICH_BREAST = "studies with a malignant pathology that names no breast (`--level exam` uses it)"


@dataclass(frozen=True)
class AnalysisUnit:
    """A breast or (laterality None) an exam of a study, with its categories and pathology."""

    study: int
    study_instance_uid: str
    laterality: Laterality | None
    compared: Compared


@dataclass(frozen=True)
class ArchiveStats:
    """The units to compare.

    Attributes:
        units: of studies that are reported, by study; those of which a category or a pathology is known.
        left_out: what is not compared, why, and how many, where there are any.
        bundles: how many units each bundle read, with the prevalence (share of exams) that its probabilities hold for.
    """

    level: Level
    units: tuple[AnalysisUnit, ...]
    left_out: Mapping[str, int]
    bundles: Mapping[str, int]

    @property
    def compared(self) -> list[Compared]:
        return [unit.compared for unit in self.units]

    @property
    def discordant(self) -> list[AnalysisUnit]:
        """Those with the lower category of the models first."""
        order = (Agreement.AI_LOWER, Agreement.AI_HIGHER)
        return [unit for agreement in order for unit in self.units if unit.compared.agreement is agreement]


def gather(
    session: Session,
    data_dir: Path,
    level: Level,
    pathology: Mapping[int, Outcomes],
    progress: Callable[[int, int, str], None],
    recall_threshold: float = RECALL_THRESHOLD,
) -> ArchiveStats:
    """Reads the archive: every reported study of which a category or a pathology is known.

    Args:
        level: BREAST or EXAM.
        pathology: by study id.
        progress: called with the number of studies done, the number of all, and the word for them.
        recall_threshold: the site's: a probability (0..1) above it is a recall.
    """
    assessed = {
        study_id for study_id in session.scalars(select(ReceivedAssessment.study_id).distinct()) if study_id is not None
    }
    reported = set(session.scalars(select(Study.id).where(Study.state == StudyState.REPORTED)))
    wanted = (assessed | set(pathology)) & reported
    left_out = Counter(
        {
            NO_CATEGORY: len(reported - assessed),
            NOT_REPORTED: len((assessed | set(pathology)) - reported),
            UNMATCHED: _unmatched(session),
        }
    )
    units: list[AnalysisUnit] = []
    bundles: Counter[str] = Counter()
    for done, study_id in enumerate(sorted(wanted), start=1):
        study = session.get_one(Study, study_id)
        try:
            exam = exam_of(session, study, data_dir, recall_threshold, only_scores=True)
        except (OSError, NotReadable):
            left_out[LOST] += 1
        else:
            assessments = assessments_of(session, study)
            outcomes = pathology.get(study_id, {})
            here = list(_units(study, exam, assessments, outcomes, level))
            left_out.update(_not_compared(exam, assessments, outcomes, here, level))
            bundles[_read_by(exam)] += len(here)
            units += here
        session.close()  # readings are large, and SQLite's write-ahead log grows while a transaction is open
        progress(done, len(wanted), "studies")
    return ArchiveStats(level, tuple(units), +left_out, +bundles)


def _units(
    study: Study, exam: ExamReading, assessments: Sequence[Assessment], outcomes: Outcomes, level: Level
) -> Iterator[AnalysisUnit]:
    assigned = {assessment.laterality: assessment.category for assessment in assessments}
    patient = next(
        (instance.patient_id for instance in study.instances if instance.patient_id), study.study_instance_uid
    )
    prevalence = next((image.reading.prevalence for image in exam.images if image.reading.prevalence), None)
    prior = None if prevalence is None else prior_of(level, prevalence)
    read = {breast.laterality: (breast.malignancy, breast.likelihood) for breast in exam.breasts}
    sides = sorted({*read, *(side for side in (*assigned, *outcomes) if side)})
    for side in sides if level is Level.BREAST else [None]:
        category = assigned.get(side) if side else _of_exam(assigned, sides)
        malignant = outcome(outcomes, side, sides)
        if category is None and malignant is None:
            continue
        score, likelihood = read.get(side, (None, None)) if side else (exam.malignancy, exam.likelihood)
        compared = Compared(
            patient, score, likelihood, prior if likelihood else None, category, malignant, exam.recall_threshold
        )
        yield AnalysisUnit(study.id, study.study_instance_uid, side, compared)


def _of_exam(assigned: Mapping[Laterality | None, Category], sides: Sequence[Laterality]) -> Category | None:
    """The exam's own category or, where there is none, the most suspicious of its breasts', if all have one."""
    own = assigned.get(None)
    of_breasts = [assigned[side] for side in sides if side in assigned]
    if own is not None or not of_breasts or len(of_breasts) < len(sides):
        return own
    return most_severe(of_breasts)


def _not_compared(
    exam: ExamReading, assessments: Sequence[Assessment], outcomes: Outcomes, here: Sequence[AnalysisUnit], level: Level
) -> Iterator[str]:
    """Why something of a study is not compared, once for each time it is so."""
    for unit in here:
        compared = unit.compared
        if compared.assigned is Category.SIX:
            yield SIX.format(level=level)
        elif compared.score is None:
            yield UNREAD.format(level=level)
        elif unit.laterality in exam.withheld:
            yield NOT_ALL_READ.format(level=level)
        elif compared.likelihood is None:
            yield UNCALIBRATED.format(level=level)
    sides = {assessment.laterality for assessment in assessments}
    if level is Level.BREAST and sides == {None}:
        yield ONLY_EXAM
    elif sides and None not in sides and {breast.laterality for breast in exam.breasts} - sides:
        yield ONE_BREAST
    if level is Level.BREAST and outcomes.get(None) and not any(outcomes.get(side) for side in Laterality):
        yield WHICH_BREAST


def _unmatched(session: Session) -> int:
    query = select(func.count()).select_from(ReceivedAssessment).where(ReceivedAssessment.study_id.is_(None))
    return session.scalar(query) or 0


def _read_by(exam: ExamReading) -> str:
    """The bundles of an exam's images, with their prevalence."""
    names = dict.fromkeys(
        f"{image.reading.bundle}"
        + (f", prevalence {image.reading.prevalence:.3g}" if image.reading.prevalence else ", not calibrated")
        for image in exam.images
    )
    return " and ".join(names) or "none"
