"""Finds the study of an assessment. A wrong match would compare one patient's category with another's images, so an
assessment whose study is not certain stays unmatched, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.instance_kinds import IMAGES
from models.types.birads import AssessmentSource
from node.store.tables import Instance, ReceivedAssessment, Study

NAMES_NO_STUDY = "it names neither one Study Instance UID nor an accession number"
NO_SUCH_STUDY = "no image of the study that it names has come"
NO_SUCH_ACCESSION = "no image with its accession number has come"
TWO_STUDIES = "it names two studies: one by its Study Instance UID, another by its accession number"
AMBIGUOUS = "its accession number belongs to {count} studies"
OTHER_PATIENT = "its patient ID is not that of the study"


def study_for(session: Session, assessment: ReceivedAssessment) -> tuple[Study | None, str]:
    """The study, locked, or None with the reason, one sentence.

    A study counts once it has an image. If the document names a study, only that is tried, unless it holds only the
    document. Its accession number must not be another study's. The patient ID must be the study's if both state one.
    """
    with_images = select(Study).join(Study.instances).where(Instance.kind.in_(IMAGES)).distinct()
    studies: Sequence[Study] = ()
    missing = NAMES_NO_STUDY
    if assessment.study_instance_uid:
        studies = session.scalars(with_images.where(Study.study_instance_uid == assessment.study_instance_uid)).all()
        missing = NO_SUCH_STUDY
    if assessment.accession_number and not studies and _may_be_of_another_study(session, assessment):
        studies = session.scalars(with_images.where(Instance.accession_number == assessment.accession_number)).all()
        missing = NO_SUCH_ACCESSION
    if not studies:
        return None, missing
    if len(studies) > 1:
        return None, AMBIGUOUS.format(count=len(studies))
    if assessment.study_instance_uid == studies[0].study_instance_uid and _is_another_studys(
        session, studies[0], assessment.accession_number
    ):
        return None, TWO_STUDIES
    if not _same_patient(session, studies[0], assessment):
        return None, OTHER_PATIENT
    return session.get_one(Study, studies[0].id, with_for_update=True), ""


def touched_by(session: Session, instance: Instance) -> list[ReceivedAssessment]:
    """The assessments whose match an image that is new or corrected may change: those matched with its study, and those
    that name the study or its accession number."""
    touched = (ReceivedAssessment.study_id == instance.study_id) | (
        ReceivedAssessment.study_instance_uid == instance.study.study_instance_uid
    )
    if instance.accession_number:
        touched |= ReceivedAssessment.accession_number == instance.accession_number
    return list(session.scalars(select(ReceivedAssessment).where(touched).order_by(ReceivedAssessment.id)))


def _may_be_of_another_study(session: Session, assessment: ReceivedAssessment) -> bool:
    """Whether the document names no study, or its own: structured reports may be in a study of their own."""
    if not assessment.study_instance_uid:
        return True
    of_itself = (
        select(Instance.id)
        .join(Instance.study)
        .where(
            Instance.sop_instance_uid == assessment.document,
            Study.study_instance_uid == assessment.study_instance_uid,
        )
    )
    return assessment.source is AssessmentSource.SR and session.scalar(of_itself) is not None


def _is_another_studys(session: Session, study: Study, accession_number: str) -> bool:
    """Whether an accession number is that of another study's images, and of none of this study."""
    if not accession_number:
        return False
    of_images = select(Instance.study_id).where(
        Instance.accession_number == accession_number, Instance.kind.in_(IMAGES)
    )
    named = set(session.scalars(of_images.distinct()))
    return bool(named) and study.id not in named


def _same_patient(session: Session, study: Study, assessment: ReceivedAssessment) -> bool:
    stated = set(assessment.patient_id.split("\\")) - {""}
    of_study = select(Instance.patient_id).where(Instance.study_id == study.id, Instance.kind.in_(IMAGES)).distinct()
    known = set(session.scalars(of_study)) - {""}
    return not stated or not known or bool(stated & {part for patient_id in known for part in patient_id.split("\\")})
