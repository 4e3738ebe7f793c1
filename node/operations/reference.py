"""The reference set that `mammo-node reference` makes of the node's own archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_io.errors import NotReadable
from models.bundles.bundle import Bundle
from models.errors import UserError
from models.reference.tenths import Reference, boundaries_of, why_not_compared
from models.types.reading import BundleId
from models.types.reference import LEAST_EXAMS, ReferenceSet
from node.reporting.exams import exam_of
from node.store.states import StudyState
from node.store.tables import Study

NOT_REPORTED = "it is not reported (`mammo-node status --all` says why)"
LOST = "its reading is damaged or gone from the data folder"
NO_PATIENT_ID = "it states no patient ID, and may be a further exam of a patient"
FURTHER_EXAM = "it is a further exam of a patient"


class TooFewExams(UserError):
    """The archive has too few exams for a reference set; the message says how many, and why others do not count."""


@dataclass(frozen=True)
class CountedExams:
    """The exams of an archive that can be a reference set.

    Attributes:
        scores: of the first exam of each patient, 0..1.
        left_out: why other studies do not count, and how many, where there are any.
    """

    scores: tuple[float, ...]
    left_out: Mapping[str, int]


def count_exams(
    session: Session, data_dir: Path, bundle: BundleId, progress: Callable[[int, int, str], None]
) -> CountedExams:
    """Reads the archive: of each patient the first received exam that was read completely by the bundle and is
    reported. The first, so that a set which is made again later has the same exams and further ones.

    Args:
        progress: called with the number of studies done, the number of all, and the word for them.
    """
    reported = Study.state == StudyState.REPORTED
    left_out = Counter({NOT_REPORTED: session.scalar(select(func.count()).where(~reported)) or 0})
    ids = session.scalars(select(Study.id).where(reported).order_by(Study.first_received_at, Study.id)).all()
    scores: list[float] = []
    patients: set[str] = set()
    for done, study_id in enumerate(ids, start=1):
        study = session.get_one(Study, study_id)
        patient = next((instance.patient_id for instance in study.instances if instance.patient_id), "")
        try:
            exam = exam_of(session, study, data_dir, only_scores=True)
        except (OSError, NotReadable):
            left_out[LOST] += 1
        else:
            if why := why_not_compared(exam, bundle):
                left_out[why] += 1
            elif not patient:
                left_out[NO_PATIENT_ID] += 1
            elif patient in patients:
                left_out[FURTHER_EXAM] += 1
            elif exam.malignancy is not None:
                patients.add(patient)
                scores.append(exam.malignancy)
        session.close()  # readings are large, and SQLite's write-ahead log grows while a transaction is open
        progress(done, len(ids), "studies")
    return CountedExams(tuple(scores), +left_out)


def reference_of(counted: CountedExams, name: str, bundle: Bundle, *, is_screening: bool) -> Reference:
    """The reference set of these exams.

    Raises:
        TooFewExams: there are fewer than LEAST_EXAMS.
        ValueError: the name cannot be used.
    """
    exams = len(counted.scores)
    if exams < LEAST_EXAMS:
        reasons = "".join(f"\n  left out: {count}: {why}" for why, count in counted.left_out.items())
        raise TooFewExams(
            f"The archive has {exams} exams for a reference set, and tenths need at least {LEAST_EXAMS}: complete "
            f"exams, one per patient, read by {bundle.id}. Make it once the node has read more.{reasons}"
        )
    return Reference(ReferenceSet(name, exams, is_screening), bundle.id, bundle.content, boundaries_of(counted.scores))
