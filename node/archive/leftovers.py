"""Deletes files that a killed node did not finish, at the next start."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.types.words import counted
from node.archive.layout import ANSWERS, READINGS, results_of
from node.parts import life_of
from node.store.locks import Locks
from node.store.states import JobKind, JobState
from node.store.tables import Instance, Job, Result

log = logging.getLogger(__name__)

_FRESH_S = 600.0
"""Files younger than this are kept: a running `reread` writes masks before it stores their row."""


def remove_leftovers(session: Session, data_dir: Path, now: float) -> int:
    """Deletes masks without a reading, and files of unfinished reports without a result row; returns their number.
    Received files and answers of destinations are never deleted.

    Args:
        now: UTC seconds since the epoch.
    """
    removed = 0
    for path in _unnamed(session, data_dir):
        with suppress(FileNotFoundError):  # another process deleted it at this moment
            if now - path.stat().st_mtime > _FRESH_S:
                path.unlink()
                removed += 1
    if removed:
        log.info("%s deleted that an earlier run of the node had not finished", counted(removed, "file"))
    return removed


def remove_leftovers_of_processes(folder: Path, locks: Locks, now: float) -> None:
    """Deletes the folders in `folder` that are named for a process of the node that has ended. One in which a file came
    within ten minutes is kept for a later start: its process may live, and have lost its lock for a moment.

    Args:
        now: UTC seconds since the epoch.
    """
    for left in folder.glob("*/"):
        with suppress(FileNotFoundError):
            if now - left.stat().st_mtime <= _FRESH_S:
                continue
        if locks.is_free(life_of(left.name)):
            shutil.rmtree(left, ignore_errors=True)


def _unnamed(session: Session, data_dir: Path) -> Iterator[Path]:
    masks = set(session.scalars(select(Instance.masks_path).where(Instance.masks_path.is_not(None))))
    for path in (data_dir / READINGS).glob("*"):
        if path.relative_to(data_dir).as_posix() not in masks:
            yield path
    unfinished = select(Job.study_id).where(Job.kind == JobKind.REPORT, Job.state != JobState.DONE).distinct()
    for study_id in session.scalars(unfinished):
        known = set(session.scalars(select(Result.path).where(Result.study_id == study_id)))
        for path in (data_dir / results_of(study_id)).rglob("*"):
            if path.name.endswith(ANSWERS):
                continue
            if path.is_file() and path.relative_to(data_dir).as_posix() not in known:
                yield path
