"""The road of one study through the node: what happened when, and in one sentence where it stands and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from models.types.mammogram import Laterality
from models.types.words import counted
from node.operations.status import DELIVERED, DeliveryView, ImageView, StudyView, with_rows
from node.retention.told import day_of
from node.store.states import DeliveryState, ImageOutcome, JobKind, JobState, StudyState
from node.store.tables import ReceivedAssessment, Result, Study, StudyAct

_SIDES = {Laterality.LEFT: "left", Laterality.RIGHT: "right"}


@dataclass(frozen=True)
class Event:
    """Something that happened to a study, or will. `at`: UTC seconds since the epoch; None: no time is known. `why`:
    the reason, one sentence, or ""; `who`: the person who did it, or "" if none did."""

    at: float | None
    what: str
    why: str = ""
    who: str = ""


@dataclass(frozen=True)
class Road:
    """`answer`: where the study stands and why, one or two sentences; `events`: in order of time, then those of which
    no time is known."""

    study: StudyView
    answer: str
    events: tuple[Event, ...]


def road_of(session: Session, study_id: int) -> Road | None:
    """The road of a study; None: there is none with this id."""
    study = session.get(Study, study_id, options=[selectinload(Study.instances)])
    if study is None:
        return None
    (view,) = with_rows(session, [study])
    results = session.scalars(select(Result).where(Result.study_id == study_id).order_by(Result.id)).all()
    assessed = session.scalars(
        select(ReceivedAssessment).where(ReceivedAssessment.study_id == study_id).order_by(ReceivedAssessment.id)
    ).all()
    acts = session.scalars(select(StudyAct).where(StudyAct.study_id == study_id).order_by(StudyAct.id)).all()
    events = [
        *_arrivals(view),
        *(Event(act.at, _capital(act.what), who=act.who) for act in acts),
        *_readings(view),
        *_reports(results),
        *_assessments(assessed),
        *_deliveries(view),
        *_notices(view),
        *_purges(view),
    ]
    known = sorted((event for event in events if event.at is not None), key=lambda event: event.at or 0)
    return Road(view, answer(view), (*known, *(event for event in events if event.at is None)))


def name_of(image: ImageView) -> str:
    """An image as people call it: "left CC", or its kind and number."""
    side = _SIDES.get(image.laterality) if image.laterality else None
    return " ".join(filter(None, (side, image.view))) or f"{image.kind} (image {image.id})"


def answer(study: StudyView) -> str:
    """Where a study stands and why: "why was it not processed?"."""
    match study.state:
        case StudyState.QUARANTINED:
            why = f"{study.why}: {study.disagreement}" if study.disagreement else study.why
            waits = f"It is in quarantine: {why}. Nothing is sent until a person has checked it and retries it."
            return " ".join((waits, *_purged(study)))
        case StudyState.NOT_READ:
            return " ".join((f"Nothing of it is read, and nothing is sent: {study.why}.", *_purged(study)))
        case StudyState.OPEN | StudyState.CLOSED:
            return _unreported(study)
        case StudyState.REPORTED:
            return " ".join((*_reported(study), *_purged(study)))


def retry_helps(study: StudyView) -> bool:
    """Whether a person who retries the study brings it further, or sooner."""
    return (
        study.state is StudyState.QUARANTINED
        or any(job.state is JobState.FAILED for job in study.jobs)
        or any(
            delivery.state is DeliveryState.DEAD or (delivery.state is DeliveryState.WAITING and delivery.error)
            for delivery in study.deliveries
            if delivery.last_revision == study.revision
        )
        or any(notice.state is DeliveryState.DEAD for notice in study.notices)
    )


def _unreported(study: StudyView) -> str:
    failed = [job for job in study.jobs if job.state is JobState.FAILED and job.kind is JobKind.REPORT]
    if failed:
        return f"Its report could not be written: {failed[0].error}. Retry it when that is mended."
    to_read = sum(image.outcome is ImageOutcome.WAITING for image in study.images)
    put_off = next((job for job in study.jobs if job.state is JobState.WAITING and job.faults), None)
    if put_off is not None:
        return f"A fault of the machine put it off, {counted(put_off.faults, 'time')} so far: {put_off.error}."
    waits = f"{counted(to_read, 'image')} of {len(study.images)} {'is' if to_read == 1 else 'are'} still to be read"
    if study.state is StudyState.OPEN:
        why = study.why or "it was received just now"
        return f"More images may come: {why}." + (f" {waits[0].upper()}{waits[1:]}." if to_read else "")
    return f"It is complete; {waits}." if to_read else "It is complete and read; its report is written next."


def _reported(study: StudyView) -> Iterator[str]:
    current = [delivery for delivery in study.deliveries if delivery.last_revision == study.revision]
    dead = [delivery for delivery in current if delivery.state is DeliveryState.DEAD]
    waiting = [delivery for delivery in current if delivery.state is DeliveryState.WAITING]
    uncommitted = [delivery for delivery in current if delivery.state is DeliveryState.UNCOMMITTED]
    done, sent = "It was read and reported", "It was read, reported and"
    if not any(image.outcome is ImageOutcome.READ for image in study.images):
        done = "No image of it could be read, and its report says so"
        sent = f"{done}; that was"
    if dead:
        yield f"{done}, but {_results(dead)} did not reach {_names(dead)}: {dead[0].error}."
    elif waiting:
        error = next((delivery.error for delivery in waiting if delivery.error), "")
        yield f"{done}; {_results(waiting)} still to go to {_names(waiting)}" + (f": {error}." if error else ".")
    elif uncommitted:
        yield f"{sent} sent; {_names(uncommitted)} has not committed to keep it yet."
    elif current:
        yield f"{sent} delivered."
    else:
        yield f"{done}. No destination gets its results."
    unread = [image for image in study.images if image.outcome is ImageOutcome.NOT_READ]
    if unread:
        reasons = dict.fromkeys((image.reason or "").rstrip(".") for image in unread)
        yield f"Not read: {'; '.join(f'{_alike(unread, reason)}: {reason}' for reason in reasons)}."


def _purged(study: StudyView) -> Iterator[str]:
    """What retention deleted of it."""
    gone = [image.purged_at for image in study.images if image.purged_at is not None]
    if gone:
        which = "Its images" if len(gone) == len(study.images) else f"{len(gone)} of its {len(study.images)} images"
        yield f"{which} were purged on {day_of(max(gone))} (retention)."
    if study.results_purged_at is not None:
        yield f"The files of its results were purged on {day_of(study.results_purged_at)} (retention)."


def _purges(study: StudyView) -> Iterator[Event]:
    gone = Counter(image.purged_at for image in study.images if image.purged_at is not None)
    for at, count in gone.items():
        yield Event(at, f"{counted(count, 'image')} purged", "retention: the files are deleted")
    if study.readings_purged_at is not None and study.readings_purged_at not in gone:
        yield Event(study.readings_purged_at, "Readings purged", "retention: masks and pictures are deleted")
    if study.results_purged_at is not None:
        yield Event(study.results_purged_at, "Results purged", "retention: the files are deleted")


def _alike(images: Sequence[ImageView], reason: str) -> str:
    """The images that were not read for a reason."""
    of_reason = (image for image in images if (image.reason or "").rstrip(".") == reason)
    return ", ".join(dict.fromkeys(name_of(image) for image in of_reason))


def _results(deliveries: Sequence[DeliveryView]) -> str:
    return counted(len(deliveries), "result")


def _names(deliveries: Sequence[DeliveryView]) -> str:
    return ", ".join(dict.fromkeys(delivery.destination for delivery in deliveries))


def _arrivals(study: StudyView) -> Iterator[Event]:
    sender = f" from {study.source}" if study.source else ""
    yield Event(study.first_received_at, f"First image received{sender}")
    if study.last_received_at > study.first_received_at:
        yield Event(study.last_received_at, f"Last image received, {len(study.images)} in all")
    if study.closed_at is not None:
        yield Event(study.closed_at, f"Complete, revision {study.revision}")


def _readings(study: StudyView) -> Iterator[Event]:
    failed = {job.image: job for job in study.jobs if job.state is JobState.FAILED}
    for image in study.images:
        if image.outcome is ImageOutcome.READ:
            yield Event(image.read_at, f"{_capital(name_of(image))} read")
        elif image.outcome is ImageOutcome.NOT_READ:
            tries = f" after {counted(failed[image.id].attempts, 'attempt')}" if image.id in failed else ""
            yield Event(None, f"{_capital(name_of(image))} not read{tries}", image.reason or "")
    for job in study.jobs:
        if job.state is JobState.WAITING and job.faults:
            yield Event(job.next_at, f"Next try, put off {counted(job.faults, 'time')} ({job.kind})", job.error)
        elif job.state is JobState.FAILED and job.kind is JobKind.REPORT:
            yield Event(None, f"Report not written after {counted(job.attempts, 'attempt')}", job.error)


def _reports(results: Sequence[Result]) -> Iterator[Event]:
    for revision in dict.fromkeys(result.revision for result in results):
        written = [result for result in results if result.revision == revision]
        kinds = Counter(result.kind for result in written)
        what = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        yield Event(min(result.written_at for result in written), f"Revision {revision} reported", what)


def _assessments(assessed: Sequence[ReceivedAssessment]) -> Iterator[Event]:
    for row in assessed:
        about = f"{_SIDES[row.laterality]} breast" if row.laterality else "exam"
        yield Event(row.received_at, f"Radiologist's BI-RADS {row.category}, {about}, received by {row.source}")
        if row.withdrawn_at is not None:
            yield Event(row.withdrawn_at, f"Radiologist's BI-RADS {row.category}, {about}, withdrawn or corrected")


def _deliveries(study: StudyView) -> Iterator[Event]:
    """One event for all deliveries of one revision to one destination that have the same state and error."""
    alike: dict[tuple[object, ...], list[DeliveryView]] = {}
    for delivery in study.deliveries:
        alike.setdefault((delivery.destination, delivery.state, delivery.error, delivery.revision), []).append(delivery)
    for deliveries in alike.values():
        first = deliveries[0]
        what = f"{_results(deliveries)} of revision {first.revision}"
        tries = f" after {counted(first.attempts, 'attempt')}" if first.attempts else ""
        if first.state in DELIVERED or first.state is DeliveryState.UNCOMMITTED:
            committed = ", committed" if first.state is DeliveryState.COMMITTED else ""
            at = max((delivery.sent_at for delivery in deliveries if delivery.sent_at), default=None)
            yield Event(at, f"{what} delivered to {first.destination}{committed}", first.error)
        elif first.state is DeliveryState.WAITING:
            at = min(delivery.next_at for delivery in deliveries)
            yield Event(at, f"Next try: {what} to {first.destination}{tries}", first.error)
        else:
            yield Event(None, f"{what} not delivered to {first.destination}{tries}", first.error)


def _notices(study: StudyView) -> Iterator[Event]:
    for notice in study.notices:
        what = f"webhook {notice.webhook}: {notice.event} (revision {notice.revision})"
        tries = f" after {counted(notice.attempts, 'attempt')}" if notice.attempts else ""
        if notice.state is DeliveryState.SENT:
            yield Event(notice.sent_at, f"Told {what}")
        elif notice.state is DeliveryState.WAITING:
            yield Event(notice.next_at, f"Next try to tell {what}{tries}", notice.error)
        else:
            yield Event(None, f"Not told {what}{tries}", notice.error)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
