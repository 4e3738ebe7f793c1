"""Storage commitment: a destination is asked to keep what it was sent, and what it does not keep is sent again.

A delivery that was sent waits for its destination's commitment: its row holds the transaction of the request, and
`next_at` is when the node stops waiting. The row is written before the request is sent, so that it is there when the
answer comes, and a node that is killed in between asks or sends again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from dicom_io.errors import DestinationError, NotAccepted
from dicom_io.network.commitment import DUPLICATE_TRANSACTION, CommitmentReport, Hear, Reference
from dicom_io.network.peer import meaning
from dicom_io.results.outputs import OUTPUTS
from models.types.words import counted
from node.delivery.backoff import RetryPolicy, next_try
from node.store.database import Sessions, read_only
from node.store.states import DeliveryState, moved
from node.store.tables import Delivery

log = logging.getLogger(__name__)

AT_ONCE = 200
"""Instances in one request."""

Request = Callable[[str, Sequence[Reference], Hear], None]
"""dicom_io.network.commitment.ask_commitment of a peer."""


@dataclass(frozen=True)
class Commitment:
    """What one destination promises to keep.

    Attributes:
        name: the destination's, in the settings and in the delivery rows.
        timeout_s: after which what was asked for and not answered is sent again.
        now: UTC seconds since the epoch.
        new_uid: makes transaction UIDs, never the same twice.
    """

    name: str
    request: Request
    policy: RetryPolicy
    timeout_s: float
    sessions: Sessions
    now: Callable[[], float]
    new_uid: Callable[[], str]

    def sent(self, delivery: Delivery) -> None:
        """Has a commitment requested for a delivery that is sent; within the transaction that stores that it was
        sent."""
        ask_anew(delivery, self.now())

    def request_due(self) -> None:
        """Requests commitment of all that was sent since, and has what was not answered in time sent again."""
        while self._something_is_due():
            transaction_uid = self.new_uid()
            references = self._asked(transaction_uid)
            if references:
                self._ask(transaction_uid, references)

    def take_report(self, report: CommitmentReport) -> bool:
        """Enters the destination's report; False where it was not asked in this transaction.

        Taken twice it changes nothing, nor does it change what was not asked for or has been given up since.
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
            .limit(AT_ONCE)
        )

    def _asked(self, transaction_uid: str) -> list[Reference]:
        """Enters what is due into a transaction; what had been in one before has waited too long."""
        references = []
        with self.sessions.begin() as session:
            for delivery in session.scalars(self._due()).all():
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
            log.warning("%s", self._ask_no_more(transaction_uid, error))
        except DestinationError as error:
            with self.sessions.begin() as session:
                for delivery in self._of(session, transaction_uid):
                    if delivery.state is DeliveryState.UNCOMMITTED:
                        self._ask_again(delivery, str(error))

    def _ask_no_more(self, transaction_uid: str, error: NotAccepted) -> str:
        """Leaves it at what was sent: the destination has it, and asking again would change nothing."""
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
            log.info("delivery %d to %s: committed", delivery.id, self.name)

    def _send_again(self, delivery: Delivery, why: str) -> None:
        delivery.error = f"not committed: {why}"
        study = delivery.result.study
        if delivery.result.last_revision < study.revision:
            delivery.error += f"; replaced by revision {study.revision}"
            delivery.state = moved(delivery.state, DeliveryState.DEAD)
        else:
            self._try_at(delivery, DeliveryState.WAITING)
        log.warning("delivery %d to %s: %s (%s)", delivery.id, self.name, delivery.error, delivery.state)

    def _ask_again(self, delivery: Delivery, why: str) -> None:
        delivery.error = f"not committed: {why}"
        delivery.attempts += 1
        delivery.commitment_asked_at = None
        self._try_at(delivery, DeliveryState.UNCOMMITTED)
        log.warning("delivery %d to %s: %s (%s)", delivery.id, self.name, delivery.error, delivery.state)

    def _try_at(self, delivery: Delivery, state: DeliveryState) -> None:
        """Puts it into `state` until the policy's next try, if there is one."""
        again_at = next_try(self.policy, delivery.attempts, delivery.created_at, self.now())
        if again_at is None:
            state = DeliveryState.DEAD
        else:
            delivery.next_at = again_at
        if state is not delivery.state:
            delivery.state = moved(delivery.state, state)


def ask_anew(delivery: Delivery, now: float) -> None:
    """Makes a delivery that is sent due to be asked for, in a transaction of its own."""
    if delivery.state is not DeliveryState.UNCOMMITTED:
        delivery.state = moved(delivery.state, DeliveryState.UNCOMMITTED)
    delivery.transaction_uid = delivery.commitment_asked_at = None
    delivery.next_at = now
