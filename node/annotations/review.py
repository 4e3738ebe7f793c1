"""Selects the reported studies that an expert should review while the node runs unattended (paper B, section 3.3)."""

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
    """A study that is selected for review and has no correction. `reported_at`: seconds since the epoch."""

    study_id: int
    study_instance_uid: str
    revision: int
    reported_at: float


def is_selected(study_instance_uid: str, share: float) -> bool:
    """Whether a study is selected for review, at a share of 0..1.

    Uses a hash of its UID, not random numbers: the answer is always the same, and a larger share includes all studies
    of a smaller one.
    """
    digest = hashlib.sha256(f"review\0{study_instance_uid}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def due_for_review(session: Session, share: float, corrected: Set[int]) -> list[DueStudy]:
    """The reported studies that are selected for review and are not in `corrected` (ids), oldest first."""
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
        if study.id not in corrected and is_selected(study.study_instance_uid, share)
    ]
