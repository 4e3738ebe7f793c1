"""The last 24 hours of the node in numbers, and the last word of every destination, sender and the reader."""

from __future__ import annotations

import shutil
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dicom_io.errors import ITS_WORDS
from node.operations.studies import needing_a_person
from node.store.states import DeliveryState, JobKind, JobState, StudyState
from node.store.tables import Delivery, Instance, Job, Result, Study

HOUR_S = 3600.0
HOURS = 24
DAY_S = 86400.0
REMEMBERED_S = 30 * DAY_S
"""What a destination took before is not looked for."""
_OF_A_WEEK = 7
_SAMPLE = 50
"""Files whose sizes are asked, to estimate how fast the disk fills."""


@dataclass(frozen=True)
class Hour:
    """An hour that begins at `start` (UTC seconds since the epoch): images received and read, results delivered."""

    start: float
    received: int
    read: int
    delivered: int


@dataclass(frozen=True)
class Latency:
    """Seconds from the last image of a study to its first report, over `studies` of the last 24 hours."""

    studies: int
    median_s: float
    p95_s: float


@dataclass(frozen=True)
class DestinationWord:
    """What is known of a destination, or of a webhook (`what` it gets). `waiting`: results that wait, the oldest since
    `waits_since`, with the last `error` and the next try; `given_up`: dead results of current revisions;
    `last_sent_at`: its last word, None if it took nothing within REMEMBERED_S."""

    name: str
    delivered: int
    last_sent_at: float | None
    waiting: int
    waits_since: float | None
    next_at: float | None
    error: str
    given_up: int
    what: str = "result"


@dataclass(frozen=True)
class SenderWord:
    """What is known of a sender: when an image of its newest study was last received; None: never."""

    ae_title: str
    last_received_at: float | None
    study: int | None


@dataclass(frozen=True)
class Day:
    """The last 24 hours. `images`, `studies`: received; `problems`: studies that need a person, of any age;
    `unreported`: studies that wait for their report now; the rest is the queue now."""

    hours: tuple[Hour, ...]
    studies: int
    reported: int
    problems: int
    unreported: int
    latency: Latency | None
    to_read: int
    being_read: int
    to_report: int
    to_deliver: int
    read_last_hour: int
    last_read_at: float | None

    @property
    def images(self) -> int:
        return sum(hour.received for hour in self.hours)

    @property
    def read(self) -> int:
        return sum(hour.read for hour in self.hours)

    @property
    def delivered(self) -> int:
        return sum(hour.delivered for hour in self.hours)


@dataclass(frozen=True)
class Disk:
    """Room for images. `days_left`: until `min_free_bytes` are left, at the rate of the last week; None: nothing
    came."""

    free_bytes: int
    total_bytes: int
    min_free_bytes: int
    days_left: float | None


