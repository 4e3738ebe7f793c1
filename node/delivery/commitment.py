"""Storage commitment: the node asks a destination to commit to keep the objects it was sent. Objects without commitment
are sent again.

A sent delivery waits for the commitment: its row holds the Transaction UID of the request, and `next_at` is the time at
which the node stops waiting. The row is written before the request is sent, so that it exists when the answer arrives,
and a node that is killed in between asks or sends again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, object_session

from dicom_io.errors import DestinationError, NotAccepted
from dicom_io.network.commitment import DUPLICATE_TRANSACTION, CommitmentReport, Hear, Reference
from dicom_io.network.peer import meaning
from dicom_io.results.outputs import OUTPUTS
from models.types.words import counted
from node.delivery.backoff import RetryPolicy, next_try
from node.store.database import Sessions, read_only
from node.store.events import tell_failure
from node.store.states import DeliveryState, moved
from node.store.tables import Delivery

log = logging.getLogger(__name__)

MOST_IN_ONE_REQUEST = 200
"""Instances."""

Request = Callable[[str, Sequence[Reference], Hear], None]
"""dicom_io.network.commitment.ask_commitment of a peer."""


@dataclass(frozen=True)
class Commitment:
    """Requests and records the commitments of one destination.

    Attributes:
        name: the destination's name in the settings and in the delivery rows.
        timeout_s: time without an answer after which an object is sent again.
        now: UTC seconds since the epoch.
        new_uid: makes unique Transaction UIDs.
    """

    name: str
    request: Request
    policy: RetryPolicy
    timeout_s: float
    sessions: Sessions
    now: Callable[[], float]
    new_uid: Callable[[], str]

    def sent(self, delivery: Delivery) -> None:
        """Makes a commitment due for a delivery that was sent; in the transaction that stores that it was sent."""
        ask_anew(delivery, self.now())

    def request_due(self) -> None:
        """Requests commitment of all due deliveries, and queues those without an answer in time for sending again."""
        while self._something_is_due():
            transaction_uid = self.new_uid()
            references = self._asked(transaction_uid)
            if references:
                self._ask(transaction_uid, references)

    def take_report(self, report: CommitmentReport) -> bool:
        """Records the destination's report; returns False if its transaction was not requested from this destination.

        A repeated report changes nothing. A report does not change deliveries that were not requested or are dead.
        """
        with self.sessions.begin() as session:
            asked = self._of(session, report.transaction_uid)
            for delivery in asked:
                if delivery.state is DeliveryState.UNCOMMITTED:
                    self._enter(delivery, report)
        return bool(asked)

    def _something_is_due(self) -> bool:
        with read_only(self.sessions) as session:
            return session.scalars(self._due()).first() is not None

    def _due(self) -> Select[Delivery]:
        return (
            select(Delivery)
            .where(
                Delivery.destination == self.name,
                Delivery.state == DeliveryState.UNCOMMITTED,
                Delivery.next_at <= self.now(),
            )
            .order_by(Delivery.id)
            .limit(MOST_IN_ONE_REQUEST)
        )

    def _asked(self, transaction_uid: str) -> list[Reference]:
        """Assigns due deliveries to a transaction. Those that were in a transaction already have timed out."""
        references = []
        with self.sessions.begin() as session:
            for delivery in session.scalars(self._due().with_for_update()).all():
                if delivery.commitment_asked_at is not None:
                    self._send_again(delivery, f"no answer within {self.timeout_s:g} s")
                    continue
                delivery.transaction_uid = transaction_uid
                delivery.commitment_asked_at = self.now()
                delivery.next_at = self.now() + self.timeout_s
                sop_class_uid = OUTPUTS[delivery.result.kind].sop_class_uid
                references.append(Reference(sop_class_uid, delivery.result.sop_instance_uid))
        return references

    def _ask(self, transaction_uid: str, references: Sequence[Reference]) -> None:
        try:
            self.request(transaction_uid, references, self.take_report)
        except NotAccepted as error:
            log.warning("no commitment: %s", self._ask_no_more(transaction_uid, error))
        except DestinationError as error:
            with self.sessions.begin() as session:
                for delivery in self._of(session, transaction_uid):
                    if delivery.state is DeliveryState.UNCOMMITTED:
                        self._ask_again(delivery, str(error))

    def _ask_no_more(self, transaction_uid: str, error: NotAccepted) -> str:
        """Marks the deliveries as sent: the destination has them, and a retry of the request would not help."""
        why = (
            f"stored, but the destination does not commit ({error}): set commitment = false, "
            "or enter the node at it for storage commitment"
        )
        with self.sessions.begin() as session:
            asked = [
                delivery
                for delivery in self._of(session, transaction_uid)
                if delivery.state is DeliveryState.UNCOMMITTED
            ]
            for delivery in asked:
                delivery.error = why
                delivery.state = moved(delivery.state, DeliveryState.SENT)
                delivery.transaction_uid = None
        return f"{counted(len(asked), 'delivery', 'deliveries')} to {self.name}: {why}"

    def _of(self, session: Session, transaction_uid: str) -> Sequence[Delivery]:
        return session.scalars(
            select(Delivery)
            .where(Delivery.destination == self.name, Delivery.transaction_uid == transaction_uid)
            .order_by(Delivery.id)
            .with_for_update()
        ).all()

    def _enter(self, delivery: Delivery, report: CommitmentReport) -> None:
        uid = delivery.result.sop_instance_uid
        if (reason := report.failed.get(uid)) is not None:
            why = f"reason 0x{reason:04X} ({meaning(reason)})"
            # The destination still has the objects: only the request failed.
            again = self._ask_again if reason == DUPLICATE_TRANSACTION else self._send_again
            again(delivery, why)
        elif uid in report.committed:
            delivery.state = moved(delivery.state, DeliveryState.COMMITTED)
            delivery.error = ""
            log.info("study %d: delivery %d to %s: committed", delivery.result.study_id, delivery.id, self.name)

    def _send_again(self, delivery: Delivery, why: str) -> None:
        delivery.error = f"not committed: {why}"
        study = delivery.result.study
        if delivery.result.last_revision < study.revision:
            delivery.error += f"; replaced by revision {study.revision}"
            delivery.state = moved(delivery.state, DeliveryState.DEAD)
        else:
            self._try_at(delivery, DeliveryState.WAITING)
        self._warn(delivery)

    def _ask_again(self, delivery: Delivery, why: str) -> None:
        delivery.error = f"not committed: {why}"
        delivery.attempts += 1
        delivery.commitment_asked_at = None
        self._try_at(delivery, DeliveryState.UNCOMMITTED)
        self._warn(delivery)

    def _warn(self, delivery: Delivery) -> None:
        log.warning(
            "study %d: delivery %d to %s: %s (%s)",
            delivery.result.study_id,
            delivery.id,
            self.name,
            delivery.error,
            delivery.state,
        )

    def _try_at(self, delivery: Delivery, state: DeliveryState) -> None:
        """Sets `state` and the time of the next try; dead if there is none."""
        again_at = next_try(self.policy, delivery.attempts, delivery.created_at, self.now())
        if again_at is None:
            state = DeliveryState.DEAD
        else:
            delivery.next_at = again_at
        if state is not delivery.state:
            delivery.state = moved(delivery.state, state)
        session, study = object_session(delivery), delivery.result.study
        if state is DeliveryState.DEAD and session is not None and delivery.result.last_revision == study.revision:
            tell_failure(session, study, self.now())


def ask_anew(delivery: Delivery, now: float) -> None:
    """Makes a commitment due for a sent delivery, with a new transaction."""
    if delivery.state is not DeliveryState.UNCOMMITTED:
        delivery.state = moved(delivery.state, DeliveryState.UNCOMMITTED)
    delivery.transaction_uid = delivery.commitment_asked_at = None
    delivery.next_at = now
