"""Audit messages held against the standard's schema by Debian's `jing`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_io.audit.message import AuditMessage, AuditSource
from node.audit.events import MESSAGES
from node.audit.trail import Trail
from node.store.database import Sessions
from node.store.tables import AuditEvent

SCHEMA = Path(__file__).with_name("audit_message.rnc")


def trail_in(folder: Path) -> Trail:
    """A trail whose folder is there."""
    trail = Trail(folder)
    with trail.alone():
        return trail


def entered(sessions: Sessions) -> list[AuditMessage]:
    """The events that were entered and are in no trail so far, in their order."""
    with sessions() as session:
        rows = session.scalars(select(AuditEvent).order_by(AuditEvent.id))
        return [MESSAGES.validate_python(row.message) for row in rows]


def assert_events_valid(sessions: Sessions, folder: Path) -> None:
    """Fails unless every event that was entered is valid by PS3.15 section A.5.1."""
    assert_valid([message.xml(AuditSource("node", "A hospital")) for message in entered(sessions)], folder)


def assert_valid(messages: Iterable[str], folder: Path) -> None:
    """Fails unless every message is valid by PS3.15 section A.5.1."""
    if shutil.which("jing") is None:
        pytest.skip("jing (a Debian package) is not installed")
    files = []
    for number, message in enumerate(messages):
        file = folder / f"message-{number}.xml"
        file.write_text(message, encoding="utf-8")
        files.append(file)
    assert files
    ran = subprocess.run(["jing", "-c", SCHEMA, *files], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
