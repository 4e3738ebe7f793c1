"""Finding studies among very many: by what they are and where they stand, or by an identifier of a patient.

Pages are cut by key (the study's id), so that the last page of a million studies costs as much as the first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, CompoundSelect, Select, exists, or_, select, union
from sqlalchemy.orm import Session, selectinload

from models.errors import UserError
from node.operations.status import DELIVERED, StudyView, with_rows
from node.store.states import DeliveryState, JobState, StudyState
from node.store.tables import Delivery, Instance, Job, Result, Study

PAGE = 50
"""Studies on a page, and on a screen."""
MOST_NAMED = 200
"""Most studies that are found by an identifier."""


class NoSuchStudy(UserError):
    """There is no study with this number or UID."""

    def __init__(self, named: object) -> None:
        super().__init__(f"There is no study {named}: `mammo-node status --all` lists them.")


@dataclass(frozen=True)
class StudyFilter:
    """Which studies are wanted; what is None or False asks for nothing.

    Attributes:
        source: the calling AE title of the sender.
        destination: the name of a destination that has results of it, or is to get them.
        undelivered: only those with results of the current revision that a destination (that one, if it is named) has
            not got: they wait, are not committed yet, or were given up.
        since, until: when its first image arrived, UTC seconds since the epoch; `until` itself is excluded.
        unfinished_or_newest: only so many of the newest, and every older one that is not finished, see `unfinished`.
        problems: only what needs a person, see `needing_a_person`.
        discordant: only where models and radiologist disagree on recall, none in quarantine.
        least_score: only exams whose score (0..1) is at least this, none in quarantine.
        ids: only these studies.
    """

    state: StudyState | None = None
    source: str | None = None
    destination: str | None = None
    undelivered: bool = False
    since: float | None = None
    until: float | None = None
    unfinished_or_newest: int | None = None
    problems: bool = False
    discordant: bool = False
    least_score: float | None = None
    ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class StudyPage:
    """Some studies, the newest first; `older`: the key of the next page, None on the last."""

    studies: tuple[StudyView, ...]
    older: int | None


@dataclass(frozen=True)
class Identifiers:
    """What leads to the patient, as the study's first instance states it."""

    study_instance_uid: str
    patient_id: str
    birth_date: str
    accession_number: str


def find_studies(session: Session, wanted: StudyFilter, before: int | None = None, limit: int = PAGE) -> StudyPage:
    """A page of studies, the newest first.

    Args:
        before: only studies with a smaller id: the `older` of the page before; None: the first page.
    """
    if wanted.destination is not None and not _has_deliveries(session, wanted.destination):
        return StudyPage((), None)  # without looking at every study
    query = select(Study).where(*conditions(wanted)).order_by(Study.id.desc()).limit(limit + 1)
    if before is not None:
        query = query.where(Study.id < before)
    found = session.scalars(query.options(selectinload(Study.instances))).all()
    of_page = found[:limit]
    return StudyPage(tuple(with_rows(session, of_page)), of_page[-1].id if len(found) > limit else None)


def _has_deliveries(session: Session, destination: str) -> bool:
    by_index = Delivery.state.in_(list(DeliveryState)), Delivery.destination == destination
    return bool(session.scalar(select(exists().where(*by_index))))


def conditions(wanted: StudyFilter) -> Iterator[ColumnElement[bool]]:
    """Of a query for the studies that are wanted."""
    if wanted.state is StudyState.REPORTED:
        # Nearly all are: no index is used for this, so that they are read in the order of the list.
        yield Study.state.not_in(set(StudyState) - {StudyState.REPORTED})
    elif wanted.state is not None:
        yield Study.state == wanted.state
    if wanted.source is not None:
        yield Study.source == wanted.source
    if wanted.since is not None:
        yield Study.first_received_at >= wanted.since
    if wanted.until is not None:
        yield Study.first_received_at < wanted.until
    if wanted.discordant:
        yield Study.discordant.is_(True)
    if wanted.least_score is not None:
        yield Study.score >= wanted.least_score
    if wanted.discordant or wanted.least_score is not None:
        # What was said of it may be of another patient, and is not given to programs either.
        yield Study.state != StudyState.QUARANTINED
    if wanted.ids is not None:
        yield Study.id.in_(wanted.ids)
    if wanted.unfinished_or_newest is not None:
        newest = select(Study.id).order_by(Study.id.desc()).limit(wanted.unfinished_or_newest).subquery()
        yield or_(Study.id.in_(select(newest.c.id)), Study.id.in_(unfinished()))
    if wanted.problems:
        yield Study.id.in_(needing_a_person())
    if wanted.undelivered:
        yield Study.id.in_(_undelivered(wanted.destination))
    elif wanted.destination is not None:
        of_study = select(Delivery.id).join(Result, Delivery.result_id == Result.id)
        yield exists(of_study.where(Result.study_id == Study.id, Delivery.destination == wanted.destination))


