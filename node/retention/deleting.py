"""Deletes parts of studies so that a kill at any moment leaves nothing half known.

First the rows say that the files are gone, and name each as doomed; then the files are deleted; then their names go.
Who deletes holds the study's row, and so does who stores an image (node/intake/receiving.py), which looks under that
lock whether its file is still there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from dicom_io.durable import sync_folder
from node.archive.layout import ANSWERS, ARCHIVE
from node.archive.versions import uid_of
from node.logs import place_of
from node.retention.rules import Part
from node.store.database import Sessions, read_only
from node.store.tables import DoomedFile, Instance, Result, Study

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Size:
    """Of files; `size`: bytes."""

    files: int = 0
    size: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.files + other.files, self.size + other.size)


def doom(session: Session, study: Study, part: Part, data_dir: Path, now: float) -> None:
    """Says in the rows of a study, which the caller has locked, that a part of it is gone, and names its files for
    `delete_doomed`."""
    paths = files_of(session, study, part, data_dir)
    session.add_all(DoomedFile(study_id=study.id, path=path) for path in paths)
    if part is Part.RESULTS:
        study.results_purged_at = now
        for result in session.scalars(select(Result).where(Result.study_id == study.id, Result.purged_at.is_(None))):
            result.purged_at = now
        return
    if part is Part.IMAGES:
        study.images_purged_at = now
    study.readings_purged_at = now
    for instance in _instances(session, study):
        instance.masks_path = None
        if part is Part.IMAGES and instance.purged_at is None:
            instance.purged_at = now


def files_of(session: Session, study: Study, part: Part, data_dir: Path) -> list[str]:
    """The files that a part of a study has, relative to the data folder."""
    if part is Part.RESULTS:
        kept = select(Result.path).where(Result.study_id == study.id, Result.purged_at.is_(None))
        results = list(session.scalars(kept))
        return [*results, *_answers_to(results, data_dir)]
    instances = _instances(session, study)
    paths = [instance.masks_path for instance in instances if instance.masks_path is not None]
    if part is Part.IMAGES:
        there = files_by_instance(data_dir, study)
        for instance in instances:
            if instance.purged_at is None:
                paths += sorted({instance.path, *there.get(instance.sop_instance_uid, ())})
    return paths


def size_of(paths: list[str], data_dir: Path) -> Size:
    """Of those of the files that are there."""
    sizes = [size for path in paths if (size := _size(data_dir / path)) is not None]
    return Size(len(sizes), sum(sizes))


def doom_refused(session: Session, instance: Instance, data_dir: Path, now: float) -> None:
    """The same for a report that was refused; the rest of its study stays."""
    there = files_by_instance(data_dir, instance.study).get(instance.sop_instance_uid, ())
    for path in sorted({instance.path, *there}):
        session.add(DoomedFile(study_id=instance.study_id, path=path))
    instance.purged_at = now


def delete_doomed(sessions: Sessions, data_dir: Path, freed: Callable[[int], None] = lambda _: None) -> Size:
    """Deletes the files that are named as doomed, also those that an earlier run left; returns what was deleted.

    A file that cannot be deleted now keeps its name, and is tried again the next time.

    Args:
        freed: called with the bytes of what counts against the quota.
    """
    with read_only(sessions) as session:
        studies = session.scalars(select(DoomedFile.study_id).distinct().order_by(DoomedFile.study_id)).all()
    deleted = Size()
    for study_id in studies:
        deleted += _delete_of(sessions, study_id, data_dir, freed)
    return deleted


def are_doomed(sessions: Sessions) -> bool:
    """Whether files are still to be deleted."""
    with read_only(sessions) as session:
        return session.execute(select(DoomedFile.id).limit(1)).first() is not None


def _delete_of(sessions: Sessions, study_id: int, data_dir: Path, freed: Callable[[int], None]) -> Size:
    deleted, folders = Size(), set()
    with sessions.begin() as session:
        session.get_one(Study, study_id, with_for_update=True)
        known = set(_in_use(session, study_id))
        for doomed in session.scalars(select(DoomedFile).where(DoomedFile.study_id == study_id)):
            path = data_dir / doomed.path
            if doomed.path not in known:  # it came again meanwhile, at the same place
                size = _size(path)
                try:
                    path.unlink(missing_ok=True)
                except OSError as fault:
                    log.error("study %d: a file cannot be deleted, and is tried again: %s", study_id, place_of(fault))
                    continue
                if size is not None:
                    deleted += Size(1, size)
                    folders.add(path.parent)
                    if path.is_relative_to(data_dir / ARCHIVE):
                        freed(size)
            session.execute(delete(DoomedFile).where(DoomedFile.id == doomed.id))
        for folder in folders:
            sync_folder(folder)  # before the names are forgotten
        for folder in folders:  # one may lie in another
            _remove_if_empty(folder, data_dir)
    return deleted


def _in_use(session: Session, study_id: int) -> Iterator[str]:
    """The files that the rows of a study name as there."""
    kept = Instance.study_id == study_id
    yield from session.scalars(select(Instance.path).where(kept, Instance.purged_at.is_(None)))
    for path in session.scalars(select(Instance.masks_path).where(kept)):
        if path is not None:
            yield path
    yield from session.scalars(select(Result.path).where(Result.study_id == study_id, Result.purged_at.is_(None)))


def _instances(session: Session, study: Study) -> list[Instance]:
    """Without their readings, which may be large."""
    return list(session.scalars(select(Instance).where(Instance.study_id == study.id).order_by(Instance.id)))


def files_by_instance(data_dir: Path, study: Study) -> dict[str, list[str]]:
    """The files of a study's folder in the archive by SOP Instance UID, all versions (see archive/versions.py)."""
    folder = data_dir / ARCHIVE / study.study_instance_uid
    found: dict[str, list[str]] = {}
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return found
    for name in names:
        found.setdefault(uid_of(name), []).append((ARCHIVE / study.study_instance_uid / name).as_posix())
    return found


def _answers_to(results: list[str], data_dir: Path) -> Iterator[str]:
    """What destinations answered to messages that they refused: it may name the patient, and has no row."""
    for result in results:
        for path in (data_dir / result).parent.glob(f"{Path(result).stem}.*"):
            if path.name.endswith(ANSWERS):
                yield path.relative_to(data_dir).as_posix()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _remove_if_empty(folder: Path, data_dir: Path) -> None:
    while folder.parent != data_dir:
        try:
            folder.rmdir()
        except OSError:  # something is in it
            return
        folder = folder.parent
