"""Files and folders that survive a power cut."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dicom_io.durable import make_folder


def test_a_folder_can_be_made_by_many_at_the_same_time(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        for number in range(100):
            folder = tmp_path / str(number) / "a" / "b"
            list(threads.map(make_folder, [folder] * 8))
            assert folder.is_dir()


def test_a_folder_has_the_mode_that_was_asked_for_and_one_that_is_there_keeps_its_own(tmp_path: Path) -> None:
    make_folder(tmp_path / "private", mode=0o700)
    make_folder(tmp_path / "private", mode=0o755)
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o700
