"""No line of the audit trail can be changed, removed or moved without being named."""

from __future__ import annotations

from pathlib import Path

import pytest
from audit_messages import trail_in
from hypothesis import given
from hypothesis import strategies as st

from node.audit.trail import EMPTY, Head, Trail, TrailReader, Verified, verify

DAY = 86400.0
NOON = 1_800_014_400.0


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return trail_in(tmp_path / "audit")


def written(trail: Trail, lines: int, after: Head = EMPTY, at: float = NOON) -> Head:
    return trail.append([f"<85>1 message {after.lines + number + 1}" for number in range(lines)], after, at)


def rewritten(trail: Trail, lines: list[str]) -> None:
    trail.files()[0].write_text("".join(lines), encoding="utf-8")


def lines_of(trail: Trail) -> list[str]:
    return trail.files()[0].read_text(encoding="utf-8").splitlines(keepends=True)


def test_lines_of_several_days_follow_from_one_another_and_only_the_nodes_user_reads_them(trail: Trail) -> None:
    head = written(trail, 3)
    head = written(trail, 2, head, NOON + DAY)
    head = written(trail, 1, head, NOON)  # the clock was set back
    assert [file.name for file in trail.files()] == ["2027-01-15.log", "2027-01-16.log"]
    assert (head, verify(trail, head, {}).fault, trail.head()) == (verify(trail, head, {}).head, "", head)
    assert {file.stat().st_mode & 0o777 for file in trail.files()} == {0o600}
    assert trail.folder.stat().st_mode & 0o777 == 0o700


@given(line=st.integers(0, 9), place=st.integers(0, 89), letter=st.sampled_from("0aZ <\u00e9"))
def test_whatever_letter_is_changed_the_first_line_that_was_is_named(
    tmp_path_factory: pytest.TempPathFactory, line: int, place: int, letter: str
) -> None:
    trail = trail_in(tmp_path_factory.mktemp("trail") / "audit")
    head = written(trail, 10)
    lines = lines_of(trail)
    place %= len(lines[line]) - 1
    changed = lines[line][:place] + letter + lines[line][place + 1 :]
    rewritten(trail, [*lines[:line], changed, *lines[line + 1 :]])
    found = verify(trail, head, {})
    if changed == lines[line]:
        assert found.fault == ""
    else:
        assert found.head.lines == line
        assert f"line {line} " in found.fault or f"line {line + 1} " in found.fault


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: [*lines[:4], *lines[5:]], "line 5 is missing"),
        (lambda lines: [*lines[:4], *lines[7:]], "lines 5 to 7 are missing"),
        (lambda lines: lines[1:], "line 1 is missing"),
        (lambda lines: lines[:8], "lines 9 to 10, which the database knows, are missing: the trail was cut"),
        (lambda lines: [], "lines 1 to 10, which the database knows, are missing: the trail was cut"),
        (lambda lines: [*lines[:9], lines[9][:-5]], "what comes after line 9 is no line of a trail"),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "line 4 is missing"),
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], "lines were moved or put in twice"),
        (lambda lines: [*lines[:3], "nonsense\n", *lines[3:]], "what comes after line 3 is no line of a trail"),
    ],
)
def test_a_line_that_is_missing_cut_or_moved_is_named(trail: Trail, change, says: str) -> None:
    head = written(trail, 10)
    rewritten(trail, change(lines_of(trail)))
    assert says in verify(trail, head, {}).fault


def test_lines_that_were_all_written_anew_are_found_by_what_the_database_knows(trail: Trail, tmp_path: Path) -> None:
    head = written(trail, 5)
    forged = trail_in(tmp_path / "forged")
    forged.append([f"<85>1 another {number}" for number in range(5)], EMPTY, NOON)
    assert "line 5: the database knows another line of this number" in verify(forged, head, {}).fault


def test_lines_that_somebody_else_appended_in_a_right_chain_are_named(trail: Trail) -> None:
    head = written(trail, 5)
    written(trail, 3, head)
    assert "line 6: the database does not know it: somebody else wrote it" in verify(trail, head, {}).fault


