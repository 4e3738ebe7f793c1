"""Audit messages held against the standard's schema by Debian's `jing`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from node.audit.trail import Trail

SCHEMA = Path(__file__).with_name("audit_message.rnc")


def trail_in(folder: Path) -> Trail:
    """A trail whose folder is there."""
    trail = Trail(folder)
    with trail.alone():
        return trail


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
