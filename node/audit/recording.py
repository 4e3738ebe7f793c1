"""The audit trail of a running node: begun when it starts, and ended when it stops."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from config.settings import Settings
from config.tls import TlsPeer
from dicom_io.audit.codes import (
    APPLICATION,
    APPLICATION_ACTIVITY,
    APPLICATION_START,
    APPLICATION_STOP,
    SECURITY_ALERT,
    SECURITY_CONFIGURATION,
    URI,
    Coded,
)
from dicom_io.audit.message import Action, AuditedObject, AuditMessage, Outcome
from dicom_io.audit.syslog import SyslogReceiver
from dicom_io.durable import write_durably
from node.archive.layout import AUDIT, AUDIT_SENT, AUDITED_SETTINGS
from node.audit.actors import this_process
from node.audit.events import enter
from node.audit.recorder import Recorder, stored_head
from node.audit.refusals import Refusals
from node.audit.sender import Sender
from node.audit.trail import Trail
from node.logs import place_of
from node.operations.effective import effective
from node.parts import EVERYTHING, Part
from node.peers import tls_files
from node.store.database import Sessions, read_only

log = logging.getLogger(__name__)


class Recording:
    """What a process of a node does for the audit trail. All enter their events; one writes them into the trail, and
    sends it."""

    def __init__(
        self,
        settings: Settings,
        sessions: Sessions,
        parts: Collection[Part],
        leads: Callable[[], bool],
        now: Callable[[], float],
    ) -> None:
        """`leads`: whether this process does what one process does for all; `now`: UTC seconds since the epoch."""
        self._settings = settings
        self._sessions = sessions
        self._parts = parts
        self._leads = leads if Part.REPORT in parts else _never
        self._now = now
        self.refusals = Refusals(now)
        """Of callers that this process refuses."""
        trail = Trail(settings.data_dir / AUDIT)
        self._recorder = Recorder(sessions, trail, settings.installation.institution_name, now)
        self._said = ""
        receiver = syslog_receiver(settings)
        self._sender = None
        if receiver is not None and Part.REPORT in parts:
            self._sender = Sender(trail, receiver, settings.data_dir / AUDIT_SENT, self._leads, self._known)

    @property
    def sends(self) -> bool:
        """Whether there is something to `send`."""
        return self._sender is not None

    def begin(self) -> None:
        """Enters that the process starts, and which settings changed since the node started last."""
        kept = self._settings.data_dir / AUDITED_SETTINGS
        values = dict(_flat(effective(self._settings)))
        reports = Part.REPORT in self._parts
        with self._sessions.begin() as session:
            enter(session, self._activity(APPLICATION_START, Outcome.SUCCESS))
            if reports and (changed := _changed(kept, values)):
                says = f"settings changed since the last start: {', '.join(changed)}"
                details = (("Alert Description", says),)
                about = AuditedObject(kept.as_uri(), URI, "2", "5", "settings", details=details)
                kinds, who = (SECURITY_CONFIGURATION,), (this_process(),)
                enter(session, AuditMessage(SECURITY_ALERT, Action.EXECUTE, self._now(), who, (about,), kinds))
        if reports:
            try:
                write_durably(kept, json.dumps(values, indent=1, sort_keys=True).encode())
            except OSError as fault:  # the node goes on; at the next start they count as changed again
                log.error("the settings could not be kept for the audit trail: %s", place_of(fault))

    def record(self) -> None:
        """Enters who was refused, and writes the events that wait into the trail, if this process does that. Whatever
        goes wrong is logged, and the events wait in the database for the next call: needs.py tells a person."""
        try:
            self.refusals.enter_due(self._sessions)
            if self._leads():
                self._recorder.record()
        except Exception as fault:  # noqa: BLE001 - a damaged trail must not end the node, which receives images
            if place_of(fault) != self._said:
                self._said = place_of(fault)
                log.error("the audit trail cannot be written, it is tried again: %s", self._said)
        else:
            if self._said:
                log.info("the audit trail is written again")
            self._said = ""

    def send(self, stop: threading.Event) -> None:
        """Sends the trail until `stop` is set."""
        if self._sender is not None:
            self._sender.run(stop)

    def end(self, fault: str) -> None:
        """Enters that the process stops, and writes and sends what is left.

        Args:
            fault: why it cannot go on; "" if it was told to stop.
        """
        try:
            self.refusals.enter_due(self._sessions, all_of_them=True)
            with self._sessions.begin() as session:
                enter(session, self._activity(APPLICATION_STOP, Outcome.MAJOR if fault else Outcome.SUCCESS))
            if self._leads():
                self._recorder.end()
                if self._sender is not None:
                    self._sender.last_try()
        except Exception as error:  # noqa: BLE001 - the node ends: the rest is written after its next start
            log.error("the end of the audit trail waits for the next start: %s", place_of(error))

    def _known(self) -> int:
        with read_only(self._sessions) as session:
            return stored_head(session).lines

    def _activity(self, kind: Coded, outcome: Outcome) -> AuditMessage:
        who = this_process(APPLICATION, ae_title=self._settings.receiver.ae_title)
        if set(self._parts) != EVERYTHING:
            who = replace(who, name=f"{who.name} {', '.join(sorted(self._parts))}")
        return AuditMessage(APPLICATION_ACTIVITY, Action.EXECUTE, self._now(), (who,), types=(kind,), outcome=outcome)


def _never() -> bool:
    return False


def syslog_receiver(settings: Settings) -> SyslogReceiver | None:
    """The receiver of the settings; None: there is none."""
    audit = settings.audit
    if audit.syslog_host is None:
        return None
    tls = tls_files(audit.tls or TlsPeer()) if audit.syslog_transport == "tls" else None
    return SyslogReceiver(audit.syslog_host, audit.port, tls, audit.timeout_s)


def _flat(values: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    """The settings by their whole keys: "receiver.port"; a list is one value."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _changed(kept: Path, values: Mapping[str, object]) -> list[str]:
    """The keys of settings that differ from those that were kept; of the first start none."""
    try:
        earlier = json.loads(kept.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError):
        earlier = None
    if not isinstance(earlier, dict):
        return ["all, since the file with the earlier ones is damaged"]
    return sorted(key for key in {*values, *earlier} if values.get(key) != earlier.get(key))
