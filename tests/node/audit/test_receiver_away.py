"""A syslog receiver that is away, or was never sent what a file says, is named."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from audit_messages import trail_in
from browsing import application_of
from certificates import Authority
from ports import held_port
from road import Road
from running import eventually
from starlette.testclient import TestClient
from syslog_server import SyslogServer

from config.settings import Settings
from node.archive.layout import AUDIT_SENT
from node.audit.actors import command_line
from node.audit.recorder import Recorder, stored_head
from node.audit.recording import syslog_receiver
from node.audit.security_events import enter_log_used
from node.audit.sender import Sender, last_sent
from node.operations.check import syslog_receiver_answers
from node.operations.needs import Need, needs_now

pytestmark = pytest.mark.slow


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SyslogServer]:
    authority = Authority(tmp_path)
    authority.issue("node")
    with held_port() as port:
        certificate = authority.issue("server", "127.0.0.1", rsa_key=True)
        yield SyslogServer(tmp_path / "rsyslog", port, certificate, authority.path)


def settings_of(road: Road, server: SyslogServer) -> Settings:
    folder = server.folder.parent
    tls = {"ca_file": server.authority, "certificate": folder / "node.pem", "key": folder / "node.key"}
    audit = {"syslog_host": "127.0.0.1", "syslog_port": server.port, "tls": tls}
    return Settings.model_validate({"data_dir": road.data_dir, "audit": audit})


def recorded(road: Road, lines: int) -> Recorder:
    recorder = Recorder(road.sessions, trail_in(road.data_dir / "audit"), "", road.clock)
    for _ in range(lines - 1):
        with road.sessions.begin() as session:
            enter_log_used(session, recorder.trail.folder, command_line(), road.clock())
    recorder.record()
    return recorder


def known_lines(recorder: Recorder) -> int:
    with recorder.sessions() as session:
        return stored_head(session).lines


@contextmanager
def sending(recorder: Recorder, settings: Settings) -> Iterator[Path]:
    receiver, sent = syslog_receiver(settings), settings.data_dir / AUDIT_SENT
    assert receiver is not None
    stop = threading.Event()
    sender = Sender(recorder.trail, receiver, sent, leads=lambda: True, known=lambda: known_lines(recorder))
    thread = threading.Thread(target=sender.run, args=(stop,))
    thread.start()
    try:
        yield sent
    finally:
        stop.set()
        thread.join()


def needed(road: Road, settings: Settings, now: float) -> list[Need]:
    with road.sessions() as session:
        return [need for need in needs_now(session, settings, now) if need.about == "audit"]


def unsent(road: Road, settings: Settings) -> tuple[str, float]:
    """What the metrics tell of lines and seconds."""
    with TestClient(application_of(road, settings), base_url="http://127.0.0.1:8080") as program:
        text = program.get("/metrics").text
    lines, seconds = [
        line.rpartition(" ")[2] for line in text.splitlines() if line.startswith("mammo_node_audit_unsent_")
    ]
    return lines, float(seconds)


def test_lines_that_wait_for_ten_minutes_need_a_person_until_they_are_sent(
    road: Road, server: SyslogServer, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(road, server)
    recorder = recorded(road, 3)
    assert not syslog_receiver_answers(settings).ok
    with sending(recorder, settings) as sent:
        eventually("it is said that it is away", lambda: "the audit trail waits in its files" in caplog.text or None)
        away_since = sent.stat().st_mtime
        assert needed(road, settings, away_since + 599) == []
        (need,) = needed(road, settings, away_since + 601)
        assert need.says == "3 lines of the audit trail wait for the syslog receiver 127.0.0.1"
        road.clock.seconds = away_since + 900
        assert unsent(road, settings) == ("3.0", 900)
        with server.started():
            eventually("the lines are sent", lambda: last_sent(sent) == 3 or None)
            assert needed(road, settings, away_since + 10_000) == []
            assert unsent(road, settings) == ("0.0", 0)
            assert syslog_receiver_answers(settings).ok
            known = sent.stat().st_mtime_ns
            eventually("it has all of them later too", lambda: sent.stat().st_mtime_ns > known or None)


@pytest.mark.parametrize("number", ["999999", "4"])
def test_all_lines_are_sent_again_where_a_file_says_that_more_were_sent_than_there_are(
    road: Road, server: SyslogServer, caplog: pytest.LogCaptureFixture, number: str
) -> None:
    """Somebody wrote into the file, or an older trail was restored."""
    settings = settings_of(road, server)
    recorder = recorded(road, 3)
    (settings.data_dir / AUDIT_SENT).write_text(f"{number}\n")
    with server.started(), sending(recorder, settings) as sent:
        assert len(server.lines(3)) == 3
        eventually("the lines are sent", lambda: last_sent(sent) == 3 or None)
    assert f"audit/sent says that line {number} was sent, and the audit trail ends with line 3" in caplog.text
