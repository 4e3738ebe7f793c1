"""SOP classes that senders propose and the node does not accept: logged once, and shown by `status`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from node.store.advisory import lock_in_transaction
from node.store.database import Sessions
from node.store.tables import RefusedClass

log = logging.getLogger(__name__)

MOST = 1000
"""Most rows, so that a sender with invented SOP classes does not fill the database."""


@dataclass(frozen=True)
class RefusedClassView:
    """`last_at`: UTC seconds since the epoch; `times`: in how many associations; `sop_class`: its name, or its UID."""

    calling_ae_title: str
    sop_class: str
    times: int
    last_at: float


def enter_refused_classes(sessions: Sessions, calling_ae_title: str, sop_class_uids: Sequence[str], now: float) -> None:
    """Counts SOP classes that an association proposed and the node refused. A failing database is only logged: the
    association continues."""
    try:
        with sessions.begin() as session:
            lock_in_transaction(session, "refused classes")  # another process may receive from the same sender
            new = [uid for uid in sop_class_uids if _count(session, calling_ae_title, uid, now)]
    except SQLAlchemyError as fault:
        log.error("SOP classes that were proposed and not accepted are not entered: %s", type(fault).__name__)
        return
    if new:
        named = ", ".join(_name(uid) for uid in new)
        log.warning("%r proposes SOP classes that this node does not accept: %s", calling_ae_title, named)


def refused_classes(session: Session) -> tuple[RefusedClassView, ...]:
    """The SOP classes that were proposed and not accepted, the latest first."""
    rows = session.scalars(select(RefusedClass).order_by(RefusedClass.last_at.desc(), RefusedClass.id))
    return tuple(
        RefusedClassView(row.calling_ae_title, _name(row.sop_class_uid), row.times, row.last_at) for row in rows
    )


def _count(session: Session, calling_ae_title: str, sop_class_uid: str, now: float) -> bool:
    """Counts one refusal; returns whether it is the first."""
    row = session.scalars(
        select(RefusedClass).filter_by(calling_ae_title=calling_ae_title, sop_class_uid=sop_class_uid)
    ).one_or_none()
    is_new = row is None
    if row is None:
        if session.scalars(select(func.count()).select_from(RefusedClass)).one() >= MOST:
            return False
        row = RefusedClass(calling_ae_title=calling_ae_title, sop_class_uid=sop_class_uid, times=0)
        session.add(row)
    row.times += 1
    row.last_at = now
    session.flush()
    return is_new


def _name(sop_class_uid: str) -> str:
    from pydicom.uid import UID  # slow to import, and `status` seldom needs it

    return UID(sop_class_uid).name
