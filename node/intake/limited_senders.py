"""Senders that were refused because of a limit of their own, as `status`, the page and the metrics show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.store.advisory import lock_in_transaction
from node.store.tables import LimitedSender

_STATUS = "0x"
"""How a DIMSE status begins; no setting's name does."""


@dataclass(frozen=True)
class LimitedSenderView:
    """A sender that was refused because of a limit of its own. `limit`: the setting; `last_at`: UTC seconds since the
    epoch."""

    calling_ae_title: str
    limit: str
    times: int
    last_at: float


def limited_senders(session: Session) -> tuple[LimitedSenderView, ...]:
    """The senders that were refused because of a limit of their own, the latest first."""
    rows = refusals_of_senders(session, by_status=False)
    return tuple(LimitedSenderView(row.calling_ae_title, row.limit, row.times, row.last_at) for row in rows)


def refusals_of_senders(session: Session, *, by_status: bool) -> Sequence[LimitedSender]:
    """The rows of instances that were refused with a DIMSE status, or those of limits of senders, the latest first."""
    has_status = LimitedSender.limit.startswith(_STATUS)
    rows = select(LimitedSender).where(has_status if by_status else ~has_status)
    return session.scalars(rows.order_by(LimitedSender.last_at.desc(), LimitedSender.id)).all()


def enter_limited_senders(session: Session, refused: Mapping[tuple[str, str], int], now: float) -> None:
    """Adds refusals to the rows.

    Args:
        refused: how often, by calling AE title and setting or status.
        now: UTC seconds since the epoch.
    """
    lock_in_transaction(session, "limited senders")  # another process may receive from the same sender
    for (calling_ae_title, limit), times in refused.items():
        _add(session, calling_ae_title, limit, times, now)


def _add(session: Session, calling_ae_title: str, limit: str, times: int, now: float) -> None:
    row = session.scalars(select(LimitedSender).filter_by(calling_ae_title=calling_ae_title, limit=limit)).one_or_none()
    if row is None:
        row = LimitedSender(calling_ae_title=calling_ae_title, limit=limit, times=0)
        session.add(row)
    row.times += times
    row.last_at = now
