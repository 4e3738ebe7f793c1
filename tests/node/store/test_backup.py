"""A backup that is made while the node works is restored elsewhere, and every file that it names is there."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from finished_studies import fill
from road import Road

from node.cli.main import build
from node.demo.studies import DemoStudy
from node.store.backup import CannotBackUp, back_up
from node.store.database import engine_for, open_database
from node.store.states import StudyState


def test_a_backup_restored_elsewhere_has_every_file_and_goes_on(
    tmp_path: Path, mammogram_studies: list[DemoStudy], capsys: pytest.CaptureFixture[str]
) -> None:
    road = Road(tmp_path / "data")
    first, second = mammogram_studies
    *most, late = first.files
    road.all_of_it(*most)
    config = tmp_path / "node.toml"
    config.write_text('data_dir = "data"\n')
    build()(["database", "backup", str(tmp_path / "queue.copy"), "--config", str(config)], standalone_mode=False)
    assert "the queue as it is now" in capsys.readouterr().out
    road.receive(*second.files)  # after the queue was copied, before the folder is

    shutil.copytree(tmp_path / "data", tmp_path / "restored", ignore=shutil.ignore_patterns("queue.sqlite*"))
    shutil.copy(tmp_path / "queue.copy", tmp_path / "restored/queue.sqlite")
    restored = Road(tmp_path / "restored")
    assert len(restored.instances()) == len(most)
    assert all((restored.data_dir / row.path).is_file() for row in restored.instances())
    assert all(
        (restored.data_dir / row.masks_path).is_dir() or (restored.data_dir / row.masks_path).is_file()
        for row in restored.instances()
        if row.masks_path
    )
    assert restored.results("SR")
    restored.all_of_it(late)
    assert (restored.study().state, restored.study().revision) == (StudyState.REPORTED, 2)


def test_a_copy_is_whole_while_somebody_writes(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}")
    fill(engine, 2000)
    stop = threading.Event()

    def write() -> None:
        with sqlite3.connect(tmp_path / "queue.sqlite", timeout=30) as connection:
            while not stop.is_set():
                connection.execute("UPDATE study SET why = why || '.' WHERE id % 100 = 0")
                connection.commit()  # as fast as it goes: no backup in several steps would end

    thread = threading.Thread(target=write)
    thread.start()
    try:
        back_up(engine, tmp_path / "copy")
    finally:
        stop.set()
        thread.join()
    with sqlite3.connect(tmp_path / "copy") as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT count(*) FROM study").fetchone() == (2000,)
        lengths = {length for (length,) in copy.execute("SELECT length(why) FROM study WHERE id % 100 = 0")}
        assert len(lengths) == 1, "of one moment"


def test_no_file_is_overwritten_and_another_database_has_its_own_backup(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}")
    with pytest.raises(CannotBackUp, match="there already"):
        back_up(engine, tmp_path / "queue.sqlite")
    with pytest.raises(CannotBackUp, match="cannot be written"):
        back_up(engine, tmp_path / "no/folder/copy")
    assert not (tmp_path / "no").exists()
    with pytest.raises(CannotBackUp, match="pg_dump"):
        back_up(engine_for("postgresql+psycopg://127.0.0.1/none"), tmp_path / "copy")
