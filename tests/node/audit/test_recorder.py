"""Every event has one line, in order, also if the node is killed while it is written."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from audit_messages import assert_valid
from sqlalchemy import event, func, select, update
from sqlalchemy.orm import Session

from dicom_io.audit.codes import INSTANCES_TRANSFERRED, USER_AUTHENTICATION
from dicom_io.audit.message import Action, AuditMessage, AuditSource, Participant, patient_object, study_object
from dicom_io.audit.syslog import syslog_message
from node.audit.events import enter
from node.audit.recorder import Recorder, lines_being_written, stored_head
from node.audit.trail import EMPTY, Head, Trail, TrailReader, verify
from node.store.database import Sessions, open_database, sessions_of
from node.store.tables import AuditEvent, AuditTrail

pytestmark = pytest.mark.slow

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
    assert fault(sessions, written.trail) == ""


def fault(sessions: Sessions, trail: Trail) -> str:
    with sessions() as session:
        return verify(trail, stored_head(session), lines_being_written(session, "A hospital")).fault


def forge(trail: Trail, *users: str, after: Head | None = None) -> None:
    """Appends lines as the node writes them, or writes all anew."""
    if after == EMPTY:
        trail.files()[0].unlink()
    head = after or trail.head() or EMPTY
    xml = [sign_in(user).xml(AuditSource("node", "A hospital")) for user in users]
    numbered = enumerate(xml, head.lines + 1)
    lines = [syslog_message(one, at=NOON, host="node", process=1, number=number) for number, one in numbered]
    trail.append(lines, head, NOON)


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
    assert "lines 3 to 4 are missing" in fault(sessions, again.trail)


def test_lines_that_somebody_else_appended_stay_a_fault_when_the_node_writes_on_and_are_in_its_trail(
    sessions: Sessions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written = recorder(sessions, tmp_path)
    entered(sessions, sign_in("a"))
    written.record()
    forge(written.trail, "x", "y", "z")
    assert "line 3: the database does not know it" in fault(sessions, written.trail)
    entered(sessions, sign_in("b"))
    written.record()
    assert "the audit trail was changed, or the database is an older one: the node wrote 2 lines" in caplog.text
    assert "line 6 does not follow from the one before" in fault(sessions, written.trail)
    entered(sessions, sign_in("c"))
    written.record()
    assert "line 6 does not follow from the one before" in fault(sessions, written.trail)
    assert users(written.trail) == ["a", "x", "y", "z", "b", "c"]
    lines = [line.message for _, line in written.trail.lines() if line]
    says = b64encode(b"the audit trail was changed: the node wrote 2 lines, and there are more, up to line 5").decode()
    assert sum(says in line for line in lines) == 1
    assert caplog.text.count("the audit trail was changed") == 1


@pytest.mark.parametrize("moved_away", [True, False])
def test_after_an_older_database_was_restored_the_trail_goes_on_if_its_files_were_moved_away(
    sessions: Sessions, tmp_path: Path, caplog: pytest.LogCaptureFixture, moved_away: bool
) -> None:
    written = recorder(sessions, tmp_path)
    entered(sessions, *map(sign_in, ("a", "b")))
    written.record()
    with sessions.begin() as session:
        backup = stored_head(session)
    entered(sessions, sign_in("c"))
    written.record()
    with sessions.begin() as session:  # what docs/backup.md restores
        session.execute(update(AuditTrail).values(lines=backup.lines, digest=backup.digest))
    if moved_away:
        for file in (tmp_path / "audit").glob("*.log"):
            file.rename(tmp_path / file.name)
    entered(sessions, sign_in("d"))
    written.record()
    assert ("the audit trail was changed, or the database is an older one" in caplog.text) is not moved_away
    with sessions.begin() as session:
        known = stored_head(session)
    found = verify(written.trail, known, {}, first_line=backup.lines + 1)
    assert bool(found.fault) is not moved_away


def test_a_trail_that_was_written_anew_stays_a_fault_when_the_node_writes_on(
    sessions: Sessions, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written = recorder(sessions, tmp_path)
    entered(sessions, *map(sign_in, ("a", "b")))
    written.record()
    forge(written.trail, "x", "y", "z", after=EMPTY)
    entered(sessions, sign_in("c"))
    written.record()
    assert "line 3 is another than the node wrote" in caplog.text
    assert "line 4 does not follow from the one before" in fault(sessions, written.trail)


@pytest.mark.parametrize("lines", range(4))
def test_no_event_is_lost_to_a_line_that_somebody_else_gave_its_number_while_the_node_was_killed(
    sessions: Sessions, tmp_path: Path, caplog: pytest.LogCaptureFixture, lines: int
) -> None:
    """Killed after the events got their numbers, with so many of the lines written."""
    killed = recorder(sessions, tmp_path)
    killed.record()
    entered(sessions, *map(sign_in, ("a", "b", "c")))
    file = killed.trail.files()[0]
    before = file.read_text()

    def kill(_: Session) -> None:
        if file.read_text() != before:
            raise Killed

    event.listen(sessions, "before_commit", kill)
    with pytest.raises(Killed):
        killed.record()
    event.remove(sessions, "before_commit", kill)
    file.write_text("".join(file.read_text().splitlines(keepends=True)[: 1 + lines]))
    forge(killed.trail, "x")
    again = recorder(sessions, tmp_path)
    again.record()
    assert sorted(users(again.trail)) == ["a", "b", "c", "x"]
    assert "there are more, up to line" in caplog.text
    assert "does not follow from the one before" in fault(sessions, again.trail)
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(AuditEvent)) == 0


@pytest.mark.parametrize(
    "line",
    [
        *(f"{number} {'0' * 64} x".encode() for number in ("9" * 5000, "9" * 25, "9" * 19, "9" * 18, "9999999999")),
        b"no line of a trail",
        b"\xff\xfe\x00",
        b"",
    ],
    ids=["5000 digits", "25 digits", "19 digits", "18 digits", "10 digits", "words", "bytes", "empty"],
)
def test_whatever_line_somebody_appends_the_trail_goes_on_and_tells_of_it(
    sessions: Sessions, tmp_path: Path, caplog: pytest.LogCaptureFixture, line: bytes
) -> None:
    written = recorder(sessions, tmp_path)
    entered(sessions, sign_in("a"))
    written.record()
    with written.trail.files()[0].open("ab") as file:
        file.write(line + b"\n")
    again = recorder(sessions, tmp_path)  # the node starts again
    entered(sessions, sign_in("b"))
    again.record()
    assert caplog.text.count("the audit trail was changed") == 1
    assert users(again.trail) == ["a", "b"]
    own = [line.number for _, line in again.trail.lines() if line and "<AuditMessage" in line.message]
    assert own == [1, 2, 3, 4, 5]  # with two starts, and the alert
    assert "the audit trail was changed" in alerts(again.trail)
    assert fault(sessions, again.trail)
    assert [line.number for line in TrailReader(again.trail, 0).next_lines(9, until=5)] == own


def alerts(trail: Trail) -> str:
    texts = (re.findall('type="Alert Description" value="([^"]*)"', line.message) for _, line in trail.lines() if line)
    return " ".join(b64decode(text).decode() for found in texts for text in found)


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
