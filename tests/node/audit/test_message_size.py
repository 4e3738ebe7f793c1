"""Whatever others send, every line of the audit trail is one that each syslog receiver takes (PS3.15 section A.6)."""

from __future__ import annotations

import re
import socket
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
from assessing import oru
from audit_messages import assert_valid, entered
from road import Road

from config.hl7 import Hl7
from dicom_io.audit.codes import EXPORT, INSTANCES_TRANSFERRED, SOURCE
from dicom_io.audit.message import Action, AuditedObject, AuditMessage, Participant, patient_object, study_object
from dicom_io.audit.size import MOST_OCTETS, clipped, fitting
from dicom_io.audit.syslog import SyslogReceiver
from node.assessments.hl7.intake import Hl7Intake
from node.audit.events import enter
from node.audit.recorder import Recorder
from node.audit.trail import Trail
from node.store.database import Sessions

pytestmark = pytest.mark.slow

NOON = 1_800_014_400.0
PROGRAM = Participant("PACS", roles=(SOURCE,), alternative="AETITLES=PACS", name="A PACS", address="192.0.2.1")
EXPORTED = AuditMessage(EXPORT, Action.READ, NOON, (PROGRAM, PROGRAM, PROGRAM), (patient_object("P1"),), why="because")
LONG = {"letters": "A" * 900_000, "markup": '<&>"' * 50_000, "others": "é\U0001f600\x00" * 50_000}


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "data")


def texts_of(kind: type) -> list[str]:
    return [one.name for one in fields(kind) if one.type == "str" and one.name not in ("type_code", "role")]


def overlong(text: str) -> Iterator[AuditMessage]:
    """Messages of which one has the text in one place each, and the last in all of them."""
    query = b64encode(text.encode()).decode()
    participants = [replace(PROGRAM, **{name: text}) for name in texts_of(Participant)]
    objects = [replace(EXPORTED.objects[0], **{name: text}) for name in texts_of(AuditedObject)]
    objects.append(replace(EXPORTED.objects[0], query=query))
    objects.append(replace(EXPORTED.objects[0], details=(("MSH-10", text), ("Alert Description", text))))
    objects.append(study_object("1.2", [(text, 1)]))
    yield from (replace(EXPORTED, participants=(one, PROGRAM)) for one in participants)
    yield from (replace(EXPORTED, objects=(one,)) for one in objects)
    yield replace(EXPORTED, why=text)
    everywhere = replace(PROGRAM, **dict.fromkeys(texts_of(Participant), text))
    yield replace(EXPORTED, participants=(everywhere,) * 3, objects=tuple(objects), why=text)


def lines_of(sessions: Sessions, folder: Path) -> list[str]:
    """What the trail has of the events that were entered."""
    trail = Trail(folder / "audit")
    Recorder(sessions, trail, "A hospital " * 100, lambda: NOON).record()
    return [line.message for _, line in trail.lines() if line]


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_whatever_text_is_too_long_the_line_can_be_taken_and_holds_against_the_schema(
    road: Road, tmp_path: Path, text: str
) -> None:
    with road.sessions.begin() as session:
        for message in overlong(text):
            enter(session, message)
    lines = lines_of(road.sessions, tmp_path)
    assert max(map(len, lines)) <= MOST_OCTETS
    assert_valid([line[line.index("<AuditMessage") :] for line in lines], tmp_path)


def test_a_text_that_is_too_long_is_known_by_its_beginning_its_length_and_its_digest() -> None:
    one, other = (clipped(replace(EXPORTED, why="W" * 9_000 + last)).why for last in "ab")
    assert one.startswith("WWWW")
    assert "9001 in all, SHA-256" in one
    assert one != other
    assert clipped(replace(EXPORTED, why=one)).why == one
    assert clipped(EXPORTED) == EXPORTED


def test_an_event_about_thousands_of_objects_names_every_one_of_them_in_several_lines(
    road: Road, tmp_path: Path
) -> None:
    about = [study_object(f"1.2.{number}", [(f"1.3.{number}", 2)]) for number in range(2000)]
    about += [patient_object(f"P{number}") for number in range(2000)]
    about.append(study_object("1.4", [(f"1.2.840.10008.5.1.4.1.1.{number}", 3) for number in range(2000)]))
    with road.sessions.begin() as session:
        enter(session, replace(EXPORTED, objects=tuple(about)))
    lines = lines_of(road.sessions, tmp_path)
    assert max(map(len, lines)) <= MOST_OCTETS
    named = {found for line in lines for found in re.findall('ParticipantObjectID="([^"]*)"', line)}
    assert {one.id for one in about} <= named
    counted = Counter(found for line in lines for found in re.findall('<SOPClass UID="([^"]*)"', line))
    assert set(counted.values()) == {1}
    assert len(counted) == 4000


def test_images_of_very_many_sop_classes_that_came_together_are_several_lines(road: Road, tmp_path: Path) -> None:
    with road.sessions.begin() as session:
        for number in range(450):
            about = study_object("1.2", [(f"1.2.840.10008.5.1.4.1.1.{'9' * 30}.{number}", 1)]), patient_object("P1")
            enter(session, AuditMessage(INSTANCES_TRANSFERRED, Action.CREATE, NOON, (PROGRAM,), about))
    lines = lines_of(road.sessions, tmp_path)
    assert max(map(len, lines)) <= MOST_OCTETS
    assert sum(line.count("<SOPClass") for line in lines) == 450
    assert len(lines) < 20


@pytest.mark.parametrize(("field", "name"), [(2, "MSH-3"), (3, "MSH-4"), (4, "MSH-5"), (5, "MSH-6"), (9, "MSH-10")])
def test_an_hl7_message_with_a_name_that_is_too_long_is_refused_and_its_trail_is_short(
    road: Road, tmp_path: Path, caplog: pytest.LogCaptureFixture, field: int, name: str
) -> None:
    header, _, rest = oru("BI-RADS 4 left. BI-RADS 2 right.").partition(b"\r")
    parts = header.split(b"|")
    parts[field] = b"A" * 300
    answer = Hl7Intake(road.sessions, road.data_dir, Hl7(), road.clock).answer(
        b"|".join(parts) + b"\r" + rest, "127.0.0.1"
    )
    assert b"MSA|AE|" in answer
    assert f"{name} is longer than" in caplog.text
    assert all(len(one.participants[0].user) < 600 for one in entered(road.sessions))


def test_a_line_that_is_too_long_for_udp_is_sent_shortened_and_those_behind_it_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Lines of an earlier version may be so long."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        receiver = SyslogReceiver("127.0.0.1", server.getsockname()[1])
        receiver.send(["<85>1 first", "<85>1 " + "x" * 70_000, "<85>1 last"])
        received = [server.recv(1 << 16) for _ in range(3)]
    assert (received[0], received[2]) == (b"<85>1 first", b"<85>1 last")
    assert received[1].startswith(b"<85>1 xxxx")
    assert "is too long for UDP" in caplog.text


def test_no_event_is_changed_or_split_that_fits() -> None:
    assert fitting(EXPORTED) == [EXPORTED]
