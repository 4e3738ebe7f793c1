"""Which study an assessment is about. A wrong match would hold one patient's category against another's images, so
what is not certain stays unmatched and says why."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.arrivals import IMAGES
from node.tables import Instance, ReceivedAssessment, Study

NAMES_NO_STUDY = "it names neither one Study Instance UID nor an accession number"
NO_SUCH_STUDY = "no image of the study that it names has come"
NO_SUCH_ACCESSION = "no image with its accession number has come"
AMBIGUOUS = "its accession number belongs to {count} studies"
OTHER_PATIENT = "its patient ID is not that of the study"


def study_for(session: Session, assessment: ReceivedAssessment) -> tuple[Study | None, str]:
    """The study, locked, or None with the reason, one sentence.

    A study counts once it holds an image. Where the document gives a Study Instance UID nothing else is tried. The
    patient ID must be the study's where both give one.
    """
    query = select(Study).join(Study.instances).where(Instance.kind.in_(IMAGES)).distinct()
    if assessment.study_instance_uid:
        query, missing = query.where(Study.study_instance_uid == assessment.study_instance_uid), NO_SUCH_STUDY
    elif assessment.accession_number:
        query, missing = query.where(Instance.accession_number == assessment.accession_number), NO_SUCH_ACCESSION
    else:
        return None, NAMES_NO_STUDY
    studies = session.scalars(query).all()
    if not studies:
        return None, missing
    if len(studies) > 1:
        return None, AMBIGUOUS.format(count=len(studies))
    if not _same_patient(session, studies[0], assessment):
        return None, OTHER_PATIENT
    return session.get_one(Study, studies[0].id, with_for_update=True), ""


def waiting_for(session: Session, instance: Instance, study: Study) -> list[ReceivedAssessment]:
    """The unmatched assessments that an image of a study may be what they waited for."""
    unmatched = select(ReceivedAssessment).where(ReceivedAssessment.study_id.is_(None))
    by_uid = ReceivedAssessment.study_instance_uid == study.study_instance_uid
    by_accession = ReceivedAssessment.accession_number == instance.accession_number
    named = by_uid | by_accession if instance.accession_number else by_uid
    return list(session.scalars(unmatched.where(named).order_by(ReceivedAssessment.id)))


def _same_patient(session: Session, study: Study, assessment: ReceivedAssessment) -> bool:
    stated = set(assessment.patient_id.split("\\")) - {""}
    of_study = select(Instance.patient_id).where(Instance.study_id == study.id, Instance.kind.in_(IMAGES)).distinct()
    known = set(session.scalars(of_study)) - {""}
    return not stated or not known or bool(stated & {part for one in known for part in one.split("\\")})
