"""Which of the reported studies an expert should look at while the node runs unattended (paper B, section 3.3)."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from node.store.states import StudyState
from node.store.tables import Result, Study


@dataclass(frozen=True)
class DueStudy:
    """A study that was drawn and has no correction. `reported_at`: seconds since the epoch."""

    study_id: int
    study_instance_uid: str
    revision: int
    reported_at: float


def is_drawn(study_instance_uid: str, share: float) -> bool:
    """Whether a study belongs to the share (0..1) that is reviewed.

    By a hash of its UID and not at random: the answer is the same each time, and a larger share holds all of a smaller
    one.
    """
    digest = hashlib.sha256(f"review\0{study_instance_uid}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def due_for_review(session: Session, share: float, corrected: Set[int]) -> list[DueStudy]:
    """The reported studies that were drawn and are not among the `corrected` (their ids), oldest first."""
    rows = session.execute(
        select(Study, func.max(Result.written_at))
        .join(Result, (Result.study_id == Study.id) & (Result.revision == Study.revision))
        .where(Study.state == StudyState.REPORTED)
        .group_by(Study.id)
        .order_by(Study.id)
    )
    return [
        DueStudy(study.id, study.study_instance_uid, study.revision, reported_at)
        for study, reported_at in rows
        if study.id not in corrected and is_drawn(study.study_instance_uid, share)
    ]
