"""What the purge would delete now, what it keeps and why, and when the next is due."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from sqlalchemy.orm import Session

from config.settings import Settings
from models.types.words import counted
from node.retention.clock_doubt import quiet_for_days
from node.retention.deleting import Size, files_of, size_of
from node.retention.kept import Keeping
from node.retention.purge import MB, old_files, refused_reports, why_set_aside_is_kept
from node.retention.rules import DAY_S, SPACE, Part, Rule, next_due, old_enough, rule_for_space, rules
from node.retention.told import day_of
from node.store.tables import Instance, Study

SHORT = 200
"""Studies of a rule that `status` and the page look at."""


@dataclass(frozen=True)
class Planned:
    """What one setting deletes.

    Attributes:
        setting: its key in [retention].
        studies: how many would go now; None: files without a study.
        size: their files, where they were measured.
        kept: how many are old enough and kept, by the reason.
        next_at: when the next study is old enough, UTC seconds since the epoch; None: there is none.
        all_of_them: whether all studies that are old enough were looked at.
    """

    setting: str
    studies: int | None
    size: Size
    kept: dict[str, int]
    next_at: float | None
    all_of_them: bool = True

    @property
    def says(self) -> str:
        """One sentence."""
        go = "" if self.studies is None else counted(self.studies, "study", "studies")
        if self.size.files:
            go += (", " if go else "") + f"{counted(self.size.files, 'file')} of {self.size.size / MB:.1f} MB"
        words = [f"{'at least ' if not self.all_of_them else ''}{go or 'nothing'} would go now"]
        if self.next_at is not None:
            words.append(f"the next is old enough on {day_of(self.next_at)}")
        words += [f"{count} kept: {why}" for why, count in self.kept.items()]
        return "; ".join(words)


def plan(
    session: Session,
    settings: Settings,
    now: float,
    free_bytes: Callable[[], int],
    *,
    most: int | None = None,
) -> list[Planned]:
    """What each setting of [retention] would do at `now` (UTC seconds since the epoch); deletes nothing.

    Args:
        free_bytes: see Purge.
        most: so many studies of each rule are looked at, and files are not measured; None: all, and they are.
    """
    keeping = Keeping.of(settings)
    planned = [_planned(session, settings, rule, keeping, now, most) for rule in rules(settings.retention)]
    below, until = settings.retention.purge_below_free_mb, settings.retention.purge_until_free_mb
    if below is not None and until is not None:
        free = free_bytes()
        wanted = until * MB - free if free < below * MB else 0
        planned.append(_planned(session, settings, rule_for_space(settings.retention), keeping, now, most, wanted))
    if most is None:
        planned += [
            Planned(setting, None, size_of(files, settings.data_dir), {}, None)
            for setting, files in _files_alone(session, settings, keeping, now).items()
        ]
    return planned


def retention_words(session: Session, settings: Settings, now: float) -> dict[str, str]:
    """For each setting of [retention] what it would do now, in a sentence, without measuring files."""
    disk = partial(_free, settings)
    planned = plan(session, settings, now, disk, most=SHORT)
    if settings.receiver.quota_mb is not None:  # what is used of it is not known here
        planned = [one for one in planned if one.setting != SPACE]
    words = {one.setting: one.says for one in planned}
    if (days := quiet_for_days(session, now)) is not None:
        words["clock"] = f"nothing came for {days:.0f} days: a node that starts now deletes nothing by itself"
    return words


def _free(settings: Settings) -> int:
    return shutil.disk_usage(settings.data_dir).free


def _files_alone(session: Session, settings: Settings, keeping: Keeping, now: float) -> dict[str, list[str]]:
    """The files that go without a study, by their setting."""
    files: dict[str, list[str]] = {}
    for setting, path in old_files(settings, now):
        with suppress(FileNotFoundError):  # the purge deletes it at this moment
            if setting != "quarantine_days" or not why_set_aside_is_kept(session, path, keeping):
                files.setdefault(setting, []).append(str(path))
    days = settings.retention.refused_days
    if days is not None:
        for number, study_id in refused_reports(session, now - days * DAY_S):
            if not keeping.why(session, session.get_one(Study, study_id), Part.IMAGES):
                files.setdefault("refused_days", []).append(session.get_one(Instance, number).path)
    return files


def _planned(
    session: Session,
    settings: Settings,
    rule: Rule,
    keeping: Keeping,
    now: float,
    most: int | None,
    wanted: int | None = None,
) -> Planned:
    """`wanted`: of the rule for space, the bytes that are to be freed."""
    studies, size, kept, all_of_them = 0, Size(), Counter[str](), True
    for looked_at, study in enumerate(_studies(session, rule, now)):
        if looked_at == most or (wanted is not None and size.size >= wanted):
            all_of_them = wanted is not None
            break
        if why := keeping.why(session, study, rule.part):
            kept[why] += 1
            continue
        studies += 1
        if most is None or wanted is not None:
            size += size_of(files_of(session, study, rule.part, settings.data_dir), settings.data_dir)
        session.close()  # while files are measured, no transaction is open for long
    return Planned(rule.setting, studies, size, dict(kept), next_due(session, rule, now), all_of_them)


def _studies(session: Session, rule: Rule, now: float) -> Iterator[Study]:
    for study_id in old_enough(session, rule, now):
        yield session.get_one(Study, study_id)
