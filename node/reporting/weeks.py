"""Counts what the models said by week, scanner, sender and bundle, as studies are reported: few rows, however many
studies there are. node/operations/drift.py looks for drift in them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.types.exam import ExamImage, ExamReading
from node.store.advisory import lock_in_transaction
from node.store.tables import ReadingWeek, Result, Study

WEEK_S = 7 * 86400.0
_FIRST_MONDAY = datetime(1970, 1, 5, tzinfo=UTC).timestamp()


def week_of(at: float) -> int:
    """The week of a time (UTC seconds since the epoch): the number of Mondays, 0:00 UTC, since 1970-01-05."""
    return int((at - _FIRST_MONDAY) // WEEK_S)


def start_of(week: int) -> float:
    """The Monday that a week begins with, 0:00 UTC, as UTC seconds since the epoch."""
    return _FIRST_MONDAY + week * WEEK_S


def count_reading(session: Session, study: Study, exam: ExamReading, scanners: Mapping[str, str], now: float) -> None:
    """Counts the images of a report that no earlier report had, and their exam; before its results are entered.

    Images that were read again count again: the models said something anew.

    Args:
        scanners: the name of each image's scanner, by SOP Instance UID.
    """
    reported_at = session.scalar(select(func.max(Result.written_at)).where(Result.study_id == study.id))
    fresh = {
        instance.sop_instance_uid
        for instance in study.instances
        if reported_at is None or (instance.read_at is not None and instance.read_at >= reported_at)
    }
    lock_in_transaction(session, "weeks")  # another process may count at the same time
    images = [image for image in exam.images if image.sop_instance_uid in fresh]
    for image in images:
        row = _row(session, study, image, scanners, now)
        row.images += 1
        row.score_sum += image.reading.malignancy
        row.score_squares += image.reading.malignancy**2
        row.findings += len(image.reading.findings)
    if images and exam.likelihood is not None:
        row = _row(session, study, images[0], scanners, now)
        row.exams += 1
        row.exams_above += exam.likelihood.is_recalled(exam.recall_threshold)


def _row(session: Session, study: Study, image: ExamImage, scanners: Mapping[str, str], now: float) -> ReadingWeek:
    key = (week_of(now), scanners[image.sop_instance_uid], study.source, str(image.reading.bundle))
    row = session.get(ReadingWeek, key)
    if row is None:
        week, scanner, source, bundle = key
        row = ReadingWeek(
            week=week, scanner=scanner, source=source, bundle=bundle,
            images=0, score_sum=0.0, score_squares=0.0, findings=0, exams=0, exams_above=0,
        )  # fmt: skip
        session.add(row)
        session.flush()
    return row
