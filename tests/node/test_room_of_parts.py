"""Which parts of a node measure the room for images, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Settings
from node.app import build_service
from node.parts import EVERYTHING, Part


@pytest.mark.parametrize("parts", [EVERYTHING, *({part} for part in Part if part is not Part.READ)])
def test_nothing_walks_through_the_archive_before_a_process_has_started(
    parts: frozenset[Part], tmp_path: Path, blind_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def walks(folder: Path) -> int:
        pytest.fail(f"{folder} is walked through before the node listens")

    monkeypatch.setattr("node.archive.space._size", walks)
    (tmp_path / "data").mkdir()
    settings = Settings.model_validate(
        {
            "data_dir": tmp_path / "data",
            "receiver": {"quota_mb": 5},
            "reader": {"bundle": str(blind_bundle)},
            "retention": {"purge_below_free_mb": 3000, "purge_until_free_mb": 4000},
        }
    )
    assert build_service(settings, parts) is not None
