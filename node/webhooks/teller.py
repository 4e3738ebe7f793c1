"""Tells a webhook of the events that are entered for it. One thread per webhook, so that a failing one delays no
other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from requests import Session as HttpSession
from sqlalchemy import Select, or_, select

from dicom_io.errors import DestinationError, NotAccepted, Rejected, Unreachable
from dicom_io.network.web_peer import WebPeer
from node.delivery.backoff import RetryPolicy, next_try
from node.delivery.deliverer import STAND_BY_S
from node.store.changes import ChangeWatch
from node.store.database import Sessions, read_only
from node.store.events import TOLD_IN_QUARANTINE
from node.store.states import DeliveryState, StudyState, moved
from node.store.tables import Notice, Study
from node.webhooks.message import Message, SecretUnusable, secret_of

log = logging.getLogger(__name__)

AT_ONCE = 50
"""Notices that are sent before it is asked again which are due."""
GONE = 410
"""The receiver is not there any more, and wants no further try."""


@dataclass
class WebhookPeer:
    """Sends messages to a webhook's address. The connection is kept open between sends; not thread-safe."""

    peer: WebPeer
    secret_file: Path
    _session: HttpSession | None = field(default=None, init=False)

    def send(self, message: Message, now: float) -> None:
        """Returns when the receiver has taken the message: it answers with a status from 200 to 299.

        Raises:
            Unreachable: no answer in time, or a temporary failure.
            Rejected: it refuses, or the secret cannot be used.
            NotAccepted: it answers 410, gone.
        """
        try:
            headers = message.headers(secret_of(self.secret_file), now)
        except SecretUnusable as error:
            raise Rejected(str(error)) from error
        if self._session is None:
            self._session = self.peer.session()
            self._session.headers.update({"Accept": "*/*", "User-Agent": "mammo-node"})
        with self.peer.answering():
            answer = self._session.post(
                self.peer.url, data=message.body, headers=headers, timeout=self.peer.timeout_s, stream=True
            )
            answer.close()  # its status says it all: a body may have no end
        if answer.status_code == GONE:
            raise NotAccepted(f"{self.peer} answers 410 (Gone): remove the webhook from the settings")
        if not answer.ok:
            self.peer.refused(answer.status_code)

    def close(self) -> None:
        """Closes the connection, if there is one."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


@dataclass(frozen=True)
class Teller:
    """Sends the due notices of one webhook.

    Attributes:
        name: the webhook's name in the settings.
        page: the address of the node's page, for links; None: there is none.
        installation: part of every message's id.
        now: UTC seconds since the epoch.
        alone: whether no other process tells this webhook.
    """

    name: str
    peer: WebhookPeer
    policy: RetryPolicy
    sessions: Sessions
    installation: UUID
    page: str | None
    now: Callable[[], float]
    alone: Callable[[], bool] = lambda: True

    def run(self, stop: threading.Event) -> None:
        """Tells until `stop` is set."""
        with ChangeWatch(self.sessions, self.now) as changes:
            while not stop.is_set():
                looked_at = self.now()
                if not self.alone():
                    self.peer.close()
                    stop.wait(STAND_BY_S)
                elif not self.tell_due(stop):
                    self.peer.close()
                    changes.wait(stop, self._next_due(looked_at))
        self.peer.close()

    def tell_due(self, stop: threading.Event | None = None) -> int:
        """Tries the next AT_ONCE due notices, in the order of their events; returns the number of tries."""
        with read_only(self.sessions) as session:
            due = [
                notice.id
                for notice in session.scalars(
                    self._waiting().where(Notice.next_at <= self.now()).order_by(Notice.id).limit(AT_ONCE)
                )
            ]
        for tried, number in enumerate(due):
            if stop is not None and stop.is_set():
                return tried
            message = self._message(number)
            if message is None:
                continue
            try:
                self.peer.send(message, self.now())
            except Unreachable as error:
                # Each of the others would wait for the same time-out.
                self._failed(due[tried:], error)
                return tried + 1
            except DestinationError as error:
                self._failed([number], error)
            else:
                self._told(number)
        return len(due)

    def _waiting(self) -> Select[Notice]:
        """What may be told. Of a study in quarantine only that it is there, or that it failed: its results may be of
        two patients (safety rule 5)."""
        return (
            select(Notice)
            .join(Notice.study)
            .where(
                Notice.webhook == self.name,
                Notice.state == DeliveryState.WAITING,
                or_(Study.state != StudyState.QUARANTINED, Notice.event.in_(TOLD_IN_QUARANTINE)),
            )
        )

    def _next_due(self, after: float) -> float | None:
        later = self._waiting().where(Notice.next_at > after).order_by(Notice.next_at).limit(1)
        with read_only(self.sessions) as session:
            notice = session.scalar(later)
        return None if notice is None else notice.next_at

    def _message(self, number: int) -> Message | None:
        """The message of a notice; None: since the list was read, it may not be told any more."""
        if not self.alone():
            return None
        with read_only(self.sessions) as session:
            notice = session.scalar(self._waiting().where(Notice.id == number))
            if notice is None:
                return None
            return Message(
                # With the moment: the database gives the number of a dropped notice again, also after a restore.
                id=f"msg_{self.installation.hex}_{notice.id}_{round(notice.happened_at * 1000)}",
                event=notice.event,
                study=notice.study_id,
                revision=notice.revision,
                score=None if notice.study.state is StudyState.QUARANTINED else notice.score,
                at=notice.happened_at,
                link=None if self.page is None else f"{self.page}/studies/{notice.study_id}",
            )

    def _told(self, number: int) -> None:
        with self.sessions.begin() as session:
            notice = session.get(Notice, number, with_for_update=True)
            if notice is None or notice.state is not DeliveryState.WAITING:
                return
            notice.state = moved(notice.state, DeliveryState.SENT)
            notice.attempts += 1
            notice.sent_at = self.now()
            notice.error = ""
        log.info("notice %d to webhook %s: sent", number, self.name)

    def _failed(self, numbers: list[int], error: DestinationError) -> None:
        with self.sessions.begin() as session:
            for number in numbers:
                notice = session.get(Notice, number, with_for_update=True)
                if notice is None or notice.state is not DeliveryState.WAITING:
                    continue
                notice.attempts += 1
                notice.error = str(error)
                again_at = None
                if not isinstance(error, NotAccepted):
                    again_at = next_try(self.policy, notice.attempts, notice.created_at, self.now())
                if again_at is None:
                    notice.state = moved(notice.state, DeliveryState.DEAD)
                else:
                    notice.next_at = again_at
        log.warning("%d notices to webhook %s: not sent: %s", len(numbers), self.name, error)
