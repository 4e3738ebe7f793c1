"""Sends the deliveries of the outbox. One thread per destination, so that a failing destination delays no other."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from dicom_io.errors import DestinationError, NotAccepted, Rejected, Unreachable
from dicom_io.results.outputs import OUTPUTS
from dicom_io.results.profiles import MESSAGES, ResultKind
from node.audit.events import Recipient, enter_sending, enter_sent
from node.delivery.backoff import RetryPolicy, next_try
from node.delivery.commitment import MOST_IN_ONE_REQUEST, Commitment
from node.delivery.window import Window
from node.store.changes import ChangeWatch
from node.store.database import Sessions, read_only
from node.store.events import tell_failure
from node.store.faults import RAISED_AS, describe_fault, is_passing
from node.store.states import DeliveryState, StudyState, moved
from node.store.tables import Delivery, Result, Study
from node.store.urgency import Urgency

log = logging.getLogger(__name__)

AT_ONCE = 20
"""Deliveries that are sent before it is asked again which come next: an urgent study waits for no more than these."""
STAND_BY_S = 1.0
"""How soon a process that stands by delivers in place of one that has ended."""
COMMITMENT_EVERY_S = 10.0
"""While something is sent, commitment is requested no sooner than this after the last request, which takes a second, or
its time-out: an urgent study waits for it. Sooner if as many objects wait as one request names."""


class Transport(Protocol):
    """Sends objects to one destination, for example dicom_io.network.scu.CStoreDestination."""

    def send(self, path: Path) -> str | None:
        """Returns when the destination has stored the object; the warning with which it did, if there was one.

        Raises:
            Unreachable: no answer; sending other objects would fail too.
            Rejected: this object was refused.
            NotAccepted: the destination would refuse it every time.
        """

    def close(self) -> None:
        """Closes the connection, if there is one."""


@dataclass(frozen=True)
class _Due:
    study_id: int
    delivery_id: int
    path: Path
    kind: ResultKind


@dataclass(frozen=True)
class _Failed:
    """An object that was not sent, why, and whether it will be tried again."""

    due: _Due
    error: str
    outcome: str


@dataclass(frozen=True)
class Deliverer:
    """Sends the due deliveries of one destination.

    Attributes:
        name: the destination's name in the settings and in the delivery rows.
        data_dir: the data folder; paths of results are relative to it.
        now: UTC seconds since the epoch.
        commitment: requests storage commitment from the destination; None: a sent delivery is complete.
        window: the hours in which it gets what is not urgent; None: at any time.
        recipient: how the audit trail names the destination; None: it has no events of it.
        alone: whether no other process delivers to this destination: it asks again before each object.
    """

    name: str
    transport: Transport
    policy: RetryPolicy
    sessions: Sessions
    data_dir: Path
    now: Callable[[], float]
    commitment: Commitment | None = None
    window: Window | None = None
    recipient: Recipient | None = None
    alone: Callable[[], bool] = lambda: True

    def run(self, stop: threading.Event) -> None:
        """Delivers until `stop` is set."""
        unasked, asked_at = 0, self.now()
        with closing(self.transport), ChangeWatch(self.sessions, self.now) as changes:
            while not stop.is_set():
                looked_at = self.now()
                if not self.alone():
                    self.transport.close()
                    stop.wait(STAND_BY_S)
                    continue
                tried = self.deliver_due(stop)
                unasked += tried
                if not tried:
                    # An idle association would occupy one of the destination's places.
                    self.transport.close()
                due = not tried or unasked >= MOST_IN_ONE_REQUEST or self.now() >= asked_at + COMMITMENT_EVERY_S
                if self.commitment is not None and due:
                    self.commitment.request_due()
                    unasked, asked_at = 0, self.now()
                if not tried:
                    changes.wait(stop, self._next_due(looked_at))

    def deliver_due(self, stop: threading.Event | None = None) -> int:
        """Tries the next AT_ONCE due deliveries, by the turn of their studies; returns the number of tries."""
        due = self._due(AT_ONCE)
        failed: list[_Failed] = []
        try:
            return self._deliver(due, failed, stop)
        finally:
            self._log_failed(failed)

    def _deliver(self, due: Sequence[_Due], failed: list[_Failed], stop: threading.Event | None) -> int:
        """Tries the deliveries, and adds to `failed`."""
        begun = set()
        for tried, delivery in enumerate(due):
            if stop is not None and stop.is_set():
                return tried
            if not self._may_leave(delivery):
                continue
            if delivery.study_id not in begun:
                begun.add(delivery.study_id)
                self._begin([one for one in due if one.study_id == delivery.study_id])
            try:
                warning = self.transport.send(delivery.path)
            except Unreachable as error:
                # Each of the others would wait for the same time-out.
                failed += [each for unsent in self._due() for each in self._failed(unsent, error)]
                return tried + 1
            except DestinationError as error:
                failed += self._failed(delivery, error)
            except RAISED_AS as fault:
                if not is_passing(fault):
                    raise
                failed += self._failed(delivery, Rejected(f"it cannot be read here: {describe_fault(fault)}"))
            else:
                self._sent(delivery, warning or "")
        return len(due)

    def _due(self, limit: int | None = None) -> list[_Due]:
        due = self._waiting().where(Delivery.next_at <= self.now()).order_by(Study.turn, Delivery.id)
        with read_only(self.sessions) as session:
            found = session.execute(due.limit(limit))
            return [_Due(study, delivery, self.data_dir / path, kind) for study, delivery, path, kind in found]

    def _next_due(self, after: float) -> float | None:
        """The earliest time later than `after` at which a delivery or a commitment is due, or the window opens."""
        unfinished = Delivery.state.in_([DeliveryState.WAITING, DeliveryState.UNCOMMITTED])
        later = select(func.min(Delivery.next_at)).where(
            unfinished, Delivery.destination == self.name, Delivery.next_at > after
        )
        with read_only(self.sessions) as session:
            due = session.scalar(later)
        opens_at = after if self.window is None else self.window.opens_at(after)
        return min((at for at in (due, opens_at) if at is not None and at > after), default=None)

    def _may_leave(self, due: _Due) -> bool:
        """Whether it may still be sent: since the list was read, its study may have been quarantined, the window have
        closed, or another process have begun to deliver."""
        if not self.alone():
            return False
        with read_only(self.sessions) as session:
            return session.execute(self._waiting().where(Delivery.id == due.delivery_id)).first() is not None

    def _waiting(self) -> Select[int, int, str, ResultKind]:
        waiting = (
            select(Study.id, Delivery.id, Result.path, Result.kind)
            .join(Delivery.result)
            .join(Result.study)
            .where(
                Study.state != StudyState.QUARANTINED,  # safety rule 5: nothing is sent until a person has checked
                Delivery.destination == self.name,
                Delivery.state == DeliveryState.WAITING,
            )
        )
        if self.window is None or self.window.is_open(self.now()):
            return waiting
        return waiting.where(Study.urgency.in_([urgency for urgency in Urgency if urgency.is_urgent]))

    def _begin(self, due: Sequence[_Due]) -> None:
        """Enters into the audit trail that objects of a study are going to be sent."""
        if self.recipient is not None and not self.recipient.exports:
            with self.sessions.begin() as session:
                study = session.get_one(Study, due[0].study_id)
                enter_sending(session, study, self.recipient, _classes(due), self.now())

    def _audit(self, session: Session, due: _Due, why: str = "") -> None:
        """Enters into the audit trail that an object was sent; `why`: it was given up."""
        if self.recipient is not None:
            study = session.get_one(Study, due.study_id)
            enter_sent(session, study, self.recipient, _classes([due]), self.now(), why)

    def _sent(self, due: _Due, warning: str) -> None:
        with self.sessions.begin() as session:
            self._audit(session, due)
            delivery = self._still_waiting(session, due)
            if delivery is None:
                return
            delivery.state = moved(delivery.state, DeliveryState.SENT)
            delivery.attempts += 1
            delivery.sent_at = self.now()
            delivery.error = warning
            delivery.transaction_uid = None
            if self.commitment is not None:
                self.commitment.sent(delivery)
        log.info("study %d: delivery %d to %s: sent", due.study_id, due.delivery_id, self.name)
        if warning:
            log.warning("study %d: delivery %d to %s: %s", due.study_id, due.delivery_id, self.name, warning)

    def _failed(self, due: _Due, error: DestinationError) -> list[_Failed]:
        """Enters that an object was not sent; nothing if a person changed its delivery in the meantime."""
        with self.sessions.begin() as session:
            delivery = self._still_waiting(session, due)
            if delivery is None:
                return []
            delivery.attempts += 1
            delivery.error = error.with_comment
            again_at = None
            if not isinstance(error, NotAccepted):
                again_at = next_try(self.policy, delivery.attempts, delivery.created_at, self.now())
            if again_at is None:
                delivery.state = moved(delivery.state, DeliveryState.DEAD)
                self._audit(session, due, str(error))
                if delivery.result.last_revision == delivery.result.study.revision:
                    tell_failure(session, delivery.result.study, self.now())
            else:
                delivery.next_at = again_at
        return [_Failed(due, str(error), "given up" if again_at is None else "will be tried again")]

    def _log_failed(self, failed: Sequence[_Failed]) -> None:
        """One line for each reason, however many objects it concerns."""
        for error, outcome in dict.fromkeys((each.error, each.outcome) for each in failed):
            of_it = [each.due for each in failed if (each.error, each.outcome) == (error, outcome)]
            if len(of_it) == 1:
                (due,) = of_it
                log.warning(
                    "study %d: delivery %d to %s: not sent: %s (%s)",
                    due.study_id,
                    due.delivery_id,
                    self.name,
                    error,
                    outcome,
                )
            else:
                log.warning("%d deliveries to %s: not sent: %s (%s)", len(of_it), self.name, error, outcome)

    @staticmethod
    def _still_waiting(session: Session, due: _Due) -> Delivery | None:
        """The row, unless a person changed its state while it was being sent."""
        delivery = session.get_one(Delivery, due.delivery_id, with_for_update=True)
        return delivery if delivery.state is DeliveryState.WAITING else None


def _classes(due: Sequence[_Due]) -> Mapping[str, int]:
    """The SOP Class UIDs of the objects, and how many there are of each; messages have none."""
    return Counter(str(OUTPUTS[one.kind].sop_class_uid) for one in due if one.kind not in MESSAGES)
