"""The exam that a study's readings make, for people and programs that look at it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from config.settings import Settings
from dicom_io.errors import NotReadable
from models.types.exam import ExamReading
from node.reporting.exams import exam_of
from node.retention.told import images_deleted, readings_deleted
from node.store.tables import Study


def exam_or_why(session: Session, settings: Settings, study_id: int) -> tuple[ExamReading | None, str]:
    """The exam, or why there is none although images were read: a sentence without its full stop, "" if none was."""
    row = session.get_one(Study, study_id)
    try:
        exam = exam_of(session, row, settings.data_dir, settings.birads.recall_threshold)
    except NotReadable as error:
        return None, str(error)
    except OSError as error:
        return None, f"the disk does not answer: {error.strerror}"
    return (exam, "") if exam.images else (None, images_deleted(row) or readings_deleted(row))
