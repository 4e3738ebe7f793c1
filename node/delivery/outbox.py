"""The outbox: stores a revision's results and queues their deliveries, in the transaction of the report."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.results.profiles import MESSAGES, PROFILES, Profile, ResultKind
from node.store.states import DeliveryState, moved
from node.store.tables import Delivery, Result, Study


@dataclass(frozen=True)
class ResultDestination:
    """A destination of results, or the folder of `mammo-node read`.

    Attributes:
        name: the destination's name in the settings.
        profile: the objects that it gets.
        rejection_notes: whether objects that a revision replaces or drops are rejected there.
        only_discordant: whether it gets a study only once the radiologist and the models disagree; from then on it gets
            all revisions, also one without the disagreement.
    """

    name: str
    profile: Profile
    only_discordant: bool = False
    rejection_notes: bool = False


@dataclass(frozen=True)
class Written:
    """An object of the current revision; `path` is relative to the data folder."""

    profile: str
    kind: ResultKind
    sop_instance_uid: str
    path: str


def profiles_of(destinations: Iterable[ResultDestination]) -> list[Profile]:
    """The distinct profiles in which a study's results are written; without a destination, the default profile."""
    return list(dict.fromkeys(destination.profile for destination in destinations)) or [PROFILES["ohif"]]


def enter_results(
    session: Session, study: Study, objects: Sequence[Written], destinations: Iterable[ResultDestination], now: float
) -> None:
    """Stores the results of the study's current revision, and queues each for the destinations that do not have it yet.

    Objects that an earlier revision wrote are not changed and not sent twice. A dead delivery of such an object is
    queued again, and `dead_after_s` starts again. Rejection notes are part of every later revision. Messages of earlier
    revisions are not sent any more: they would replace the newer one at their destination.
    """
    known = {
        result.sop_instance_uid: result
        for result in session.scalars(select(Result).where(Result.study_id == study.id)).all()
    }
    for result in known.values():
        if result.kind == ResultKind.REJECTION:
            result.last_revision = study.revision
            for delivery in session.scalars(select(Delivery).where(Delivery.result_id == result.id)):
                if delivery.state is DeliveryState.DEAD:
                    send_again(delivery, now)
    hold_back_replaced(session, study, MESSAGES)
    study.results_purged_at = None
    names: dict[str, list[str]] = {}
    for destination in destinations:
        names.setdefault(destination.profile.name, []).append(destination.name)
    for written in objects:
        result = known.get(written.sop_instance_uid) or _entered(session, study, written, now)
        result.last_revision = study.revision
        if result.purged_at is not None:  # the same object, written anew
            result.path, result.written_at, result.purged_at = written.path, now, None
        deliveries = {
            delivery.destination: delivery
            for delivery in session.scalars(select(Delivery).where(Delivery.result_id == result.id)).all()
        }
        for name in names.get(written.profile, []):
            if name not in deliveries:
                session.add(Delivery(result_id=result.id, destination=name, created_at=now, next_at=now))
            elif deliveries[name].state is DeliveryState.DEAD:
                send_again(deliveries[name], now)


def rejected_uids(session: Session, study: Study) -> set[str]:
    """The SOP Instance UIDs of the study's results that were rejected at any destination."""
    query = select(Result.sop_instance_uid).join(Delivery, Delivery.result_id == Result.id)
    return set(session.scalars(query.where(Result.study_id == study.id, Delivery.rejected_by_id.is_not(None))))


def destinations_reached(session: Session, study: Study) -> set[str]:
    """The destinations that have a delivery of the study, sent or not."""
    query = select(Delivery.destination).join(Delivery.result).where(Result.study_id == study.id)
    return set(session.scalars(query))


def send_again(delivery: Delivery, now: float) -> None:
    """Queues a dead delivery again; `dead_after_s` counts from `now`."""
    delivery.state = moved(delivery.state, DeliveryState.WAITING)
    delivery.attempts = 0
    delivery.created_at = delivery.next_at = now
    delivery.error = ""


def _entered(session: Session, study: Study, written: Written, now: float) -> Result:
    result = Result(
        study_id=study.id,
        revision=study.revision,
        last_revision=study.revision,
        profile=written.profile,
        kind=written.kind,
        sop_instance_uid=written.sop_instance_uid,
        path=written.path,
        written_at=now,
    )
    session.add(result)
    session.flush()
    return result


def hold_back_replaced(session: Session, study: Study, kinds: Collection[ResultKind] = tuple(ResultKind)) -> int:
    """Marks undelivered results of earlier revisions, which are outdated, as dead; returns their number."""
    unsent = session.scalars(
        select(Delivery)
        .join(Delivery.result)
        .where(
            Result.study_id == study.id,
            Result.last_revision < study.revision,
            Result.kind.in_(kinds),
            Delivery.state.in_([DeliveryState.WAITING, DeliveryState.DEAD]),
        )
    ).all()
    for delivery in unsent:
        if delivery.state is DeliveryState.WAITING:
            delivery.state = moved(delivery.state, DeliveryState.DEAD)
        delivery.error = f"replaced by revision {study.revision}"
    return len(unsent)
