"""The trail against the copy that a syslog receiver has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from node.audit.trail import Trail

_MESSAGE = re.compile(r"<AuditMessage>.*</AuditMessage>")
_SOURCE = re.compile(r'AuditSourceID="([^"]*)"')
_WHEN = re.compile(r'EventDateTime="([^"]*)"')


def compare(trail: Trail, files: Iterable[Path], sent: int) -> str:
    """The first difference, in words; "" if there is none: the receiver has every line that was sent, and no message of
    this trail's machines that the trail has not.

    Args:
        files: of the receiver; whatever stands around the messages is not looked at.
        sent: the number of the last line that was sent.

    Raises:
        OSError: a file cannot be read.
    """
    theirs: set[str] = set()
    for file in files:
        with file.open(encoding="utf-8", errors="replace") as opened:
            theirs.update(found for text in opened for found in _MESSAGE.findall(text))
    ours: set[str] = set()
    for _, line in trail.lines():
        for message in _MESSAGE.findall("" if line is None else line.message):
            ours.add(message)
            if line is not None and line.number <= sent and message not in theirs:
                return f"line {line.number} was sent, and the receiver's copy has another message or none"
    hosts = {host for message in ours for host in _SOURCE.findall(message)}
    for message in sorted(theirs - ours, key=_WHEN.findall):
        if not hosts.isdisjoint(_SOURCE.findall(message)):
            when = ", ".join(_WHEN.findall(message))
            return f"the receiver's copy has a message of {when}, and the trail has not: a line was changed or removed"
    return ""
