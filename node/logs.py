"""Logs: one line per event on standard error, as JSON for collectors and as text for a terminal.

No patient data: our own messages carry row ids only (docs/architecture.md). Other packages may quote what a peer sent:
of these packages only errors are logged, without their messages, whatever levels they set themselves.
UIDs that are logged all the same are replaced here.
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
"""A DICOM UID, but for those of the standard itself (SOP classes, transfer syntaxes), which name no patient. A UID
has six components or more here, so that addresses and versions are not replaced; one made of a UUID (2.25, PS3.5 Annex
B.2) has three."""

_log = logging.getLogger(__name__)
_ROOT = Path(__file__).parent.parent
_OURS = frozenset({"node", "dicom_io", "models", "config"})


def set_up_logging(level: str) -> None:
    """Sends this process's log to standard error; `level` as in the settings. Each process calls it once, at start.

    Python's warnings and exceptions that end a thread come here too: both quote values.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines() if sys.stderr.isatty() else JsonLines())
    handler.addFilter(_without_others_words)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    threading.excepthook = _thread_ended
    sys.unraisablehook = _not_raised


def _without_others_words(record: logging.LogRecord) -> bool:
    """A handler's filter: the levels of loggers are set by their packages, when these are imported."""
    if record.name.partition(".")[0] in _OURS:
        return True
    if record.levelno < logging.ERROR or record.name.startswith("apscheduler"):  # service.py tells a tick's fault
        return False
    fault = _fault(record)
    record.msg = f"an error in {record.module}.py:{record.lineno}" + (f": {fault}" if fault else "")
    record.args = record.exc_info = record.exc_text = record.stack_info = None
    return True


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and ended.exc_type is not SystemExit:
        _log.error("a thread ended by a fault: %s", place_of(ended.exc_value))


def _not_raised(unraisable: sys.UnraisableHookArgs) -> None:
    if unraisable.exc_value is not None:
        _log.error("a fault that could not be raised: %s", place_of(unraisable.exc_value))


class JsonLines(logging.Formatter):
    """`{"time": …, "level": …, "logger": …, "process": …, "message": …}`, with "error" where there is a fault."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "process": record.processName,
            "message": without_uids(record.getMessage()),
        }
        if record.exc_info:
            event["error"] = _fault(record)
        return json.dumps(event, ensure_ascii=False)


class Lines(logging.Formatter):
    """The same for a person: `2026-01-31T12:00:00.000Z INFO node.delivery.deliverer: message`."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        if record.exc_info:
            line += f" ({_fault(record)})"
        return without_uids(line)


def _fault(record: logging.LogRecord) -> str:
    """Where a fault was, and not what it says: that may quote a value."""
    fault = record.exc_info[1] if record.exc_info else None
    return place_of(fault) if fault else ""


def without_uids(text: str) -> str:
    """`text` with every UID that could name a patient's object replaced."""
    return _UID.sub("(uid)", text)


def place_of(fault: BaseException) -> str:
    """The fault's type and the innermost line of ours that it passed: `KeyError at node/reader/images.py:61`.

    For logs that must not carry the fault's message, since it may quote a value of the data set.
    """
    frames = extract_tb(fault.__traceback__)
    ours = [(path, frame.lineno) for frame in frames if (path := _own(frame.filename))]
    if not ours:
        return type(fault).__name__
    path, line = ours[-1]
    return f"{type(fault).__name__} at {path}:{line}"


def _own(filename: str) -> str:
    """A file's path within our packages; empty where it lies in none of them."""
    path = Path(filename)
    if not path.is_relative_to(_ROOT):
        return ""
    inside = path.relative_to(_ROOT)
    return str(inside) if inside.parts[0] in _OURS else ""


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
