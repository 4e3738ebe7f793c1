"""The node runs as compose.yaml has it run: a user of its own, a root that cannot be written, no capabilities."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from ports import held_port
from running import eventually, running
from typer.testing import CliRunner

from node.cli.main import build
from node.demo.studies import DemoStudy

pytestmark = pytest.mark.slow

USER = 10001
"""That of the Dockerfile."""
CONFINED = """
set -e
mount --make-rprivate /
mount --bind "$1" /mnt
case "$2" in /root/*)  # a Python of root's own: only the way to it is opened
    mount --bind "$2" /srv
    mount -t tmpfs -o mode=0755 tmpfs /root
    mkdir -p "$2"
    mount --bind /srv "$2"
    mount -o bind,remount,ro /root
esac
mount -t tmpfs -o mode=1777 tmpfs /run
mount -o bind,remount,ro /
shift 2
exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \\
    env HOME=/mnt TMPDIR=/run "$@"
"""


def confined(folder: Path, *command: object) -> list[str]:
    """A command that sees `folder` as /mnt, and can write there, in its temporary folder and in /dev/shm alone."""
    return ["unshare", "--mount", "--", "sh", "-c", CONFINED, "sh", str(folder), sys.base_prefix, *map(str, command)]


@pytest.fixture
def folder(tmp_path: Path, blind_bundle: Path) -> Path:
    """A folder of that user, with a bundle and settings."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("setpriv") is None:
        pytest.skip("needs root, unshare and setpriv (Debian: util-linux)")
    folder = tmp_path / "volume"
    folder.mkdir(mode=0o700)
    shutil.copytree(blind_bundle, folder / "bundle")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER)
    probe = subprocess.run(confined(folder, sys.executable, "-c", "import node"), capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"no such confinement on this machine: {probe.stderr.decode()[-200:]}")
    return folder


def test_what_is_confined_can_write_nowhere_else_and_has_no_capability(folder: Path) -> None:
    code = (
        "import os, pathlib\n"
        "for place in ('/', '/etc', '/usr', '/var', '/work', '/home'):\n"
        "    assert not os.access(place, os.W_OK), place\n"
        "pathlib.Path('/mnt/written').touch()\n"
        "status = dict(line.split(':\\t') for line in open('/proc/self/status') if ':\\t' in line)\n"
        "assert {int(status[name], 16) for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd')} == {0}\n"
        "assert status['NoNewPrivs'].strip() == '1'\n"
    )
    ran = subprocess.run(confined(folder, sys.executable, "-c", code), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_a_study_is_read_and_reported_without_capabilities_on_a_root_that_cannot_be_written(
    folder: Path, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    with held_port() as port, held_port() as closed:
        (folder / "node.toml").write_text(
            f'data_dir = "/mnt/data"\n[reader]\nbundle = "/mnt/bundle"\n[receiver]\nport = {port}\n'
            '[[senders]]\nae_title = "PACS"\nhost = "127.0.0.1"\n[[destinations]]\nname = "pacs"\nae_title = "PACS"\n'
            f'host = "127.0.0.1"\nport = {closed}\n'
        )
        serve = confined(folder, sys.executable, "-m", "node", "serve", "--config", "/mnt/node.toml")
        send = ["send", str(mammogram_study.files[0].parent), f"MAMMO_NODE@127.0.0.1:{port}", "--calling", "PACS"]
        with running(serve, tmp_path / "log") as node:
            eventually("the study was sent", lambda: CliRunner().invoke(build(), send).exit_code == 0, every_s=1)
            queue = folder / "data" / "queue.sqlite"
            eventually("it is reported", lambda: _states(queue) == ["REPORTED"])
            assert node.poll() is None
    assert (folder / "data").stat().st_uid == USER
    assert "Read-only" not in (tmp_path / "log").read_text()


def _states(queue: Path) -> list[str]:
    with closing(sqlite3.connect(queue)) as connection:
        return [state for (state,) in connection.execute("SELECT state FROM study")]
