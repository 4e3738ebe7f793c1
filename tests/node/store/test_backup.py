"""A backup that is made while the node works is restored elsewhere, and every file that it names is there."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest
from finished_studies import fill
from keeping import DAY_S, named, purge, reported_and_delivered
from postgresql import PostgreSQL
from road import Road
from sqlalchemy import create_engine, select

from node.cli.main import build
from node.demo.studies import DemoStudy
from node.store.backup import CannotBackUp, back_up
from node.store.database import engine_for, open_database
from node.store.states import StudyState
from node.store.tables import Instance


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


@pytest.mark.parametrize("copies_first", [True, False])
def test_with_postgresql_each_file_that_a_dump_names_is_in_the_copies_around_it(
    tmp_path: Path, mammogram_study: DemoStudy, postgresql: PostgreSQL, copies_first: bool
) -> None:
    """As docs/backup.md says it. Without the first copy, what is purged after the dump is in none."""
    road = Road(tmp_path / "data", database_url=postgresql.fresh())
    reported_and_delivered(road, *mammogram_study.files)
    road.clock.seconds += 31 * DAY_S
    if copies_first:
        shutil.copytree(road.data_dir, tmp_path / "backup")
    restored_to, dump = postgresql.empty(), tmp_path / "queue.dump"
    tool("pg_dump", "--format=custom", f"--file={dump}", libpq(road.database_url))
    before = named(road)
    assert purge(road, images_days=30).size.files
    shutil.copytree(road.data_dir, tmp_path / "backup", dirs_exist_ok=True)
    tool("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={libpq(restored_to)}", str(dump))
    with create_engine(restored_to).connect() as connection:
        rows = connection.execute(select(Instance.path).where(Instance.purged_at.is_(None))).scalars().all()
    assert len(rows) == len(mammogram_study.files)
    assert set(rows) <= before
    assert all((tmp_path / "backup" / path).is_file() for path in rows) == copies_first


def libpq(url: str) -> str:
    return url.replace("postgresql+psycopg", "postgresql")


def tool(name: str, *words: str) -> None:
    (*_, program) = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    subprocess.run([program, *words], check=True, capture_output=True, timeout=120)


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
