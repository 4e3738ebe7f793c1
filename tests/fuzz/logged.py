"""What the node logs as an internal error."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from traceback import extract_tb


class Logged(logging.Handler):
    """Takes the place of this process's log: keeps what tells of a fault of ours, and throws the rest away.

    Attributes:
        faults: errors in our words, and tracebacks of threads or in anybody's words.
    """

    def __init__(self) -> None:
        super().__init__()
        self.faults: list[str] = []
        logging.basicConfig(handlers=[self], level=logging.WARNING, force=True)
        threading.excepthook = self._thread_failed

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or (record.levelno >= logging.ERROR and record.name.startswith(("node.", "dicom_io."))):
            fault = record.exc_info[1] if record.exc_info else None
            self.faults.append(f"{record.name}: {record.getMessage()}{_where(fault)}")

    def _thread_failed(self, failed: threading.ExceptHookArgs) -> None:
        self.faults.append(f"a thread: {failed.exc_type.__name__}{_where(failed.exc_value)}")

    def check(self) -> None:
        """Fails if an internal error was logged since the last call."""
        faults, self.faults = self.faults, []
        assert not faults, "; ".join(faults)


def _where(fault: BaseException | None) -> str:
    frames = extract_tb(fault.__traceback__) if fault else []
    return "".join(f" < {Path(frame.filename).name}:{frame.lineno}" for frame in frames[::-1][:4])
