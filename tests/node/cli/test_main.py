"""The command line as a process: fast, without torch, and with one message for a mistake."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from node.demo.run import COMMAND

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    code = "from node.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_help_lists_every_command():
    output = run("--help").stdout
    for command in ("serve", "read", "send", "status", "retry", "check", "config", "train", "demo"):
        assert command in output


def test_the_version_is_printed():
    assert run("--version").stdout.startswith("mammo-node ")


def test_a_folder_with_the_name_of_a_package_is_not_imported(tmp_path):
    for package in ("config", "dicom_io", "models", "node"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('the wrong one')")
    ran = subprocess.run([*COMMAND, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("heavy", ["torch", "sqlalchemy", "pynetdicom"])
def test_help_imports_no_heavy_library(heavy):
    code = f"import sys, node.cli.main as main; main.build(); sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("command", ["serve", "check", "status", "config show"])
def test_an_unusable_configuration_is_reported_without_a_traceback(tmp_path, command):
    config = tmp_path / "node.toml"
    config.write_text('data_dir = "d"\n[receiver]\nprot = 104')
    ran = run(*command.split(), "--config", config)
    assert ran.returncode == 2
    assert "receiver.prot" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_output_of_config_show_can_be_loaded(tmp_path):
    config = tmp_path / "node.toml"
    config.write_text(
        'data_dir = "d"\ndatabase_url = "postgresql://node:pass-7@host/queue"\n'
        '[[senders]]\nae_title = "A"\n[[senders]]\nae_title = "B"\nhost = "192.0.2.1"\n'
        '[[destinations]]\nname = "p"\nae_title = "P"\nhost = "h"\nport = 1\ntls = {ca_file = "of-p.pem"}\n'
        '[receiver]\ntls = {certificate = "node.pem", key = "node.key", ca_file = "ca.pem"}\n'
    )
    shown = run("config", "show", "--config", config).stdout
    values = tomllib.loads(shown)
    assert [sender["ae_title"] for sender in values["senders"]] == ["A", "B"]
    assert values["receiver"]["port"] == 11112
    assert values["receiver"]["tls"]["certificate"] == str(tmp_path / "node.pem")
    assert values["destinations"][0]["tls"]["ca_file"] == str(tmp_path / "of-p.pem")
    assert "pass-7" not in shown
