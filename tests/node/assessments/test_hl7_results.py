"""HL7 messages: what is entered and answered; nothing is lost or guessed."""

from __future__ import annotations

import logging
import random
import re
import stat

import hl7
import pytest
from assessing import assessments, category_row, oru, side_and_category, text_row
from audit_messages import entered
from road import Road
from sqlalchemy import text

from config.hl7 import Hl7
from node.assessments.hl7.intake import Hl7Intake
from node.audit.refusals import Refusals

pytestmark = pytest.mark.slow

HERE = "127.0.0.1"


def answered(intake: Hl7Intake, block: bytes, host: str = HERE) -> tuple[str, str, str]:
    """Code, control ID and text of the acknowledgement."""
    message = hl7.parse(intake.answer(block, host).decode())
    msa = message.segment("MSA")
    return str(msa[1]), str(msa[2]), str(msa[3])


def with_settings(intake: Hl7Intake, **settings: object) -> Hl7Intake:
    return Hl7Intake(intake.sessions, intake.data_dir, Hl7(**settings), intake.now)


def test_a_category_in_the_text_of_a_report_is_entered_and_accepted(intake: Hl7Intake, road: Road) -> None:
    block = oru("Clinical history: screening.", "IMPRESSION: BI-RADS", "category 4A, left.", accession="A1")
    assert answered(intake, block) == ("AA", "M1", "")
    (assessment,) = assessments(road)
    assert (assessment.laterality, assessment.category, assessment.source) == ("L", "4A", "HL7")
    assert (assessment.study_instance_uid, assessment.accession_number, assessment.patient_id) == ("1.2.3", "A1", "ONE")
    assert assessment.assessed_at == 1772370000.0  # MSH-7, where OBR-22 and OBX-14 are empty


def test_the_acknowledgement_is_addressed_to_its_sender(intake: Hl7Intake) -> None:
    message = hl7.parse(intake.answer(oru("BI-RADS 2", control_id="XYZ"), HERE).decode())
    msh = message.segment("MSH")
    assert [str(msh[field]) for field in (3, 4, 5, 6, 9, 11, 12)] == [
        "MAMMO_NODE", "", "RIS", "HOSPITAL", "ACK^R01^ACK", "P", "2.5.1",
    ]  # fmt: skip
    assert str(msh[10])


BENIGN, SUSPICIOUS = "397141009^Benign^SCT", "397144001^Suspicious^SCT"
BOTH_IN_WORDS = "Right breast: BI-RADS 4. Left breast: BI-RADS 2."
AGREEING: dict[str, tuple[tuple[str, ...], list[tuple[str | None, str]]]] = {
    "no category in words": ((category_row(BENIGN), "Unremarkable."), [(None, "2")]),
    "the exam's": ((category_row(BENIGN), "Impression: BI-RADS 2"), [(None, "2")]),
    "a breast's": ((category_row(BENIGN, "L"), "Left breast: scar. BI-RADS 2."), [("L", "2")]),
    "both breasts'": ((category_row(SUSPICIOUS, "R"), category_row("2", "L"), BOTH_IN_WORDS), [("R", "4"), ("L", "2")]),
    "the exam's beside the text's breasts": (
        (category_row(SUSPICIOUS), BOTH_IN_WORDS),
        [(None, "4"), ("R", "4"), ("L", "2")],
    ),
    "the text's exam beside breasts": (
        (category_row(SUSPICIOUS, "R"), category_row("2", "L"), "Impression: BI-RADS 4"),
        [("R", "4"), ("L", "2"), (None, "4")],
    ),
}


@pytest.mark.parametrize(("rows", "meant"), AGREEING.values(), ids=AGREEING.keys())
def test_a_coded_category_and_a_text_that_say_the_same_are_entered_once(
    intake: Hl7Intake, road: Road, rows: tuple[str, ...], meant: list[tuple[str | None, str]]
) -> None:
    assert answered(intake, oru(*rows))[0] == "AA"
    assert side_and_category(assessments(road)) == meant


CONTRADICTING = {
    "exam and exam": (category_row(BENIGN), "Impression: BI-RADS 5"),
    "breasts and another of the exam": (
        category_row(SUSPICIOUS, "L"),
        category_row("2", "RB^Right breast"),
        "BI-RADS 5",
    ),
    "exam less than the text's breasts": (category_row(BENIGN), BOTH_IN_WORDS),
    "exam more than the text's breasts": (category_row("5"), BOTH_IN_WORDS),
    "a breast alone and both": (category_row(BENIGN, "L"), "Right breast: BI-RADS 5. Left breast: BI-RADS 2."),
    "a breast and the other": (category_row(BENIGN, "L"), "Right breast: BI-RADS 2."),
    "a breast and itself": (category_row(BENIGN, "L"), "Left breast: BI-RADS 4."),
    "no category that is read": (category_row(BENIGN), "BI-RADS see below"),
}


