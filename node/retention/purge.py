"""The purge: deletes what the settings say, and finishes what an earlier run began. `serve` runs it as a tick, and
`mammo-node purge` once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from config.settings import Settings
from dicom_io.errors import NotReadable
from dicom_io.headers import kind_of
from dicom_io.instance_kinds import InstanceKind
from dicom_io.results.outputs import OUTPUTS
from dicom_io.segmentations import read_header
from models.types.words import counted
from node.archive.layout import HL7_REFUSED, QUARANTINE
from node.archive.versions import uid_of
from node.audit.actors import Actor
from node.audit.events import enter_instances_deleted, enter_study_deleted
from node.logs import place_of
from node.retention.deleting import Size, are_doomed, delete_doomed, doom, doom_refused
from node.retention.kept import CORRECTED, Keeping
from node.retention.rules import DAY_S, NO_NODE_BEFORE, Part, Rule, is_old_enough, old_enough, rule_for_space, rules
from node.store.database import Sessions, read_only
from node.store.tables import Instance, Result, Study

log = logging.getLogger(__name__)

MB = 1_000_000


class _Stays(Exception):
    """A file of quarantine is kept."""


@dataclass
class Purged:
    """What a run deleted: studies by the setting that asked for it, and the files."""

    studies: dict[str, int] = field(default_factory=dict)
    size: Size = field(default_factory=Size)


@dataclass
class Purge:
    """Deletes what is old enough, and the oldest while there is too little space.

    Attributes:
        now: UTC seconds since the epoch.
        free_bytes: how much room there is for images, of the disk or of the quota, whichever is less.
        by: who purges, for the audit trail.
        freed: called with the bytes of deleted files that count against the quota.
        doubt: why nothing is deleted now, because the clock may be wrong; "": it is right.
    """

    sessions: Sessions
    settings: Settings
    now: Callable[[], float]
    free_bytes: Callable[[], int]
    by: Actor
    freed: Callable[[int], None] = lambda _: None
    doubt: Callable[[], str] = lambda: ""
    _may_delete: int | None = field(default=None, init=False)
    """Bytes, for space, in this shortage; None: there is none."""

    def by_age(self) -> Purged:
        """Finishes what an earlier run began, and deletes everything that is old enough."""
        done, data_dir = Purged(), self.settings.data_dir
        done.size += delete_doomed(self.sessions, data_dir, self.freed)
        if self._is_in_doubt():
            return _told(done)
        keeping = Keeping.of(self.settings)
        for rule in rules(self.settings.retention):
            with read_only(self.sessions) as session:
                due = list(old_enough(session, rule, self.now()))
            for study_id in due:
                self._purge_study(rule, study_id, keeping, done)
        self._purge_refused_reports(keeping, done)
        for setting, path in old_files(self.settings, self.now()):
            days = getattr(self.settings.retention, setting)
            self._delete(path, self.now() - days * DAY_S, keeping, done)
        return _told(done)

    def for_space(self) -> Purged:
        """Deletes the images of the oldest studies while there is less room than the settings ask for.

        In one shortage no more than is missing: deleting may free nothing, because a snapshot or a hard link holds the
        files, or because another program takes what becomes free.
        """
        done, retention = Purged(), self.settings.retention
        if retention.purge_below_free_mb is None or retention.purge_until_free_mb is None:
            return done
        below, until = retention.purge_below_free_mb * MB, retention.purge_until_free_mb * MB
        free = self.free_bytes()
        if free >= below:
            self._may_delete = None
            return done
        if self._is_in_doubt():
            return done
        may_delete = until - free if self._may_delete is None else self._may_delete
        keeping, rule = Keeping.of(self.settings), rule_for_space(retention)
        done.size += delete_doomed(self.sessions, self.settings.data_dir, self.freed)
        with read_only(self.sessions) as session:
            oldest = list(old_enough(session, rule, self.now()))
        for study_id in oldest:
            if self.free_bytes() >= until or done.size.size >= may_delete or are_doomed(self.sessions):
                break
            self._purge_study(rule, study_id, keeping, done)
        self._may_delete = max(0, may_delete - done.size.size)
        if self.free_bytes() < below:
            if are_doomed(self.sessions):
                log.error("retention deletes no more for space: a file cannot be deleted")
            elif not self._may_delete:
                log.error("retention deletes no more for space: what was deleted did not become free")
            else:
                log.warning("retention deleted what it may, and still less than purge_below_free_mb is free")
        return _told(done)

    def _is_in_doubt(self) -> bool:
        if why := self.doubt():
            log.error("retention deletes nothing: %s. `mammo-node purge --yes` does, once a person has looked", why)
        return bool(why)

    def _purge_study(self, rule: Rule, study_id: int, keeping: Keeping, done: Purged) -> None:
        with self.sessions.begin() as session:
            study = session.get_one(Study, study_id, with_for_update=True)
            now = self.now()
            if not is_old_enough(session, rule, study_id, now) or keeping.why(session, study, rule.part):
                return
            self._enter(session, study, rule.part, now)
            doom(session, study, rule.part, self.settings.data_dir, now)
        log.info("study %d: its %s were purged by %s: %s", study_id, rule.part, self.by.known_as, rule.setting)
        done.studies[rule.setting] = done.studies.get(rule.setting, 0) + 1
        done.size += delete_doomed(self.sessions, self.settings.data_dir, self.freed)

    def _enter(self, session: Session, study: Study, part: Part, now: float) -> None:
        """Enters it into the audit trail."""
        match part:
            case Part.IMAGES:
                enter_study_deleted(session, study, self.by, now)
            case Part.RESULTS:
                kept = select(Result.kind).where(Result.study_id == study.id, Result.purged_at.is_(None))
                classes = Counter(str(OUTPUTS[kind].sop_class_uid) for kind in session.scalars(kept) if kind in OUTPUTS)
                enter_instances_deleted(session, study, classes, self.by, now)
            case Part.READINGS:  # no object: images and results stay
                pass

    def _purge_refused_reports(self, keeping: Keeping, done: Purged) -> None:
        days = self.settings.retention.refused_days
        if days is None:
            return
        before = self.now() - days * DAY_S
        with read_only(self.sessions) as session:
            due = refused_reports(session, before)
        for number, study_id in due:
            with self.sessions.begin() as session:
                study = session.get_one(Study, study_id, with_for_update=True)
                still = session.scalar(select(Instance).where(Instance.id == number, *_refused(before)))
                if still is None or keeping.why(session, study, Part.IMAGES):  # None: it came again, and is used now
                    continue
                enter_instances_deleted(session, study, {still.sop_class_uid: 1}, self.by, self.now())
                doom_refused(session, still, self.settings.data_dir, self.now())
            done.size += delete_doomed(self.sessions, self.settings.data_dir, self.freed)

    def _delete(self, path: Path, before: float, keeping: Keeping, done: Purged) -> None:
        """Deletes a file that has no row, if it is still as old."""
        try:
            if path.is_relative_to(self.settings.data_dir / QUARANTINE):
                size = self._delete_set_aside(path, before, keeping)
                self.freed(size)
            else:
                size = path.stat().st_size
                path.unlink()
        except (FileNotFoundError, _Stays):  # another purge has deleted it; or it came again
            return
        except OSError as fault:
            log.error("a file of quarantine or of refused messages cannot be deleted: %s", place_of(fault))
            return
        done.size += Size(1, size)

    def _delete_set_aside(self, path: Path, before: float, keeping: Keeping) -> int:
        """Deletes an instance that was set aside, and enters that into the audit trail; returns its size. While the
        rows of its studies are locked it does not come again (node/intake/receiving.py).

        Raises:
            _Stays: it is kept, or came again.
        """
        with self.sessions.begin() as session:
            for study in studies_of(session, path):
                session.get_one(Study, study.id, with_for_update=True)
            if not _is_old(path, before) or why_set_aside_is_kept(session, path, keeping):
                raise _Stays
            kept = session.scalar(select(Instance).where(Instance.sop_instance_uid == uid_of(path.name)))
            if kept is not None:  # else a person put the file there
                enter_instances_deleted(session, kept.study, {kept.sop_class_uid: 1}, self.by, self.now())
                session.flush()
            size = path.stat().st_size
            path.unlink()
        return size


def _told(done: Purged) -> Purged:
    if done.size.files:
        log.info("retention deleted %s (%.1f MB)", counted(done.size.files, "file"), done.size.size / MB)
    return done


def refused_reports(session: Session, before: float) -> list[tuple[int, int]]:
    """The reports that were refused, and are older than a time and kept still: their ids, and those of their
    studies."""
    found = select(Instance.id, Instance.study_id).where(*_refused(before)).order_by(Instance.received_at)
    return [(number, study_id) for number, study_id in session.execute(found)]


def _refused(before: float) -> tuple[ColumnElement[bool], ...]:
    return (
        Instance.refusal.is_not(None),
        Instance.purged_at.is_(None),
        Instance.received_at < before,
        Instance.study.has(Study.last_received_at.between(NO_NODE_BEFORE, before)),
    )


def old_files(settings: Settings, now: float) -> Iterator[tuple[str, Path]]:
    """The files without a row that are old enough, with their setting: set aside in quarantine, and refused HL7
    messages. Of those that were set aside `why_set_aside_is_kept` decides too."""
    for folder, setting, days in (
        (QUARANTINE, "quarantine_days", settings.retention.quarantine_days),
        (HL7_REFUSED, "refused_days", settings.retention.refused_days),
    ):
        if days is not None:
            for path in (settings.data_dir / folder).rglob("*"):
                with suppress(FileNotFoundError):  # another purge deletes it at this moment
                    if _is_old(path, now - days * DAY_S):
                        yield setting, path


def _is_old(path: Path, before: float) -> bool:
    found = path.stat()
    return S_ISREG(found.st_mode) and NO_NODE_BEFORE <= found.st_mtime < before


def studies_of(session: Session, path: Path) -> list[Study]:
    """The studies that a file of quarantine is about: the one that it names, and that of the instance of its UID."""
    of_instance = select(Instance.study_id).where(Instance.sop_instance_uid == uid_of(path.name))
    named = Study.study_instance_uid == path.parent.name
    return list(session.scalars(select(Study).where(or_(named, Study.id.in_(of_instance))).order_by(Study.id)))


def why_set_aside_is_kept(session: Session, path: Path, keeping: Keeping) -> str:
    """Why a file of quarantine is kept however old it is; "": it may go. A segmentation may be the only copy of what an
    expert drew."""
    with suppress(NotReadable):  # another file that a person put there
        if kind_of(read_header(path)) is InstanceKind.SEGMENTATION:
            return CORRECTED
    return next(filter(None, (keeping.why(session, study, Part.IMAGES) for study in studies_of(session, path))), "")
