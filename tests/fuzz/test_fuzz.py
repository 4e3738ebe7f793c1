"""A short round of every target (`make fuzz` is the long one)."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import TARGETS, fuzz

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_that_comes_in_brings_anything_down(target: str, tmp_path: Path) -> None:
    count = fuzz(target, inputs=60, folder=tmp_path)
    assert count.inputs == 60
    assert not count.findings, list(count.findings)
    assert not count.orphans