@pytest.mark.parametrize("rows", CONTRADICTING.values(), ids=CONTRADICTING.keys())
def test_a_coded_category_and_a_text_that_do_not_say_the_same_are_refused(
    intake: Hl7Intake, road: Road, rows: tuple[str, ...]
) -> None:
    assert answered(intake, oru(*rows))[0] == "AE"
    assert assessments(road) == []


def test_a_code_is_read_by_its_coding_system(intake: Hl7Intake, road: Road) -> None:
    assert answered(intake, oru(category_row("II.AC.b.4^Suspicious^BI")))[0] == "AA"
    assert side_and_category(assessments(road)) == [(None, "4")]


def test_laterality_is_read_from_a_row_with_the_same_sub_id(intake: Hl7Intake, road: Road) -> None:
    rows = [category_row("4B", sub_id="1"), "CWE|272741003^Laterality^SCT|1|R||||||F"]
    rows += [category_row("1", sub_id="2"), "CWE|272741003^Laterality^SCT|2|L||||||F"]
    answered(intake, oru(*rows))
    assert side_and_category(assessments(road)) == [("R", "4B"), ("L", "1")]


def test_the_fields_of_messages_are_settings(intake: Hl7Intake, road: Road) -> None:
    own = with_settings(intake, category=["OBX(BIRADS)-5"], accession_number=["ZBR-2"], study_instance_uid=["ZBR-9"])
    block = oru("ST|BIRADS^BI-RADS||3||||||F", zds="ZBR|x|A77")
    assert answered(own, block)[0] == "AA"
    (assessment,) = assessments(road)
    assert (assessment.category, assessment.accession_number, assessment.study_instance_uid) == ("3", "A77", "")


def test_a_message_sent_twice_is_accepted_twice_and_entered_once(intake: Hl7Intake, road: Road) -> None:
    for _ in range(3):
        assert answered(intake, oru("BI-RADS 2"))[0] == "AA"
    assert side_and_category(assessments(road)) == [(None, "2")]


def test_a_control_id_used_again_for_another_message_does_not_make_it_a_duplicate(
    intake: Hl7Intake, road: Road
) -> None:
    answered(intake, oru("BI-RADS 2"))
    answered(intake, oru("BI-RADS 4"))
    assert side_and_category(assessments(road)) == [(None, "2"), (None, "4")]


@pytest.mark.parametrize("status", ["P", "R", "I", ""])
def test_a_preliminary_result_is_stored_and_not_used(intake: Hl7Intake, road: Road, status: str) -> None:
    block = oru(text_row("BI-RADS 4", status), obr="OBR|1|P1||MAMMO")
    code, _, note = answered(intake, block)
    assert (code, note) == ("AA", "a preliminary result: not used before it is final")
    assert assessments(road) == []


def test_a_result_without_a_status_has_that_of_its_order(intake: Hl7Intake, road: Road) -> None:
    answered(intake, oru(text_row("BI-RADS 4", "")))
    assert side_and_category(assessments(road)) == [(None, "4")]


def test_a_report_on_another_examination_is_accepted_and_not_entered(intake: Hl7Intake, road: Road) -> None:
    code, _, note = answered(intake, oru("Chest: no infiltrate."))
    assert (code, note) == ("AA", "no BI-RADS category in it: nothing to enter")
    assert not (road.data_dir / "hl7-refused").exists()


def test_several_orders_of_a_message_are_distinguished(intake: Hl7Intake, road: Road) -> None:
    first = oru("BI-RADS 2", study="", accession="A1", zds="ORC|RE").decode()
    second = "OBR|2|P2|A2|MAMMO|||||||||||||||||||||F|||||||7^Rita\rOBX|1|TX|x||BI-RADS 4||||||F\r"
    assert answered(intake, (first + second).encode())[0] == "AA"
    assert [(assessment.accession_number, assessment.category) for assessment in assessments(road)] == [
        ("A1", "2"),
        ("A2", "4"),
    ]


