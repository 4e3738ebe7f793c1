"""A short round of every target (`make fuzz` is the long one)."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import TARGETS, fuzz

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("target", TARGETS)
def test_random_input_crashes_no_receiver_and_leaves_no_orphan_files(target: str, tmp_path: Path) -> None:
    count = fuzz(target, inputs=60, folder=tmp_path)
    assert count.inputs == 60
    assert not count.findings, list(count.findings)
    assert not count.orphans