def test_lines_that_a_kill_left_behind_what_the_database_knows_are_no_fault_and_others_are(trail: Trail) -> None:
    head = trail.append(["<85>1 <AuditMessage>a</AuditMessage>", "<85>1 <AuditMessage>b</AuditMessage>"], EMPTY, NOON)
    being_written = {1: "<AuditMessage>a</AuditMessage>", 2: "<AuditMessage>b</AuditMessage>"}
    assert verify(trail, EMPTY, being_written) == Verified(head)
    assert "line 2: the database does not know it" in verify(trail, EMPTY, {**being_written, 2: "another"}).fault


def test_lines_that_the_node_writes_while_it_is_verified_are_no_fault(trail: Trail) -> None:
    known = written(trail, 5)
    head = written(trail, 2, known)
    assert verify(trail, known, {}, until=5) == Verified(head)


def test_a_trail_whose_older_files_were_moved_away_is_verified_from_a_line_on(trail: Trail) -> None:
    head = written(trail, 3, written(trail, 5), NOON + DAY)
    trail.files()[0].unlink()
    assert "lines 1 to 5 are missing" in verify(trail, head, {}).fault
    assert verify(trail, head, {}, first_line=6).fault == ""


def test_a_line_that_a_kill_left_half_written_is_written_again_whole(trail: Trail) -> None:
    head = written(trail, 2)
    with trail.files()[0].open("a", encoding="utf-8") as file:
        file.write("3 abcdef <85>1 mess")
    assert trail.head() == head
    head = written(trail, 1, head)
    assert (verify(trail, head, {}).fault, head.lines) == ("", 3)


def test_lines_are_read_on_from_where_reading_ended_over_several_files(trail: Trail) -> None:
    head = written(trail, 3, written(trail, 4), NOON + DAY)
    reader = TrailReader(trail, read=2)
    assert [line.number for line in reader.next_lines(3, until=8)] == [3, 4, 5]
    assert [line.number for line in reader.next_lines(3, until=8)] == [3, 4, 5]
    reader.took(reader.next_lines(3, until=8))
    assert [line.number for line in reader.next_lines(9, until=8)] == [6, 7]
    reader.took(reader.next_lines(9, until=8))
    written(trail, 1, head, NOON + DAY)
    assert [line.number for line in reader.next_lines(9, until=8)] == [8]


def test_a_line_with_a_made_up_number_keeps_no_line_of_the_node_from_being_read(trail: Trail) -> None:
    head = written(trail, 2)
    with lines_file(trail).open("a") as file:
        file.write(f"{'9' * 18} {'0' * 64} x\n{'9' * 19} {'0' * 64} x\n")
    written(trail, 2, head)
    reader = TrailReader(trail, read=0)
    reader.took(reader.next_lines(3, until=4))
    assert [line.number for line in reader.next_lines(9, until=4)] == [4]


@pytest.mark.parametrize("length", [1, 70_000, 3_000_000])
def test_the_last_line_is_known_whatever_its_length_and_what_is_behind_it_is_written_anew(
    trail: Trail, length: int
) -> None:
    head = trail.append(["short", "x" * length], EMPTY, NOON)
    assert trail.head() == head
    with lines_file(trail).open("a") as file:
        file.write("3 " + "y" * length)
    assert trail.head() == head
    head = written(trail, 1, head)
    assert (verify(trail, head, {}).fault, head.lines) == ("", 3)


def test_a_file_that_is_moved_away_while_the_trail_is_read_is_left_out(trail: Trail) -> None:
    """The folder is read first, and then the files: here one of them is gone by then."""
    head = written(trail, 2)
    (trail.folder / "2031-01-01.log").symlink_to("moved-away")
    assert trail.head() == head
    assert [line.number for line in TrailReader(trail, read=0).next_lines(9, until=9)] == [1, 2]


def lines_file(trail: Trail) -> Path:
    return trail.files()[-1]