def test_text_is_read_in_the_character_set_of_the_sender(intake: Hl7Intake, road: Road) -> None:
    german = oru("Brüste unauffällig, BI-RADS 1 bds.").decode()
    named = german.replace("|P|2.5.1", "|P|2.5.1||||||8859/1").encode("latin-1")
    assert answered(intake, named)[0] == "AA"
    code, _, note = answered(intake, german.encode("latin-1"))
    assert (code, "hl7.charset" in note) == ("AE", True)
    assert answered(with_settings(intake, charset="iso8859-1"), german.encode("latin-1"))[0] == "AA"
    assert side_and_category(assessments(road)) == [("L", "1"), ("R", "1")]


def test_escapes_and_line_ends_are_read_as_hl7_defines_and_as_some_senders_write_them(
    intake: Hl7Intake, road: Road
) -> None:
    block = oru("FT|x||Left \\T\\ right\\.br\\BI-RADS 2\\.br\\||||||F").replace(b"\r", b"\r\n")
    assert answered(intake, block)[0] == "AA"
    assert side_and_category(assessments(road)) == [(None, "2")]


UNUSABLE = {
    "range": (oru("BI-RADS 2-3"), "range"),
    "no category": (oru("BI-RADS not given"), "no category that can be read"),
    "category in an unknown place": (oru("CWE|BIRADS^BI-RADS||4^Suspicious||||||F"), "hl7.category"),
    "code that looks like a number": (oru(category_row("II.AC.b.4")), "none that is known"),
    "unknown coding system": (oru(category_row("4^Suspicious^99RIS")), "none that is known"),
    "code and text apart": (oru(category_row("4^5 - Highly suggestive")), "none that is known"),
    "more than a category": (oru(category_row("3 to 4")), "none that is known"),
    "two for one breast": (oru("BI-RADS 2 left.", "BI-RADS 4 left."), "several"),
    "unknown code": (oru(category_row("X9")), "none that is known"),
    "unknown side": (oru(category_row("4", "up")), "laterality"),
    "unknown side in words": (oru(category_row("4", "^up")), "laterality"),
    "unknown side of a local system": (oru(category_row("4", "up^^L")), "laterality"),
    "equipment": (oru(category_row("4", "L").replace("|||||||||L", "|||||||AI-1||L")), "equipment"),
    "nobody": (oru("BI-RADS 2", obr="OBR|1|P1|A1|MAMMO|||||||||||||||||||||F"), "person"),
    "no study": (oru("BI-RADS 2", study=""), "no study"),
    "taken back": (oru(text_row("BI-RADS 2", "D")), "takes a result back"),
    "no message": (b"GET / HTTP/1.1\r\n\r\n", "MSH"),
    "empty": (b"", "MSH"),
    "unknown charset": (oru("BI-RADS 2", msh="MSH|^~\\&|RIS||||||ORU^R01|M1|P|2.5||||||KLINGON"), "character set"),
}


