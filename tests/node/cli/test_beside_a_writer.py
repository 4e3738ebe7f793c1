"""Commands beside a node that writes, and with damaged or foreign queues: they answer and change nothing."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import load
from node.cli.main import main
from node.store.database import QueueUnusable, open_existing
from node.store.states import DeliveryState, StudyState

pytestmark = pytest.mark.slow

WRITER = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], isolation_level=None).execute("BEGIN IMMEDIATE")
print("holds", flush=True)
sys.stdin.read()
"""
DEAD = {"state": DeliveryState.DEAD, "attempts": 9, "error": "refused"}


@pytest.fixture
def written_to(sessions, config):
    """Locked by another process, in a transaction that does not end."""
    queue = config.parent / "data" / "queue.sqlite"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, queue], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"holds\n"
    yield writer
    writer.communicate()  # the end of its input ends it


@pytest.fixture
def run_command(monkeypatch, capsys, config):
    """Runs a command as a shell does; returns its exit status and its output. Its log ends with it."""
    handlers = logging.root.handlers[:]

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["mammo-node", *arguments, "--config", str(config)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out + captured.err

    yield run
    logging.root.handlers[:] = handlers


def test_status_answers_while_another_process_writes(written_to, command, config):
    assert "0 open" in command("status", "-c", config).output


def test_check_names_a_process_that_locks_the_database(written_to, command, config):
    answers = {answer["about"]: answer for answer in json.loads(command("check", "-c", config, "--json").output)}
    assert not answers["database"]["ok"]
    assert f"process {written_to.pid} does not let others write" in answers["database"]["says"]


OTHER_CONTAINER = ("unshare", "--user", "--map-root-user", "--pid", "--fork")


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*OTHER_CONTAINER, "true"], check=False).returncode != 0,
    reason="no process id namespace can be made here",
)
def test_status_reports_a_writer_without_a_process_id_in_this_container(written_to, config):
    command_line = [*OTHER_CONTAINER, sys.executable, "-m", "node", "status", "-c", str(config)]
    output = subprocess.run(command_line, capture_output=True, text=True, check=True).stdout
    assert "FAULT of this machine, database: a process outside this container does not let others write to it" in output


@pytest.mark.parametrize("command_line", [("check",), ("status",), ("retry", "1"), ("birads", "list")])
def test_every_command_reports_a_damaged_queue_with_the_same_cure(sessions, config, run_command, command_line):
    sessions.kw["bind"].dispose()
    (config.parent / "data" / "queue.sqlite").write_bytes(b"no queue at all" * 1000)
    status, output = run_command(*command_line)
    assert status != 0
    assert "it is damaged, or no queue at all: restore the copy made last" in output
    assert "Traceback" not in output


def test_a_queue_in_an_unreadable_folder_is_reported(config, monkeypatch):
    def refused(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_file", refused)  # tests also run as root, whom no permission restricts
    with pytest.raises(QueueUnusable, match="cannot be looked at: Permission denied"):
        open_existing(load(config).database)


@pytest.fixture
def dead_delivery(a_study):
    return a_study(StudyState.REPORTED, delivery=DEAD)


def test_retry_reports_that_another_process_writes_and_changes_nothing(dead_delivery, written_to, run_command):
    status, output = run_command("retry", str(dead_delivery))
    assert status == 2
    assert "database is locked" in output
    assert "Nothing was changed" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("command_line", [("status",), ("retry", "1"), ("birads", "list"), ("annotations", "list")])
@pytest.mark.parametrize(
    ("schema", "cure"), [("0001", "`mammo-node serve` brings it up to date"), ("9999", "run that version")]
)
def test_no_command_migrates_a_queue_of_another_version(sessions, config, run_command, command_line, schema, cure):
    queue = config.parent / "data" / "queue.sqlite"
    with sqlite3.connect(queue) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (schema,))
    connection.close()
    status, output = run_command(*command_line)
    assert status == 2
    assert cure in output
    with sqlite3.connect(queue) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (schema,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('data_dir = "a_file"', "a_file cannot be used: File exists"),
        ('data_dir = "a_file/below"', "below cannot be used: Not a directory"),
        ('data_dir = "/proc/here"', "/proc/here cannot be used"),
        ('data_dir = "data"\ndatabase_url = "foo://x"', "database_url cannot be used"),
        ('data_dir = "data"\ndatabase_url = "no url"', "look at database_url"),
        ('data_dir = "data"\ndatabase_url = "oracle+oracledb://h/x"', "install the driver"),
        ('data_dir = "data"\ndatabase_url = "sqlite:////proc/here.sqlite"', "unable to open database file"),
    ],
)
def test_serve_reports_in_a_single_message_why_it_cannot_start(config, run_command, text, says):
    config.write_text(text)
    (config.parent / "a_file").touch()
    status, output = run_command("serve")
    assert status == 2
    assert says in output
    assert "Traceback" not in output


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_fault_of_the_machine_while_serve_starts_is_a_single_message(
    config, run_command, monkeypatch, closed_port, number
):
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number), "a file of the data folder")

    monkeypatch.setattr("node.app.remove_leftovers", fails)
    config.write_text(f'data_dir = "data"\n[receiver]\nport = {closed_port}\n')
    status, output = run_command("serve")
    assert status == 2
    assert errno.errorcode[number] in output
    assert "Traceback" not in output


def test_a_command_opens_the_queue_of_the_node(sessions, config):
    engine = open_existing(load(config).database)
    assert engine.dialect.name == "sqlite"
    engine.dispose()