def view_day(session: Session, destinations: Sequence[str], now: float) -> Day:
    """The last 24 hours, by whole hours: the present one is not over."""
    first = (now // HOUR_S - HOURS + 1) * HOUR_S
    received = _by_hour(session, Instance.received_at, first)
    read = _by_hour(session, Instance.read_at, first)
    delivered = _by_hour(session, Delivery.sent_at, first, Delivery.destination.in_(destinations))
    starts = [first + HOUR_S * number for number in range(HOURS)]
    jobs = {
        (kind, state): count
        for kind, state, count in session.execute(
            select(Job.kind, Job.state, func.count())
            .where(Job.state.in_([JobState.WAITING, JobState.RUNNING]))
            .group_by(Job.kind, Job.state)
        )
    }
    unreported = Study.state.in_([StudyState.OPEN, StudyState.CLOSED])
    return Day(
        hours=tuple(Hour(at, received[at], read[at], delivered[at]) for at in starts),
        studies=_count(session, select(func.count()).select_from(Study).where(Study.first_received_at >= first)),
        reported=_count(session, select(func.count(Result.study_id.distinct())).where(Result.written_at >= first)),
        problems=_count(session, select(func.count()).select_from(needing_a_person().subquery())),
        unreported=_count(session, select(func.count()).select_from(Study).where(unreported)),
        latency=_latency(session, first, now),
        to_read=jobs.get((JobKind.READ_IMAGE, JobState.WAITING), 0),
        being_read=jobs.get((JobKind.READ_IMAGE, JobState.RUNNING), 0),
        to_report=sum(count for (kind, _), count in jobs.items() if kind is JobKind.REPORT),
        to_deliver=_count(
            session, select(func.count()).select_from(Delivery).where(Delivery.state == DeliveryState.WAITING)
        ),
        read_last_hour=_count(
            session, select(func.count()).select_from(Instance).where(Instance.read_at >= now - HOUR_S)
        ),
        last_read_at=session.scalar(select(func.max(Instance.read_at))),
    )


def _count(session: Session, query: object) -> int:
    return int(session.scalar(query) or 0)  # type: ignore[call-overload]  # any SELECT of a count


def _by_hour(
    session: Session,
    times: InstrumentedAttribute[float] | InstrumentedAttribute[float | None],
    first: float,
    *conditions: ColumnElement[bool],
) -> Counter[float]:
    """How many times fall into each hour since `first`, by the hour's start."""
    found = session.scalars(select(times).where(times >= first, *conditions))
    return Counter(first + (at - first) // HOUR_S * HOUR_S for at in found if at is not None)


def first_report_seconds(session: Session, after: float, until: float) -> list[float]:
    """For each study that was reported for the first time in (after, until]: seconds from the last image that had come
    by then to the report."""
    written = (
        select(Result.study_id, func.min(Result.written_at).label("at"))
        .where(Result.written_at > after, Result.written_at <= until, Result.revision == 1)
        .group_by(Result.study_id)
        .subquery()
    )
    last_image = (
        select(func.max(Instance.received_at))
        .where(Instance.study_id == written.c.study_id, Instance.received_at <= written.c.at)
        .scalar_subquery()
    )
    return [seconds for seconds in session.scalars(select(written.c.at - last_image)) if seconds is not None]


def _latency(session: Session, first: float, now: float) -> Latency | None:
    seconds = sorted(first_report_seconds(session, first, now))
    if not seconds:
        return None
    return Latency(len(seconds), statistics.median(seconds), seconds[min(len(seconds) - 1, int(0.95 * len(seconds)))])


def usual_latency(session: Session, now: float) -> Latency | None:
    """Of the 7 days before those of `view_day`."""
    first = (now // HOUR_S - HOURS + 1) * HOUR_S
    return _latency(session, first - _OF_A_WEEK * DAY_S, first)


def destination_words(session: Session, names: Sequence[str], now: float) -> tuple[DestinationWord, ...]:
    """The last word of each destination of the settings."""
    first = (now // HOUR_S - HOURS + 1) * HOUR_S
    waits = select(Delivery.destination, func.count(), func.min(Delivery.created_at), func.min(Delivery.next_at)).where(
        Delivery.state == DeliveryState.WAITING
    )
    waiting = {row[0]: row for row in session.execute(waits.group_by(Delivery.destination))}
    given_up = (
        select(Delivery.destination, func.count())
        .join(Result, Delivery.result_id == Result.id)
        .join(Study, Result.study_id == Study.id)
        .where(Delivery.state == DeliveryState.DEAD, Result.last_revision == Study.revision)
        .group_by(Delivery.destination)
    )
    dead = dict(session.execute(given_up).all())
    words = []
    for name in names:
        sent = and_(Delivery.destination == name, Delivery.sent_at >= first)
        failed = and_(Delivery.destination == name, Delivery.state == DeliveryState.WAITING, Delivery.error != "")
        _, count, since, next_at = waiting.get(name, (name, 0, None, None))
        words.append(
            DestinationWord(
                name=name,
                delivered=_count(session, select(func.count()).select_from(Delivery).where(sent)),
                last_sent_at=session.scalar(
                    select(Delivery.sent_at)
                    .where(Delivery.destination == name, Delivery.sent_at >= now - REMEMBERED_S)
                    .order_by(Delivery.sent_at.desc())
                    .limit(1)
                ),
                waiting=count,
                waits_since=since,
                next_at=next_at,
                error=_without_its_words(
                    session.scalar(select(Delivery.error).where(failed).order_by(Delivery.next_at).limit(1))
                ),
                given_up=dead.get(name, 0),
            )
        )
    return tuple(words)


def _without_its_words(error: str | None) -> str:
    """The error without the destination's own words, which may name a patient: this one goes into mails too."""
    return (error or "").partition(ITS_WORDS)[0]


def sender_words(session: Session, ae_titles: Sequence[str]) -> tuple[SenderWord, ...]:
    """The last word of each sender of the settings."""
    words = []
    for title in ae_titles:
        newest = session.execute(
            select(Study.id, Study.last_received_at).where(Study.source == title).order_by(Study.id.desc()).limit(1)
        ).one_or_none()
        study, at = (None, None) if newest is None else newest
        words.append(SenderWord(title, at, study))
    return tuple(words)


def view_disk(session: Session, data_dir: Path, min_free_bytes: int, now: float) -> Disk:
    """Room for images, and how long it lasts.

    Raises:
        OSError: the disk does not answer.
    """
    usage = shutil.disk_usage(data_dir)
    newest = session.execute(
        select(Instance.path, Instance.received_at).order_by(Instance.id.desc()).limit(_SAMPLE)
    ).all()
    sizes = [size for path, _ in newest if (size := _size(data_dir / path)) is not None]
    days_left = None
    if sizes:
        week = select(func.count(), func.min(Instance.received_at)).where(
            Instance.received_at >= now - _OF_A_WEEK * DAY_S
        )
        count, since = session.execute(week).one()
        days = max(1.0, (now - since) / DAY_S) if count else 1.0  # a node that is new has not received for a week
        a_day = count / days * statistics.mean(sizes)
        if a_day:
            days_left = max(0, usage.free - min_free_bytes) / a_day
    return Disk(usage.free, usage.total, min_free_bytes, days_left)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
