"""Files that a killed node did not finish: removed at the next start, before anything else is written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.types.words import counted
from node.archive.layout import READINGS, results_of
from node.store.states import JobKind, JobState
from node.store.tables import Instance, Job, Result

log = logging.getLogger(__name__)

_FRESH_S = 600.0
"""What was written within so many seconds stays: `reread` writes masks before their row, beside the node."""


def remove_leftovers(session: Session, data_dir: Path, now: float) -> int:
    """Removes masks that no reading names, results that no row names of reports that were not finished, and files that
    were not written to their end; says how many. What was received is never touched.

    Args:
        now: UTC seconds since the epoch.
    """
    removed = 0
    for path in _unnamed(session, data_dir):
        if now - path.stat().st_mtime > _FRESH_S:
            path.unlink()
            removed += 1
    if removed:
        log.info("%s removed that an earlier run of the node left half done", counted(removed, "file"))
    return removed


def _unnamed(session: Session, data_dir: Path) -> Iterator[Path]:
    masks = set(session.scalars(select(Instance.masks_path).where(Instance.masks_path.is_not(None))))
    for path in (data_dir / READINGS).glob("*"):
        if path.relative_to(data_dir).as_posix() not in masks:
            yield path
    unfinished = select(Job.study_id).where(Job.kind == JobKind.REPORT, Job.state != JobState.DONE).distinct()
    for study_id in session.scalars(unfinished):
        known = set(session.scalars(select(Result.path).where(Result.study_id == study_id)))
        for path in (data_dir / results_of(study_id)).rglob("*"):
            if path.is_file() and path.relative_to(data_dir).as_posix() not in known:
                yield path
