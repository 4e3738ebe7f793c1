"""Logs: one line an event on standard error, as JSON for collectors and as text for a terminal.

No patient data: our own messages carry row ids only (docs/architecture.md), other packages that could tell more are
silenced below ERROR, and UIDs that come through all the same are taken out here.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import warnings
from datetime import UTC, datetime

_UID = re.compile(r"(?<![\d.])(?!1\.2\.840\.10008\.)[012](?:\.\d+){5,}")
"""A DICOM UID, but for those of the standard itself (SOP classes, transfer syntaxes), which name no patient."""

_CHATTY = ("pydicom", "pynetdicom", "highdicom", "apscheduler", "alembic")


def set_up_logging(level: str) -> None:
    """Sends this process's log to standard error; `level` as in the settings. Each process calls it once, at start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines() if sys.stderr.isatty() else JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pydicom")  # they quote the values that they find wrong


class JsonLines(logging.Formatter):
    """`{"time": …, "level": …, "logger": …, "process": …, "message": …}`, with "error" where there is a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "process": record.processName,
            "message": without_uids(record.getMessage()),
        }
        if record.exc_info:
            event["error"] = without_uids(self.formatException(record.exc_info))
        return json.dumps(event, ensure_ascii=False)


class Lines(logging.Formatter):
    """The same for a person: `2026-01-31T12:00:00.000Z INFO node.delivery: message`."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return without_uids(line)


def without_uids(text: str) -> str:
    """`text` with every UID that could name a patient's object replaced."""
    return _UID.sub("(uid)", text)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
