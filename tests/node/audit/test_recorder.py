"""Every event has one line, in order, also if the node is killed while it is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from audit_messages import assert_valid
from sqlalchemy import event, func, select, update
from sqlalchemy.orm import Session

from dicom_io.audit.codes import INSTANCES_TRANSFERRED, USER_AUTHENTICATION
from dicom_io.audit.message import Action, AuditMessage, Participant, patient_object, study_object
from node.audit.events import enter
from node.audit.recorder import Recorder, stored_head
from node.audit.trail import Trail, verify
from node.store.database import Sessions, open_database, sessions_of
from node.store.tables import AuditEvent

NOON = 1_800_014_400.0
MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"


class Killed(BaseException):
    """What a kill is to the code that it ends."""


@pytest.fixture
def sessions(queue_url: str) -> Iterator[Sessions]:
    engine = open_database(queue_url)
    yield sessions_of(engine)
    engine.dispose()


def recorder(sessions: Sessions, folder: Path) -> Recorder:
    return Recorder(sessions, Trail(folder / "audit"), "A hospital", lambda: NOON)


def sign_in(who: str, at: float = NOON) -> AuditMessage:
    return AuditMessage(USER_AUTHENTICATION, Action.EXECUTE, at, (Participant(who, address="192.0.2.1"),))


def image(study: str, patient: str) -> AuditMessage:
    about = study_object(study, [(MAMMOGRAM, 1)]), patient_object(patient)
    return AuditMessage(INSTANCES_TRANSFERRED, Action.CREATE, NOON, (Participant("PACS"),), about)


def entered(sessions: Sessions, *messages: AuditMessage) -> None:
    for message in messages:
        with sessions.begin() as session:
            enter(session, message)


def users(trail: Trail) -> list[str]:
    found = (re.findall('ActiveParticipant UserID="([a-z0-9]+)"', line.message) for _, line in trail.lines() if line)
    return [name for names in found for name in names if not name.isdecimal()]


def record_for_ever(written: Recorder, sessions: Sessions, name: str) -> None:
    while True:
        written.record()
        entered(sessions, sign_in(f"{name}x"))


def assert_whole(sessions: Sessions, written: Recorder) -> None:
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(AuditEvent)) == 0
        assert verify(written.trail, stored_head(session)).fault == ""


def test_events_are_lines_in_their_order_and_hold_against_the_schema(sessions: Sessions, tmp_path: Path) -> None:
    written = recorder(sessions, tmp_path)
    entered(sessions, *map(sign_in, ("a", "b", "c")))
    written.record()
    entered(sessions, sign_in("d"))
    written.end()
    assert users(written.trail) == ["a", "b", "c", "d"]
    assert_whole(sessions, written)
    lines = [line.message for _, line in written.trail.lines() if line]
    assert re.match(
        r'<85>1 2027-01-15T12:00:00\.000Z \S+ mammo-node \d+ DICOM\+RFC3881 \[meta sequenceId="1"\] <', lines[0]
    )
    assert_valid([line[line.index("<AuditMessage") :] for line in lines], tmp_path)


def test_the_images_of_a_study_are_one_line_with_their_number(sessions: Sessions, tmp_path: Path) -> None:
    entered(sessions, *[image("1.2", "A")] * 4, image("1.3", "B"))
    written = recorder(sessions, tmp_path)
    written.record()
    counts = [
        found for _, line in written.trail.lines() if line for found in re.findall('OfInstances="(.)"', line.message)
    ]
    assert counts == ["4", "1"]


def test_wherever_writing_is_killed_every_event_has_one_line(sessions: Sessions, tmp_path: Path) -> None:
    """Killed after each commit, and between the commits where the file is written."""
    for number in range(1, 9):
        killed, name = recorder(sessions, tmp_path), f"user{number}"
        entered(sessions, *[sign_in(f"{name}{letter}") for letter in "abc"])
        commits = iter(range(number - 1, -1, -1))

        def kill(_: Session, commits: Iterator[int] = commits) -> None:
            if next(commits, 1) == 0:
                raise Killed

        moment = "after_commit" if number % 2 else "before_commit"
        event.listen(sessions, moment, kill)
        with pytest.raises(Killed):
            record_for_ever(killed, sessions, name)
        event.remove(sessions, moment, kill)
        again = recorder(sessions, tmp_path)
        again.record()
        seen = [user for user in users(again.trail) if user.startswith(name) and not user.endswith("x")]
        assert seen == [f"{name}{letter}" for letter in "abc"]
        assert_whole(sessions, again)


def test_a_trail_that_was_cut_is_continued_behind_the_gap_and_says_so(
    sessions: Sessions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written = recorder(sessions, tmp_path)
    entered(sessions, *map(sign_in, ("a", "b", "c")))
    written.record()
    file = written.trail.files()[0]
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    again = recorder(sessions, tmp_path)
    again.record()
    assert "the audit trail was cut: its last line is 2, and 4 were written" in caplog.text
    assert [line.number for _, line in again.trail.lines() if line] == [1, 2, 5]
    with sessions() as session:
        assert "lines 3 to 4 are missing" in verify(again.trail, stored_head(session)).fault


def test_two_processes_that_write_at_the_same_time_write_each_event_once(sessions: Sessions, tmp_path: Path) -> None:
    """One was taken for dead, for example, when the database was away."""
    written = recorder(sessions, tmp_path)
    entered(sessions, *[sign_in(f"user{number}") for number in range(40)])
    with sessions.begin() as session:
        session.execute(update(AuditEvent).where(AuditEvent.id > 20).values(host="another"))
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda _: recorder(sessions, tmp_path).record(), range(4)))
    assert users(written.trail) == [f"user{number}" for number in range(40)]
    assert sum('AuditSourceID="another"' in line.message for _, line in written.trail.lines() if line) == 20
    assert_whole(sessions, written)
