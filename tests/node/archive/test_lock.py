"""One node in a data folder, however many processes it has."""

from __future__ import annotations

import fcntl
from contextlib import ExitStack
from typing import IO

import pytest

from node.archive.layout import LOCK
from node.archive.lock import AlreadyRunning, only_node, part_of_a_node

PG = "postgresql+psycopg://mammo:secret@db.example/mammo"


@pytest.fixture
def sqlite(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'queue.sqlite'}"


def test_with_sqlite_the_parts_of_a_node_are_each_in_one_process(tmp_path, sqlite):
    with part_of_a_node(tmp_path, sqlite, ["receive"]), part_of_a_node(tmp_path, sqlite, ["read", "report"]):
        with pytest.raises(AlreadyRunning, match="does the part report"), part_of_a_node(tmp_path, sqlite, ["report"]):
            pass
        with part_of_a_node(tmp_path, sqlite, ["deliver"]):
            pass
    with part_of_a_node(tmp_path, sqlite, ["receive", "read"]):
        pass


def test_with_postgresql_several_processes_do_the_same_part(tmp_path):
    with part_of_a_node(tmp_path, PG, ["read"]), part_of_a_node(tmp_path, PG, ["read"]):
        assert "secret" not in (tmp_path / LOCK).read_text()


@pytest.mark.parametrize("other", ["sqlite", "postgresql+psycopg://mammo@db.example/another"])
def test_a_node_with_another_queue_is_refused_and_told_which(tmp_path, sqlite, other, monkeypatch):
    monkeypatch.setattr("node.archive.lock._BRIEFLY_S", 0.1)
    with part_of_a_node(tmp_path, PG, ["read"]):
        refused = part_of_a_node(tmp_path, sqlite if other == "sqlite" else other, ["receive"])
        with (
            pytest.raises(AlreadyRunning, match=r"with the queue postgresql\+psycopg://db.example/mammo; this"),
            refused,
        ):
            pass
    with part_of_a_node(tmp_path, sqlite, ["receive"]):
        assert (tmp_path / LOCK).read_text() == sqlite


def test_nobody_works_in_a_folder_that_is_held_alone(tmp_path, sqlite, monkeypatch):
    monkeypatch.setattr("node.archive.lock._BRIEFLY_S", 0.1)
    with only_node(tmp_path), pytest.raises(AlreadyRunning), part_of_a_node(tmp_path, sqlite, ["read"]):
        pass
    with part_of_a_node(tmp_path, PG, ["read"]), pytest.raises(AlreadyRunning), only_node(tmp_path):
        pass


def test_of_two_nodes_with_different_queues_that_start_at_the_same_time_one_is_refused(tmp_path, sqlite, monkeypatch):
    monkeypatch.setattr("node.archive.lock._BRIEFLY_S", 0.1)
    flock, calls = fcntl.flock, []
    with ExitStack() as held:

        def overtaken(file: IO[str], kind: int) -> None:
            """The other node takes the lock where the first one gives it up to share it."""
            calls.append(kind)
            if len(calls) == 2:
                monkeypatch.setattr(fcntl, "flock", flock)
                flock(file, fcntl.LOCK_UN)  # flock(2): converting a lock gives it up first
                held.enter_context(part_of_a_node(tmp_path, PG, ["read"]))
            flock(file, kind)

        monkeypatch.setattr(fcntl, "flock", overtaken)
        with pytest.raises(AlreadyRunning, match="with the queue postgresql"):
            held.enter_context(part_of_a_node(tmp_path, sqlite, ["read"]))
        assert len(calls) == 2