def unfinished() -> CompoundSelect[tuple[int]]:
    """The ids of studies that wait, failed, are in quarantine, or have results still to be delivered. A union of three
    queries that use indexes: one condition per study is slow if there are many."""
    return union(
        select(Study.id).where(Study.state.in_([StudyState.OPEN, StudyState.CLOSED, StudyState.QUARANTINED])),
        select(Job.study_id).where(Job.state == JobState.FAILED),
        _undelivered(),
    )


def _undelivered(destination: str | None = None) -> Select[int]:
    """The ids of studies with results of the current revision that a destination, or this one, has not got."""
    query = (
        select(Study.id)
        .join(Study.results)
        .join(Delivery, Delivery.result_id == Result.id)
        .where(Result.last_revision == Study.revision, Delivery.state.in_(set(DeliveryState) - DELIVERED))
    )
    return query if destination is None else query.where(Delivery.destination == destination)


def needing_a_person() -> CompoundSelect[tuple[int]]:
    """The ids of studies that the node does not bring further by itself: in quarantine, with a failed job, or with a
    dead delivery of the current revision."""
    return union(
        select(Study.id).where(Study.state == StudyState.QUARANTINED),
        select(Job.study_id).where(Job.state == JobState.FAILED),
        select(Study.id)
        .join(Study.results)
        .join(Delivery, Delivery.result_id == Result.id)
        .where(Delivery.state == DeliveryState.DEAD, Result.last_revision == Study.revision),
    )


def identifiers(session: Session, ids: Collection[int]) -> dict[int, Identifiers]:
    """What leads to the patients of some studies, by the study's id; only for people who may see it."""
    columns = (
        Study.id,
        Study.study_instance_uid,
        Instance.patient_id,
        Instance.patient_birth_date,
        Instance.accession_number,
    )
    rows = session.execute(
        select(*columns).join(Study.instances).where(Study.id.in_(ids)).order_by(Study.id, Instance.id.desc())
    )
    return {study: Identifiers(*stated) for study, *stated in rows}  # the first instance is the last row


def find_study(session: Session, named: str) -> int:
    """The row of a study, by its number or by its Study Instance UID.

    Raises:
        NoSuchStudy
    """
    by_number = session.get(Study, int(named)) if named.isdecimal() and len(named) < 10 else None
    study = by_number or session.query(Study).filter(Study.study_instance_uid == named).one_or_none()
    if study is None:
        raise NoSuchStudy(named)
    return study.id


def with_accession_number(session: Session, number: str) -> tuple[int, ...]:
    """The ids of the studies of which an instance has this accession number."""
    found = select(Instance.study_id).where(Instance.accession_number == number).distinct()
    return tuple(session.scalars(found.limit(MOST_NAMED))) if number else ()


def patients_of(session: Session, study: int) -> dict[tuple[str, str], list[int]]:
    """The patients (ID, birth date) that the instances of a study state, each with the ids of those instances; only for
    people who may see it. Of a study in quarantine they may be two."""
    rows = session.execute(
        select(Instance.patient_id, Instance.patient_birth_date, Instance.id)
        .where(Instance.study_id == study)
        .order_by(Instance.id)
    )
    found: dict[tuple[str, str], list[int]] = {}
    for patient, born, instance in rows:
        found.setdefault((patient, born), []).append(instance)
    return found


def studies_named(session: Session, name: str) -> list[int]:
    """The ids of the studies with this Study Instance UID, accession number or patient ID, the newest first."""
    if not name:
        return []
    found = union(
        select(Study.id).where(Study.study_instance_uid == name),
        select(Instance.study_id).where(Instance.accession_number == name),
        select(Instance.study_id).where(Instance.patient_id == name),
    ).subquery()
    return list(session.scalars(select(found.c.id).order_by(found.c.id.desc()).limit(MOST_NAMED)))
