"""Which studies retention is about: by state and age. Whether one of them may go is decided in kept.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, exists, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from config.retention import Retention
from node.store.states import StudyState
from node.store.tables import Result, Study

DAY_S = 86_400.0
NO_NODE_BEFORE = 1_577_836_800.0
"""2020-01-01: what came before came while the clock was wrong, so its age is not known, and it is not deleted."""
SPACE = "purge_below_free_mb"
"""The setting of the rule for space."""
_AT_ONCE = 200


class Part(StrEnum):
    """What is deleted of a study. Its rows stay in any case."""

    IMAGES = "images"
    """Its files in the archive, and its readings."""
    READINGS = "readings"
    """The masks and pictures of its readings."""
    RESULTS = "results"
    """The files of its results."""


@dataclass(frozen=True)
class Rule:
    """A part of all studies in some states is deleted once they are old enough. `setting`: the key in [retention]."""

    setting: str
    part: Part
    states: tuple[StudyState, ...]
    age_s: float


def rules(retention: Retention) -> list[Rule]:
    """The rules by age that are set."""
    all_of_them = (
        ("images_days", retention.images_days, Part.IMAGES, StudyState.REPORTED),
        ("not_read_days", retention.not_read_days, Part.IMAGES, StudyState.NOT_READ),
        ("quarantine_days", retention.quarantine_days, Part.IMAGES, StudyState.QUARANTINED),
        ("readings_days", retention.readings_days, Part.READINGS, StudyState.REPORTED),
        ("results_days", retention.results_days, Part.RESULTS, StudyState.REPORTED),
    )
    return [Rule(setting, part, (state,), days * DAY_S) for setting, days, part, state in all_of_them if days]


def rule_for_space(retention: Retention) -> Rule:
    """What is deleted, the oldest first, while there is too little space."""
    states = (StudyState.REPORTED, StudyState.NOT_READ)
    return Rule(SPACE, Part.IMAGES, states, retention.youngest_days * DAY_S)


def purged_at(part: Part) -> InstrumentedAttribute[float | None]:
    """The study's column that says when a part of it was deleted."""
    return {
        Part.IMAGES: Study.images_purged_at,
        Part.READINGS: Study.readings_purged_at,
        Part.RESULTS: Study.results_purged_at,
    }[part]


def old_enough(session: Session, rule: Rule, now: float) -> Iterator[int]:
    """The ids of the studies that a rule is about, those whose last object came first first.

    Args:
        now: UTC seconds since the epoch.
    """
    after: tuple[float, int] | None = None
    while found := session.execute(_some(rule, now - rule.age_s, after)).all():
        for _, study_id in found:
            yield study_id
        after = (found[-1][0], found[-1][1])


def is_old_enough(session: Session, rule: Rule, study_id: int, now: float) -> bool:
    """Whether a rule is about a study still."""
    about = select(Study.id).where(Study.id == study_id, *_conditions(rule, now - rule.age_s))
    return session.scalar(about) is not None


def next_due(session: Session, rule: Rule, now: float) -> float | None:
    """When the next study is old enough that is not yet; None: there is none."""
    younger = select(func.min(Study.last_received_at)).where(
        _is_in(rule), purged_at(rule.part).is_(None), Study.last_received_at >= now - rule.age_s
    )
    last = session.scalar(younger)
    return None if last is None else last + rule.age_s


def _some(rule: Rule, before: float, after: tuple[float, int] | None) -> Select[float, int]:
    key = Study.last_received_at, Study.id
    query = select(*key).where(*_conditions(rule, before)).order_by(*key).limit(_AT_ONCE)
    return query if after is None else query.where(tuple_(*key) > tuple_(*after))


def _conditions(rule: Rule, before: float) -> Sequence[ColumnElement[bool]]:
    newer_report = exists().where(Result.study_id == Study.id, Result.written_at >= before)
    return (
        Study.last_received_at.between(NO_NODE_BEFORE, before),
        purged_at(rule.part).is_(None),
        _is_in(rule),
        ~newer_report,
    )


def _is_in(rule: Rule) -> ColumnElement[bool]:
    if StudyState.REPORTED in rule.states:
        # Nearly all are: no index of states is used for this, so that the oldest are found first by an index of times.
        return Study.state.not_in(set(StudyState) - set(rule.states))
    return Study.state.in_(rule.states)
