"""Sends the lines of the trail to a syslog receiver, in their order. The trail is the buffer while it is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from dicom_io.audit.syslog import SyslogReceiver
from dicom_io.durable import write_durably
from dicom_io.errors import Unreachable
from node.audit.trail import Head, Trail, TrailReader
from node.delivery.backoff import RetryPolicy, next_try
from node.logs import place_of

log = logging.getLogger(__name__)

AT_ONCE = 500
AT_ONCE_BY_UDP = 50
"""A receiver keeps about so many messages that it has not read yet, and UDP loses those beyond."""
LOOK_EVERY_S = 1.0
UDP_PAUSE_S = 0.1
_RETRIES = RetryPolicy(first_s=1.0, ceiling_s=60.0, dead_after_s=float("inf"))
_LAST_TRY_S = 1.0


@dataclass
class Sender:
    """Sends a trail to a receiver. Whatever goes wrong is logged and tried again.

    Attributes:
        leads: whether this process sends, and no other.
        sent: the file with the number of the last line that the receiver has. It was written or touched last when the
            receiver took lines, or had all. After a kill it may get lines again, with the same numbers (sequenceId).
        known: the number of the last line that the database knows as written: lines with higher numbers are not sent.
    """

    trail: Trail
    receiver: SyslogReceiver
    sent: Path
    leads: Callable[[], bool]
    known: Callable[[], int]
    _reader: TrailReader | None = field(default=None, init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)

    def run(self, stop: threading.Event) -> None:
        """Sends until `stop` is set."""
        failed, said = 0, ""
        while not stop.is_set():
            try:
                wait_s = self._send_some(self.receiver)
            except Exception as fault:  # noqa: BLE001 - it is tried again; needs.py tells a person after a while
                failed += 1
                if _in_words(fault) != said:
                    said = _in_words(fault)
                    _log(fault)
                wait_s = next_try(_RETRIES, failed, 0.0, 0.0) or 0.0
            else:
                if failed:
                    log.info("the audit trail is sent again")
                failed, said = 0, ""
            stop.wait(wait_s)

    def last_try(self) -> None:
        """Sends what is left when the node ends, with little patience: the rest is sent after its next start."""
        if self._turn.acquire(blocking=False):
            self._turn.release()
            try:
                self._send_some(replace(self.receiver, timeout_s=min(self.receiver.timeout_s, _LAST_TRY_S)))
            except Exception as fault:  # noqa: BLE001 - it is sent after the next start
                _log(fault)

    def _send_some(self, receiver: SyslogReceiver) -> float:
        """Sends the next lines; returns the seconds until the next should be sent.

        Raises:
            Unreachable: the receiver is away.
            OSError: a file of the trail cannot be read, or `sent` cannot be written.
        """
        with self._turn:
            if not self.leads():
                self._reader = None
                return LOOK_EVERY_S
            if self._reader is None:
                self._reader = TrailReader(self.trail, self._sent_before())
            by_udp = receiver.tls is None
            lines = self._reader.next_lines(AT_ONCE_BY_UDP if by_udp else AT_ONCE, until=self.known())
            if not lines:
                self.sent.touch(mode=0o600)
                return LOOK_EVERY_S
            receiver.send([line.message for line in lines])
            self._reader.took(lines)
            write_durably(self.sent, f"{lines[-1].number}\n".encode())
            return UDP_PAUSE_S if by_udp else 0.0

    def _sent_before(self) -> int:
        """The number of the last line that was sent; 0, too, where the trail has no such line."""
        sent, there = last_sent(self.sent), self.known()
        if sent > there:
            log.error(
                "audit/sent says that line %d was sent, and the audit trail ends with line %d: all are sent again",
                sent,
                there,
            )
            sent = 0
            write_durably(self.sent, b"0\n")
        if not self.sent.exists():  # from now on the lines wait
            write_durably(self.sent, b"0\n")
        return sent


def _in_words(fault: Exception) -> str:
    return str(fault) if isinstance(fault, Unreachable) else place_of(fault)


def _log(fault: Exception) -> None:
    if isinstance(fault, Unreachable):
        log.warning("the audit trail waits in its files: %s", fault)
    else:
        log.error("the audit trail cannot be read to send it, it is tried again: %s", place_of(fault))


def last_sent(file: Path) -> int:
    """The number of the last line that the receiver has; 0: none, or the file is damaged, and all are sent again."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def not_sent(file: Path, known: Head) -> tuple[int, float | None]:
    """How many lines of the trail the receiver does not have, and when it took lines last or had all (UTC seconds since
    the epoch); None: it has all, or nothing was sent so far."""
    try:
        since = file.stat().st_mtime
    except OSError:
        return known.lines, None
    try:
        count = known.lines - last_sent(file)
    except OSError:  # the sender cannot read it either, and logs that
        count = known.lines
    return (count, since) if count > 0 else (0, None)
