"""Who was refused of late, for people: an address each, with why it was refused the last time."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from node.store.advisory import lock_in_transaction
from node.store.tables import RefusedCaller

MOST = 200
"""Most addresses, so that callers who are many do not fill the database: the one that was silent for longest leaves."""
SHOWN_S = 7 * 86400.0


@dataclass(frozen=True)
class RefusedCallerView:
    """`says`: why it was refused the last time; `times`: how often, since it is known; `last_at`: when it was counted
    last, UTC seconds since the epoch, up to an hour after the refusal where there are many."""

    address: str
    says: str
    times: int
    last_at: float


def count_refused(session: Session, address: str, says: str, times: int, now: float) -> None:
    """Counts refusals of an address."""
    lock_in_transaction(session, "refused callers")  # another process may refuse the same address
    row = session.get(RefusedCaller, address)
    if row is None:
        if session.scalars(select(func.count()).select_from(RefusedCaller)).one() >= MOST:
            session.delete(session.scalars(select(RefusedCaller).order_by(RefusedCaller.last_at).limit(1)).one())
        row = RefusedCaller(address=address, says=says, times=0, last_at=now)
        session.add(row)
    row.times += times
    row.says, row.last_at = says, now
    session.flush()


def refused_callers(session: Session, now: float) -> tuple[RefusedCallerView, ...]:
    """Who was refused in the last 7 days, the latest first."""
    rows = session.scalars(
        select(RefusedCaller)
        .where(RefusedCaller.last_at >= now - SHOWN_S)
        .order_by(RefusedCaller.last_at.desc(), RefusedCaller.address)
    )
    return tuple(RefusedCallerView(row.address, row.says, row.times, row.last_at) for row in rows)
