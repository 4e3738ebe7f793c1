"""Logs: one line per event on standard error, as JSON for collectors and as text for a terminal.

The log has no patient data: our own messages contain only database ids (docs/architecture.md). Messages of other
packages may quote what a peer sent, so only their errors are logged, without the messages, at any level that they set.
UIDs that still reach the log are replaced here.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from traceback import extract_tb

_UID = re.compile(r"(?<![\d.])(?!1\.2\.840\.10008\.)(?:2\.25\.\d{4,}(?:\.\d+)*|[012](?:\.\d+){5,})")
"""A DICOM UID. UIDs of the standard itself (SOP classes, transfer syntaxes) do not match, because they identify no
patient. A UID must have at least six components, so that IP addresses and versions do not match; one derived from a
UUID (2.25, PS3.5 Annex B.2) has three."""

_SAID_BY_US = ("apscheduler", "pynetdicom.transport", "pynetdicom.acse")
"""Loggers whose errors the node logs itself, with what they concern: of scheduled jobs (service.py), and of connections
and associations that fail (deliverer.py, commitment.py, scp_gate.py)."""

_log = logging.getLogger(__name__)
_ROOT = Path(__file__).parent.parent
_OURS = frozenset({"node", "dicom_io", "models", "config"})


def set_up_logging(level: str) -> None:
    """Sets up the log of this process to standard error; `level` as in the settings. Each process calls it once, at
    start.

    It also handles Python's warnings and exceptions that end a thread, because both quote values.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines() if sys.stderr.isatty() else JsonLines())
    handler.addFilter(_without_foreign_messages)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_ended
    sys.unraisablehook = _not_raised


def _without_foreign_messages(record: logging.LogRecord) -> bool:
    """A filter of the handler, not of loggers: packages set the levels of their loggers when they are imported."""
    if record.name.partition(".")[0] in _OURS:
        return True
    if record.levelno < logging.ERROR or record.name.startswith(_SAID_BY_US):
        return False
    fault = _fault(record)
    record.msg = f"an error in {record.module}.py:{record.lineno}" + (f": {fault}" if fault else "")
    record.args = record.exc_info = record.exc_text = record.stack_info = None
    return True


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and ended.exc_type is not SystemExit:
        _log.error("a thread ended with an exception: %s", place_of(ended.exc_value))


def _not_raised(unraisable: sys.UnraisableHookArgs) -> None:
    if unraisable.exc_value is not None:
        _log.error("an exception could not be raised: %s", place_of(unraisable.exc_value))


_VALUE = re.compile(r"%[-+# 0-9.]*[a-z]")
_STUDY = re.compile(r"\bstudy (\d+)\b")
OF_A_LIBRARY = "error-of-a-library"
"""The event of every message that is not ours."""


def event_of(template: str) -> str:
    """The name of an event: the words of its message without the values ("study %d: revision %d reported: %s" is
    study-revision-reported). docs/logs.md lists them all."""
    return "-".join(re.findall(r"[a-z0-9]+", _VALUE.sub(" ", template).lower().replace("'s", "s")))


class JsonLines(logging.Formatter):
    """`{"time": …, "level": …, "event": …, "study": …, "logger": …, "process": …, "message": …}`: without "study" if
    the event is about none, and with "error" if there is an exception."""

    def format(self, record: logging.LogRecord) -> str:
        message = without_uids(record.getMessage())
        is_ours = record.name.partition(".")[0] in _OURS
        event: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname,
            "event": event_of(str(record.msg)) if is_ours else OF_A_LIBRARY,
        }
        if study := _STUDY.search(message):
            event["study"] = int(study[1])
        event |= {"logger": record.name, "process": record.processName, "message": message}
        if record.exc_info:
            event["error"] = _fault(record)
        return json.dumps(event, ensure_ascii=False)


class Lines(logging.Formatter):
    """The same as text: `2026-01-31T12:00:00.000Z INFO node.delivery.deliverer: message`."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        if record.exc_info:
            line += f" ({_fault(record)})"
        return without_uids(line)


def _fault(record: logging.LogRecord) -> str:
    """The type and place of an exception, without its message, which may quote a value."""
    fault = record.exc_info[1] if record.exc_info else None
    return place_of(fault) if fault else ""


def without_uids(text: str) -> str:
    """`text` with "(uid)" in place of every UID that could identify a patient's object."""
    return _UID.sub("(uid)", text)


def place_of(fault: BaseException) -> str:
    """The exception's type and its innermost line in our packages: `KeyError at node/reader/images.py:61`.

    For logs that must not contain the exception's message, which may quote a value of the data set.
    """
    frames = extract_tb(fault.__traceback__)
    ours = [(path, frame.lineno) for frame in frames if (path := _own(frame.filename))]
    if not ours:
        return type(fault).__name__
    path, line = ours[-1]
    return f"{type(fault).__name__} at {path}:{line}"


def _own(filename: str) -> str:
    """The path of a file relative to the project; "" if the file is in none of our packages."""
    path = Path(filename)
    if not path.is_relative_to(_ROOT):
        return ""
    inside = path.relative_to(_ROOT)
    return str(inside) if inside.parts[0] in _OURS else ""


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
