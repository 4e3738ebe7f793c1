"""A running node keeps an audit trail and sends it to a syslog server, and the commands read it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from audit_messages import assert_valid
from certificates import Authority
from ports import held_port
from pydicom import dcmread
from running import RunningNode, eventually
from syslog_server import SyslogServer

from node.demo.studies import DemoStudy

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SyslogServer]:
    authority = Authority(tmp_path)
    certificate = authority.issue("server", "127.0.0.1", rsa_key=True)
    authority.issue("node")
    with held_port() as port:
        yield SyslogServer(tmp_path / "rsyslog", port, certificate, authority.path)


@pytest.fixture
def node(tmp_path: Path, server: SyslogServer) -> Iterator[RunningNode]:
    folder = server.authority.parent if server.authority else tmp_path
    settings = f"""
        [audit]
        syslog_host = "127.0.0.1"
        syslog_port = {server.port}
        tls = {{ ca_file = "{server.authority}", certificate = "{folder}/node.pem", key = "{folder}/node.key" }}
    """
    running = RunningNode(tmp_path / "node", settings)
    yield running
    running.end()


def events(lines: list[str]) -> list[str]:
    return [", ".join(re.findall('originalText="([^"]*)" /></EventId', line)) for line in lines]


def test_who_started_and_stopped_the_node_and_read_its_trail_is_at_the_syslog_server(
    node: RunningNode, server: SyslogServer, tmp_path: Path
) -> None:
    with server.started():
        node.start()
        started = server.lines(2)
        shown = node.command("audit", "show")
        assert "Application Activity: Application Start" in shown.stdout, shown.stderr
        assert any("Audit Log Used" in line for line in server.lines(3))
        assert node.stop() == 0
        stopped = server.lines(5)
    assert events(started) == ["Application Start", "Audit Recording Started"]
    assert events(stopped[-2:]) == ["Application Stop", "Audit Recording Stopped"]
    assert_valid([line[line.index("<AuditMessage") :] for line in stopped], tmp_path)
    verified = node.command("audit", "verify", "--syslog", str(server.file))
    assert verified.returncode == 0, verified.stderr
    assert "5 lines as written" in verified.stdout
    assert "has all lines up to 5, and no other message of this machine" in verified.stdout


def test_who_sent_and_who_was_refused_is_at_the_syslog_server(
    node: RunningNode, server: SyslogServer, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    header = dcmread(mammogram_study.files[0], stop_before_pixels=True)
    node.config.write_text(node.config.read_text().replace("[receiver]", '[[senders]]\nae_title = "PACS"\n[receiver]'))
    with server.started():
        node.start()
        at = f"MAMMO_NODE@127.0.0.1:{node.port}"
        for title in ("PACS", "STRANGER"):
            command = [sys.executable, "-m", "node", "send", mammogram_study.files[0].parent, at, "--calling", title]
            assert subprocess.run(command, check=False).returncode == (0 if title == "PACS" else 1)
        lines = server.lines(4)
    assert_valid([line[line.index("<AuditMessage") :] for line in lines], tmp_path)
    came = next(line for line in lines if "DICOM Instances Transferred" in line)
    assert f'ParticipantObjectID="{header.StudyInstanceUID}"' in came
    assert f'ParticipantObjectID="{header.PatientID}"' in came
    assert 'UserID="PACS"' in came
    refused = next(line for line in lines if "Node Authentication" in line)
    assert "'STRANGER' at 127.0.0.1 is not among the senders" in alert(refused)
    assert header.PatientID not in node.log.read_text()


def test_what_happened_while_the_server_was_away_and_the_node_was_killed_comes_later(
    node: RunningNode, server: SyslogServer
) -> None:
    node.start()
    trail = node.data_dir / "audit"
    eventually("the start is in the trail", lambda: [*trail.glob("*.log")] or None)
    assert node.command("audit", "show").returncode == 0
    node.kill()
    assert node.command("users", "list").returncode == 0
    config = node.config.read_text().replace("[audit]", 'language = "de"\n[audit]')
    node.config.write_text(config)
    with server.started():
        node.start()
        lines = server.lines(6)
    assert [event for event in events(lines) if event.startswith("Application")] == ["Application Start"] * 2
    assert sum("Audit Log Used" in line for line in lines) == 1
    changed = next(line for line in lines if "Security Configuration" in line)
    assert "settings changed since the last start: language" in alert(changed)
    assert [int(found) for found in re.findall(r'sequenceId="(\d+)"', "".join(lines))] == [*range(1, len(lines) + 1)]


def test_a_line_that_was_changed_by_hand_is_named(node: RunningNode) -> None:
    node.start()
    eventually("the start is in the trail", lambda: [*(node.data_dir / "audit").glob("*.log")] or None)
    node.stop()
    (file,) = (node.data_dir / "audit").glob("*.log")
    before = file.read_text()
    file.write_text(before.replace("Application Start", "Application Stop", 1))
    refused = node.command("audit", "verify")
    assert refused.returncode == 2
    assert f"{file.name}: line 1 does not follow from the one before" in refused.stderr
    file.write_text("".join(before.splitlines(keepends=True)[:-1]))
    assert "which the database knows, are missing: the trail was cut" in node.command("audit", "verify").stderr
    settings = json.loads((node.data_dir / "audit" / "settings.json").read_text())
    assert settings["receiver.port"] == node.port


def alert(line: str) -> str:
    return " ".join(b64decode(value).decode() for value in re.findall(' value="([^"]*)"', line))
