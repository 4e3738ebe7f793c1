"""Orphaned deliveries: their destination was removed from the settings. A person drops or moves them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from dicom_io.results.profiles import MESSAGES, Profile
from models.errors import UserError
from models.types.words import counted
from node.store.states import DeliveryState, moved
from node.store.tables import Delivery


def orphaned(session: Session, configured: Collection[str]) -> dict[str, int]:
    """The number of waiting, dead and uncommitted deliveries, by destination that is not `configured`."""
    query = select(Delivery.destination, func.count()).where(_open(), Delivery.destination.not_in(configured))
    return dict(session.execute(query.group_by(Delivery.destination)).all())


def drop(session: Session, name: str) -> int:
    """Drops the open deliveries to `name`; returns their number. The results stay in the data folder."""
    deliveries = _to(session, name)
    for delivery in deliveries:
        _end(session, delivery)
    return len(deliveries)


class OtherKind(UserError):
    """A destination gets another kind of result than waits."""


def move(session: Session, name: str, to: str, takes: Profile, now: float) -> int:
    """Moves the open deliveries from `name` to another destination; returns their number. A result for which that
    destination already has a delivery is not sent twice.

    Args:
        takes: what that destination gets: DICOM objects, of whatever kind, or one kind of message.

    Raises:
        OtherKind: nothing was moved.
    """
    deliveries = _to(session, name)
    message = next((kind for kind in MESSAGES if kind in takes.kinds), None)
    for delivery in deliveries:
        if message != (delivery.result.kind if delivery.result.kind in MESSAGES else None):
            raise OtherKind(f"{to} takes no {delivery.result.kind}: move them to a destination of the same kind.")
    for delivery in deliveries:
        twin = select(Delivery.id).where(Delivery.result_id == delivery.result_id, Delivery.destination == to)
        if session.scalar(twin) is None and delivery.result.purged_at is None:
            session.add(Delivery(result_id=delivery.result_id, destination=to, created_at=now, next_at=now))
        _end(session, delivery)
    return len(deliveries)


def _end(session: Session, delivery: Delivery) -> None:
    if delivery.state is DeliveryState.UNCOMMITTED:  # it was sent; its commitment is not requested any more
        delivery.state = moved(delivery.state, DeliveryState.SENT)
        delivery.transaction_uid = None
    else:
        session.delete(delivery)


def _to(session: Session, name: str) -> Sequence[Delivery]:
    return session.scalars(select(Delivery).where(_open(), Delivery.destination == name).order_by(Delivery.id)).all()


def _open() -> ColumnElement[bool]:
    return Delivery.state.in_([DeliveryState.WAITING, DeliveryState.DEAD, DeliveryState.UNCOMMITTED])


def waiting_for(name: str, count: int) -> str:
    """ "2 deliveries wait for pacs"."""
    return f"{counted(count, 'delivery', 'deliveries')} {'waits' if count == 1 else 'wait'} for {name}"
