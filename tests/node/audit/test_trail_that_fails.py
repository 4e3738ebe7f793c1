"""Whatever is wrong with the audit trail's files, the node goes on, tells a person, and writes all later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from ports import held_port
from road import Road
from running import eventually

from config.settings import Settings
from node.archive.layout import AUDIT, AUDIT_SENT, AUDITED_SETTINGS
from node.audit.recording import Recording
from node.audit.sender import last_sent
from node.operations.needs import needs_now
from node.parts import EVERYTHING


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data")


def recording(road: Road, **audit: object) -> Recording:
    settings = Settings.model_validate({"data_dir": road.data_dir, "audit": audit})
    return Recording(settings, road.sessions, EVERYTHING, lambda: True, road.clock)


def a_folder_in_place_of_a_file(folder: Path) -> Callable[[], object]:
    (folder / "9999-12-31.log").mkdir(parents=True)
    return (folder / "9999-12-31.log").rmdir


def a_file_in_place_of_the_folder(folder: Path) -> Callable[[], object]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("")
    return folder.unlink


@pytest.mark.parametrize("spoil", [a_folder_in_place_of_a_file, a_file_in_place_of_the_folder])
def test_a_trail_that_cannot_be_written_needs_a_person_and_gets_all_events_once_it_is_mended(
    road: Road, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], Callable[[], object]]
) -> None:
    caplog.set_level("INFO")
    mend = spoil(road.data_dir / AUDIT)
    process = recording(road)
    process.begin()
    process.record()
    process.record()
    assert caplog.text.count("the audit trail cannot be written, it is tried again") == 1
    assert needed(road, road.clock() + 599) == []
    assert needed(road, road.clock() + 601) == ["Events wait to be written into the audit trail"]
    mend()
    process.record()
    assert "the audit trail is written again" in caplog.text
    assert needed(road, road.clock() + 10_000) == []
    (file,) = (road.data_dir / AUDIT).glob("*.log")
    assert "Application Start" in file.read_text()


def needed(road: Road, now: float) -> list[str]:
    with road.sessions() as session:
        found = needs_now(session, Settings.model_validate({"data_dir": road.data_dir}), now)
    return [need.says for need in found if need.about == "audit"]


def test_a_trail_that_cannot_be_read_is_sent_once_it_can(road: Road, caplog: pytest.LogCaptureFixture) -> None:
    with held_port() as port:
        process = recording(road, syslog_host="127.0.0.1", syslog_port=port, syslog_transport="udp")
        process.begin()
        process.record()
        mend = a_folder_in_place_of_a_file(road.data_dir / AUDIT)
        stop = threading.Event()
        thread = threading.Thread(target=process.send, args=(stop,))
        thread.start()
        said = "the audit trail cannot be read to send it, it is tried again"
        try:
            eventually("that is said", lambda: said in caplog.text or None)
            mend()
            eventually("it is tried again", lambda: "the audit trail waits in its files" in caplog.text or None)
            assert thread.is_alive()
            assert last_sent(road.data_dir / AUDIT_SENT) == 0
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize("kept", ["[1]", "7", "null", "{", "[" * 100_000])
def test_damaged_settings_of_the_trail_are_a_change_of_all_and_do_not_keep_the_node_from_starting(
    road: Road, kept: str
) -> None:
    file = road.data_dir / AUDITED_SETTINGS
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(kept)
    recording(road).begin()
    assert file.read_text().startswith("{")
