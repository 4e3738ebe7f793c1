"""A site that updates, from whatever version it has: its queue is brought up to date, and its studies go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from postgresql import PostgreSQL
from released import FOLDER, SCHEMAS, images, restore
from road import Road, texts
from running import RunningNode, eventually, reader_of
from sqlalchemy import Engine, select
from storage_scp import StorageScp
from typer.testing import CliRunner

from dicom_io.network.peer import Peer
from dicom_io.network.scu import CStoreDestination
from dicom_io.results.outputs import contents_of
from dicom_io.results.profiles import PROFILES
from node.cli.main import build
from node.delivery.backoff import RetryPolicy
from node.delivery.deliverer import Deliverer
from node.store.copying import copy_queue
from node.store.database import open_database
from node.store.migrations import versions
from node.store.states import DeliveryState, StudyState
from node.store.tables import Study, Table

pytestmark = pytest.mark.slow

TOP = Path(__file__).parents[3]
NAME = "research-default"
NOT_SENT = "SELECT id FROM delivery WHERE state != 'SENT'"

KILLED_MIGRATING = """
import os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from node.store.database import engine_for, migrate

url, last = sys.argv[1], int(sys.argv[2])
statements = 0

def count(*_):
    global statements
    statements += 1
    if statements == last:
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "after_cursor_execute", count)
migrate(engine_for(url))
print(statements)
"""


def rows(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    with engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in Table.metadata.sorted_tables
        }


def raw(data: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(data / "queue.sqlite")) as queue:
        return queue.execute(query).fetchall()


def is_current(engine: Engine) -> bool:
    with engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection), Table.metadata) == []


def ends_its_road(data: Path, url: str) -> None:
    """The studies of a data folder go on to their end: each is reported and delivered once."""
    before = {str(path) for (path,) in raw(data, "SELECT path FROM result")}
    road = Road(data, database_url=url)
    road.clock.seconds = 4e9  # leases have run out, and whatever waited is due
    road.read()
    road.close()
    for _ in range(2):  # what another bundle has read of a study is read anew before its report
        road.read()
        road.report()
    with road.sessions.begin() as session:
        assert set(session.scalars(select(Study.state))) == {StudyState.REPORTED}
    with StorageScp().listening() as pacs:
        peer = CStoreDestination(Peer("PACS", "127.0.0.1", pacs.port, 60, "NODE"), contents_of(PROFILES["ohif"]))
        policy = RetryPolicy(first_s=30, ceiling_s=3600, dead_after_s=1e12)
        sending = Deliverer("pacs", peer, policy, road.sessions, data, road.clock)
        while sending.deliver_due():
            pass
        peer.close()
    assert sorted(pacs.uids) == sorted(result.SOPInstanceUID for result in road.results())
    assert len(set(pacs.uids)) == len(pacs.uids)
    assert {delivery.state for delivery in road.deliveries()} == {DeliveryState.SENT}
    reports = road.results("SR")
    assert len({report.StudyInstanceUID for report in reports}) == len(reports) == 2
    assert before < {path.relative_to(data).as_posix() for path in (data / "results").rglob("*.dcm")}


def test_each_schema_but_the_newest_has_a_queue_that_its_own_code_wrote():
    """Of those left out no node was ever run: their commits joined two branches and could not start, or were never
    the newest of a commit; 0014 was rewritten within the hour."""
    migrations = sorted(path.name[:4] for path in Path(versions.__path__[0]).glob("[0-9]*.py"))
    assert set(migrations[:-1]) - set(SCHEMAS) == {"0004", "0005", "0008", "0014", "0032", "0033"}, "releases/make.py"


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_queue_of_each_released_schema_is_brought_up_to_date_and_its_studies_go_on(
    schema: str, tmp_path: Path
) -> None:
    data = restore(schema, tmp_path)
    assert raw(data, "SELECT version_num FROM alembic_version") == [(schema,)]
    stored = {table: raw(data, f"SELECT id, state FROM {table} ORDER BY id") for table in ("study", "job", "delivery")}
    engine = open_database(f"sqlite:///{data / 'queue.sqlite'}")
    assert is_current(engine)
    assert raw(data, "PRAGMA foreign_key_check") == []
    for table, states in stored.items():
        assert raw(data, f"SELECT id, state FROM {table} ORDER BY id") == states, "nothing else happens to a row"
    engine.dispose()
    ends_its_road(data, f"sqlite:///{data / 'queue.sqlite'}")


@pytest.mark.parametrize("schema", SCHEMAS[::4])
def test_a_queue_of_an_older_release_moves_to_postgresql(schema: str, tmp_path: Path, postgresql: PostgreSQL) -> None:
    data = restore(schema, tmp_path)
    source, url = open_database(f"sqlite:///{data / 'queue.sqlite'}"), postgresql.fresh()
    target = open_database(url)
    copy_queue(source, target, lambda *_: None)
    assert rows(target) == rows(source)
    source.dispose()
    target.dispose()
    ends_its_road(data, url)


@pytest.mark.parametrize("schema", SCHEMAS[:1])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0])
def test_a_node_killed_in_the_middle_of_an_upgrade_starts_it_again(schema: str, share: float, tmp_path: Path) -> None:
    untouched = restore(schema, tmp_path / "untouched")
    url = f"sqlite:///{untouched / 'queue.sqlite'}"
    statements = migrating(url, 0)
    assert statements.returncode == 0, statements.stderr
    data = restore(schema, tmp_path)
    url = f"sqlite:///{data / 'queue.sqlite'}"
    assert migrating(url, max(2, int(share * int(statements.stdout)))).returncode == -signal.SIGKILL
    assert raw(data, "SELECT version_num FROM alembic_version") == [(schema,)], "all of it, or nothing"
    engine = open_database(url)
    assert is_current(engine)
    assert rows(engine) == rows(open_database(f"sqlite:///{untouched / 'queue.sqlite'}"))
    engine.dispose()


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_the_same_with_postgresql(share: float, postgresql: PostgreSQL) -> None:
    statements = migrating(postgresql.empty(), 0)
    assert statements.returncode == 0, statements.stderr
    url = postgresql.empty()
    assert migrating(url, int(share * int(statements.stdout))).returncode == -signal.SIGKILL
    engine = open_database(url)
    assert is_current(engine)
    engine.dispose()


def migrating(url: str, killed_after: int) -> subprocess.CompletedProcess[str]:
    """A process that brings a queue up to date, and is killed after so many statements (0: never)."""
    return subprocess.run(
        [sys.executable, "-c", KILLED_MIGRATING, url, str(killed_after)], capture_output=True, text=True, check=False
    )


def test_an_older_node_refuses_a_newer_queue_changes_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    data = restore(SCHEMAS[-1], tmp_path)
    open_database(f"sqlite:///{data / 'queue.sqlite'}").dispose()
    with closing(sqlite3.connect(data / "queue.sqlite")) as queue, queue:
        queue.execute("UPDATE alembic_version SET version_num = '9999'")  # as a later version would
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{data}"\n')
    before = (data / "queue.sqlite").read_bytes()
    for command in ("serve", "status", "retry"):
        arguments = [sys.executable, "-m", "node", command, *(["1"] if command == "retry" else []), "--config", config]
        refused = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert refused.returncode == 2
        assert "was last used by a newer mammo-node (schema 9999): run that version, or restore" in refused.stderr
    assert (data / "queue.sqlite").read_bytes() == before


@pytest.fixture
def older_program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The `mammo-node` of the newest released schema, out of the project's history."""
    with tarfile.open(FOLDER / f"{SCHEMAS[-1]}.tar.xz") as packed:
        commit = packed.extractfile("queue.sql").readline().decode().removeprefix("-- by ").strip()
    folders = ["node", "models", "dicom_io", "config"]
    archive = subprocess.run(["git", "archive", commit, *folders], capture_output=True, check=False, cwd=TOP)
    if archive.returncode:
        pytest.skip(f"the project's history is not here (commit {commit})")
    code = tmp_path / "older"
    code.mkdir()
    subprocess.run(["tar", "-x", "-C", code], input=archive.stdout, check=True)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "node", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(code)},
            cwd=code,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_after_an_update_the_older_program_refuses_and_a_rollback_brings_back_what_the_backup_has(
    older_program: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    data, config = restore(SCHEMAS[-1], tmp_path), tmp_path / "node.toml"
    config.write_text(f'data_dir = "{data}"\n')
    backup = tmp_path / "backup"
    backup.mkdir()
    made = older_program("database", "backup", backup / "queue.sqlite", "--config", config)
    assert made.returncode == 0, made.stderr
    shutil.copytree(data, backup / "data", ignore=shutil.ignore_patterns("queue.sqlite*"))
    asked = ("status", "--json", "--config", config)
    before = json.loads(older_program(*asked).stdout)

    ends_its_road(data, f"sqlite:///{data / 'queue.sqlite'}")  # the update
    for command in (("status",), ("serve",), ("retry", "1")):
        refused = older_program(*command, "--config", config)
        assert refused.returncode == 2
        assert "was last used by a newer mammo-node" in refused.stderr
        assert "run that version, or restore" in refused.stderr

    shutil.rmtree(data)  # docs/backup.md, "Restore"
    shutil.copytree(backup / "data", data)
    shutil.copy(backup / "queue.sqlite", data)
    after = json.loads(older_program(*asked).stdout)
    assert [study["state"] for study in after["studies"]] == [study["state"] for study in before["studies"]]
    assert [study["state"] for study in after["studies"]] != ["reported", "reported"]


@pytest.fixture
def node(tmp_path: Path, blind_bundle: Path, closed_port: int):
    running = RunningNode(tmp_path / "node", _settings(blind_bundle, closed_port))
    yield running
    running.end()


def _settings(bundle: Path, port: int) -> str:
    return f"""
[reader]
bundle = "{bundle}"
[closing]
quiet_s = 1
[[senders]]
ae_title = "PACS"
host = "127.0.0.1"
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {port}
"""


def test_a_running_node_takes_over_the_data_folder_of_the_oldest_schema(
    node: RunningNode, tmp_path: Path, closed_port: int
) -> None:
    restore(SCHEMAS[0], tmp_path).rename(node.data_dir)
    pacs = StorageScp()
    pacs.port = closed_port
    with pacs.listening():
        node.start()
        eventually("both studies are reported", lambda: reported(node) == 2)
        eventually("every result was sent", lambda: not raw(node.data_dir, NOT_SENT))
        assert node.stop() == 0
    assert len(set(pacs.uids)) == len(pacs.uids)
    assert len({report.StudyInstanceUID for report in pacs.stored if report.Modality == "SR"}) == 2


def test_each_study_says_which_bundle_read_it_where_bundles_change_while_studies_wait(
    node: RunningNode, tmp_path: Path, blind_bundle: Path
) -> None:
    received = images(tmp_path / "images").values()
    first, second = ([path for path in received if name in path.parts] for name in ("reported", "received"))
    other = renamed(blind_bundle, tmp_path / "other", "the-next-one")
    node.start()
    send(node, first)
    eventually("the first study is reported", lambda: reported(node) == 1)
    reader = eventually("its reader is found", lambda: reader_of(node))
    reader.suspend()
    send(node, second)  # it waits
    node.kill()
    reader.kill()
    node.config.write_text(node.config.read_text().replace(str(blind_bundle), str(other)))
    node.start()
    eventually("the second study is reported too", lambda: reported(node) == 2)
    assert node.stop() == 0
    reports = Road(node.data_dir).results("SR")
    said = {name: [texts(report) for report in reports if name in texts(report)] for name in (NAME, "the-next-one")}
    assert [len(texts) for texts in said.values()] == [1, 1]
    assert said[NAME] != said["the-next-one"]


def renamed(bundle: Path, folder: Path, name: str) -> Path:
    """The same models as a bundle of another name."""
    folder.mkdir()
    for weights in bundle.glob("*.safetensors"):
        (folder / weights.name).symlink_to(weights.resolve())
    card = (bundle / "bundle.toml").read_text()
    (folder / "bundle.toml").write_text(card.replace(f'name = "{NAME}"', f'name = "{name}"'))
    return folder


def send(node: RunningNode, files: list[Path]) -> None:
    arguments = ["send", str(files[0].parent), f"MAMMO_NODE@127.0.0.1:{node.port}", "--calling", "PACS"]
    assert CliRunner().invoke(build(), arguments).exit_code == 0


def reported(node: RunningNode) -> int:
    return len(raw(node.data_dir, "SELECT id FROM study WHERE state = 'REPORTED'"))