@pytest.mark.parametrize(("block", "why"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_message_is_answered_with_a_reason_and_stored_for_support(
    intake: Hl7Intake, road: Road, block: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        code, control_id, note = answered(intake, block)
        answered(intake, block)
    assert (code, control_id) == ("AE", "M1" if block.startswith(b"MSH") and "character" not in why else "")
    assert why in note
    assert assessments(road) == []
    (kept,) = (road.data_dir / "hl7-refused").iterdir()
    assert kept.read_bytes() == block
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert f"hl7-refused/{kept.name}" in caplog.text
    assert not [secret for secret in ("ONE", "Name", "1.2.3", "Rita") if secret in caplog.text]


def test_only_the_character_sets_of_hl7_are_accepted(intake: Hl7Intake, road: Road) -> None:
    header = "MSH|^~\\&|RIS||||||ORU^R01|M1|P|2.5||||||"
    for name in ("ROT13", "BASE64", "IDNA", "UTF-7", "PUNYCODE", "\x00", "../etc", "raw_unicode_escape", "ZIP"):
        code, _, why = answered(intake, oru("BI-RADS 2", msh=header + name))
        assert (code, "character set" in why) == ("AE", True)
    assert len(list((road.data_dir / "hl7-refused").iterdir())) == 9
    for name in ("ASCII", "8859/15", "UNICODE UTF-8", "GB 18030-2000"):
        assert answered(intake, oru("BI-RADS 2", msh=header + name))[0] == "AA"


def test_the_acknowledgement_uses_the_separators_of_its_sender(intake: Hl7Intake) -> None:
    answer = intake.answer(oru("BI-RADS 2-3").translate(bytes.maketrans(b"|^~\\&", b"#*@!(")), HERE)
    assert answer.startswith(b"MSH#*@!(#MAMMO_NODE##RIS#HOSPITAL#")
    assert b"ACK*R01*ACK" in answer
    assert b"MSA#AE#M1#" in answer
    assert str(hl7.parse(answer.decode()).segment("ERR")[3]) == "207*Application error*HL70357"


def test_only_the_newest_refused_messages_are_kept(
    intake: Hl7Intake, road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.assessments.hl7.intake.MOST_REFUSED", 3)
    for number in range(5):
        intake.answer(oru("BI-RADS 2-3", control_id=f"M{number}"), HERE)
    kept = [path.read_bytes() for path in (road.data_dir / "hl7-refused").iterdir()]
    assert sorted(kept) == [oru("BI-RADS 2-3", control_id=f"M{number}") for number in (2, 3, 4)]


@pytest.mark.parametrize("side", ["^Left", "^^^^Left", "LB^Left breast", "^^L^L"])
def test_laterality_in_words_alone_is_read(intake: Hl7Intake, road: Road, side: str) -> None:
    assert answered(intake, oru(category_row("4", side)))[0] == "AA"
    assert side_and_category(assessments(road)) == [("L", "4")]


REJECTED = {
    "another type": (oru("BI-RADS 2", msh="MSH|^~\\&|RIS||||||ADT^A08|M1|P|2.5"), HERE, "only ORU R01 messages"),
    "for training": (oru("BI-RADS 2", msh="MSH|^~\\&|RIS||||||ORU^R01|M1|T|2.5"), HERE, "production"),
    "from elsewhere": (oru("BI-RADS 2"), "192.0.2.7", "hl7.sender_hosts"),
    "by somebody else": (oru("BI-RADS 2", msh="MSH|^~\\&|AI||||||ORU^R01|M1|P|2.5"), HERE, "hl7.sender_applications"),
}


@pytest.mark.parametrize(("block", "host", "why"), REJECTED.values(), ids=REJECTED.keys())
def test_a_message_that_the_node_does_not_accept_is_rejected_and_not_stored(
    intake: Hl7Intake, road: Road, block: bytes, host: str, why: str
) -> None:
    code, control_id, note = answered(with_settings(intake, sender_applications=["RIS"]), block, host)
    assert (code, control_id) == ("AR", "M1")
    assert why in note
    assert assessments(road) == []
    assert not (road.data_dir / "hl7-refused").exists()


REFUSED = {**{name: (block, HERE, why) for name, (block, why) in UNUSABLE.items()}, **REJECTED}


@pytest.mark.parametrize(("block", "host", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_a_message_that_is_refused_is_in_the_audit_trail_with_its_address_and_the_reason_and_no_patient(
    road: Road, block: bytes, host: str, why: str
) -> None:
    refusals = Refusals(road.clock)
    settings = Hl7(sender_applications=["RIS"])
    intake = Hl7Intake(road.sessions, road.data_dir, settings, road.clock, tell_refused=refusals.note)
    intake.answer(block, host)
    intake.answer(block, host)
    refusals.enter_due(road.sessions)
    (event,) = entered(road.sessions)
    (about,) = event.objects
    (detail,) = about.details
    assert about.id == host
    assert why in detail[1]
    assert "(2 refusals)" in detail[1]
    assert not [secret for secret in ("ONE", "Name", "1.2.3", "Rita") if secret in detail[1]]


def test_without_a_required_responsible_observer_a_result_is_accepted_from_its_sender(
    intake: Hl7Intake, road: Road
) -> None:
    block, _ = UNUSABLE["nobody"]
    assert answered(with_settings(intake, observer=[]), block)[0] == "AA"
    assert side_and_category(assessments(road)) == [(None, "2")]


def test_a_message_is_not_accepted_if_the_database_fails(intake: Hl7Intake, road: Road) -> None:
    with road.sessions.begin() as session:
        session.execute(text("DROP TABLE assessment"))
    code, _, why = answered(intake, oru("BI-RADS 2"))
    assert (code, "send again" in why) == ("AE", True)


def test_every_damaged_message_is_answered(intake: Hl7Intake) -> None:
    chance = random.Random(7)
    whole = oru("BI-RADS 4A left", category_row("397144001^x^SCT", "L"), accession="A1")
    for _ in range(600):
        damaged = bytearray(whole[: chance.randrange(1, len(whole) + 1)])
        for _ in range(chance.randrange(6)):
            damaged[chance.randrange(len(damaged))] = chance.choice(b"|^~\\&\r\n\0M4\xff")
        assert re.match(rb"MSH\|\^~\\", intake.answer(bytes(damaged), HERE))
