"""The Priority (0000,0700) of a C-STORE request (PS3.7 section 9.1.1.1.5 and table 9.3-1)."""

from __future__ import annotations

from pydicom import Dataset

MEDIUM, HIGH, LOW = 0, 1, 2


def priority_of(command: Dataset) -> int:
    """As the command set states it; MEDIUM if it is absent, malformed or another value: it is no reason to refuse an
    image."""
    try:
        stated = int(command.Priority)
    except Exception:  # noqa: BLE001 - a malformed command can raise anything
        return MEDIUM
    return stated if stated in (HIGH, LOW) else MEDIUM
