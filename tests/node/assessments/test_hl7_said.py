"""How an HL7 message is read: escapes, codes, rows. What is not read is refused, never lost."""

from __future__ import annotations

import pytest
from assessing import assessments, category_row, oru, side_and_category, text_row
from road import Road

from node.assessments.hl7.intake import Hl7Intake

pytestmark = pytest.mark.slow

LATERALITY = "CWE|272741003^Laterality^SCT|{sub_id}|24028007^Right^SCT|||||"
LEFT_AND_RIGHT = [("R", "2"), ("L", "4")]

ESCAPED = {
    # hexadecimal data (section 2.7.7): of any length, capital or not, several in a row
    r"Right breast: BI-RADS 2\X0D\\X0A\Left breast: BI-RADS 4": LEFT_AND_RIGHT,
    r"Right breast: BI-RADS 2\X000d\Left breast: BI-RADS 4": LEFT_AND_RIGHT,
    r"Right breast: BI-RADS 2\X0D0A\Left breast: BI-RADS 4": LEFT_AND_RIGHT,
    r"Right breast: BI-RADS 2\x0d\\x0A\Left breast: BI-RADS 4": LEFT_AND_RIGHT,
    r"Right breast: BI-RADS 2\Xd\Left breast: BI-RADS 4": LEFT_AND_RIGHT,
    r"Right breast:\X0D0A\mass. BI-RADS 4": [("R", "4")],
    r"right\X09\BI-RADS \X34\, left BI-RADS\XC2A0\2": [("R", "4"), ("L", "2")],
    r"BI\XE28091\RADS 4 right": [("R", "4")],
    r"BI\XE2\\X80\\X91\RADS 4 right": [("R", "4")],
    # formatting commands (section 2.7.6)
    r"Right breast: BI-RADS 2\.BR\Left breast: BI-RADS 4": LEFT_AND_RIGHT,
    r"Right breast: BI-RADS 2.\.sp+2\Left breast: BI-RADS 4": LEFT_AND_RIGHT,
    r"Right breast: BI-RADS 2\.in+4\\.ti-4\Left breast: BI-RADS 4": LEFT_AND_RIGHT,
    r"right\.sk2\BI-RADS 2,\.SK 3\left BI-RADS 4": LEFT_AND_RIGHT,
    r"BI-RADS \H\4\N\ right": [("R", "4")],
    # an escape character that begins no sequence is kept
    r"CC views w\o magnification. Right breast: BI-RADS 5.\.br\Left breast: BI-RADS 2": [("R", "5"), ("L", "2")],
    r"C:\tmp\x. BI-RADS 5 right": [("R", "5")],
    "BI-RADS 4 right \\": [("R", "4")],
    r"BI-RADS 4 right \.br": [("R", "4")],
    r"R: BI-RADS 2\E\.br\E\L: BI-RADS 4": LEFT_AND_RIGHT,
}


@pytest.mark.parametrize(("text", "meant"), ESCAPED.items())
def test_escape_sequences_are_read_as_the_standard_defines(
    intake: Hl7Intake, road: Road, text: str, meant: list[tuple[str, str]]
) -> None:
    assert b"MSA|AA" in intake.answer(oru(text), "127.0.0.1")
    assert side_and_category(assessments(road)) == meant


def test_a_hexadecimal_escape_is_read_in_the_character_set_of_the_message(intake: Hl7Intake, road: Road) -> None:
    block = oru(r"Linke Br\XFC\ste: BI-RADS 2", msh="MSH|^~\\&|RIS||||||ORU^R01|M1|P|2.5||||||8859/1")
    assert b"MSA|AA" in intake.answer(block, "127.0.0.1")
    block = oru(r"BI-RADS 4\XFC\ left")  # no character of UTF-8: the text is unknown
    assert b"MSA|AE" in intake.answer(block, "127.0.0.1")


CODED = {
    "alternate in OBX-5": (
        "CWE|111005^Assessment Category^DCM||4^Suspekt^99LOCAL^397144001^Suspicious^SCT||||||F",
        "4",
    ),
    "only alternate": ("CE|111005^Assessment Category^DCM||^^^397144001^Suspicious^SCT||||||F", "4"),
    "second alternate": ("CWE|111005^x^DCM||a^b^c^d^e^f^^^^397144001^Suspicious^SCT||||||F", "4"),
    "alternate in OBX-3": ("CWE|BIRADS^Kategorie^99LOCAL^111005^Assessment Category^DCM||397144001^x^SCT||||||F", "4"),
    "category 6": ("CWE|111005^Assessment Category^DCM||6111000179101^Category 6^SCT||||||F", "6"),
    "category 4A": ("CWE|111005^Assessment Category^DCM||6121000179106^Category 4A^SCT||||||F", "4A"),
    "category 4C": ("CWE|111005^Assessment Category^DCM||6141000179100^Category 4C^SNOMED-CT||||||F", "4C"),
    "a structured number": ("SN|111005^Assessment Category^DCM||^4||||||F", "4"),
    "a text": ("ST|111005^Assessment Category^DCM||4||||||F", "4"),
    "a number": ("NM|111005^Assessment Category^DCM||4||||||F", "4"),
    "repeated alike": ("CWE|111005^x^DCM||397144001^Suspicious^SCT~4||||||F", "4"),
}


@pytest.mark.parametrize(("row", "category"), CODED.values(), ids=CODED.keys())
def test_alternate_codes_and_those_of_national_extensions_are_read(
    intake: Hl7Intake, road: Road, row: str, category: str
) -> None:
    assert b"MSA|AA" in intake.answer(oru(row), "127.0.0.1")
    assert side_and_category(assessments(road)) == [(None, category)]


REFUSED = {
    "codes that do not agree": category_row("4^x^99LOCAL^397144001^Suspicious^SCT~397141009^Benign^SCT"),
    "alternate that does not agree": category_row("397144001^Suspicious^SCT^397141009^Benign^SCT"),
    "text that does not agree": category_row("4^BI-RADS 2^99LOCAL^397144001^Suspicious^SCT"),
    "extension code that is not known": category_row("9991000179101^BI-RADS 4^SCT"),
    "sides that do not agree": category_row("4", "L~R"),
    "side and its text": category_row("4", "L^Right"),
    "side and the row's name": category_row("4", "L").replace("Assessment Category", "Assessment right breast"),
    "a range of numbers": "SN|111005^Assessment Category^DCM||^3^-^4||||||F",
    "more than a number": "SN|111005^Assessment Category^DCM||>^3||||||F",
    "at least a number": "SN|111005^Assessment Category^DCM||>=^3||||||F",
    "a number and more": "SN|111005^Assessment Category^DCM||^3^+||||||F",
    "a number, and less": "SN|111005^Assessment Category^DCM||^3~<^3||||||F",
    "a range with one end": "NR|111005^Assessment Category^DCM||3^||||||F",
    "a side in a row without sub-ID": category_row("4") + f"\rOBX|2|{LATERALITY.format(sub_id='')}|F",
    "a side in a row with another sub-ID": category_row("4", sub_id="1.1")
    + f"\rOBX|2|{LATERALITY.format(sub_id='1.2')}|F",
    "a side in a preliminary row": category_row("4", sub_id="1") + f"\rOBX|2|{LATERALITY.format(sub_id='1')}|P",
    "a side in a row with a code of its own": category_row("4") + "\rOBX|2|CWE|S^Side^L||R^Right^L||||||F",
    "a side in a text of its own beside a code": category_row("4") + "\rOBX|2|ST|SIDE^Side^L||Left||||||F",
    "a code beside a category without its name": category_row("2") + "\rOBX|2|" + text_row("Assessment category: 4"),
    "a side beside a text": text_row("BI-RADS 4") + "|||||||||L",
    "a side in a row beside a text": text_row("BI-RADS 4") + f"\rOBX|2|{LATERALITY.format(sub_id='')}|F",
    "a side in the value that does not agree": category_row("4^BI-RADS 4 right breast^99LOCAL", "L"),
    "several sides in the value": category_row("397144001^BI-RADS 4 right or left^SCT"),
    "words of doubt in the value": "ST|111005^x^DCM||4 - R/O carcinoma||||||F",
    "a letter for the name of a row": "TX|R^^L||BI-RADS 2||||||F",
    "the other breast under the name of a row": "TX|LB^Left breast^L||Right breast: BI-RADS 4||||||F",
    "a repetition between name and category": text_row("BI-RADS ~3 left"),
    "an addendum in a row of its own": text_row("BI-RADS 4 right") + "\rOBX|2|TX|ADD^Addendum^L||See above||||||F",
    "an addendum beside a coded category": category_row("4", "R")
    + "\rOBX|2|"
    + text_row("Addendum: sides interchanged"),
    "a correction in a note": text_row("BI-RADS 4 right") + "\rNTE|1||CORRECTION: wrong patient",
    "in a row that is no text": "CWE|IMP^Impression^L||B4^BI-RADS 4^L||||||F",
    "in the name of a row": "ST|BIRADS^BI-RADS^L||4||||||F",
    "in the name of a row, misspelled": "ST|BIRASD^BI-RASD^L||4||||||F",
    "in Cyrillic letters": text_row("ВІ-RАDЅ 4"),
    "misspelled, on two lines": text_row("BI-RASD") + "\rOBX|2|" + text_row("4 left"),
    "misspelled in a note": text_row("Unremarkable.") + "\rNTE|1||BI-RASD 2",
    "a name of a row that is of one of several readers": "TX|R2^Second reader^L||BI-RADS 3||||||F",
    "an ACR category": text_row("Mammography both sides, ACR 4"),
    "a category": text_row("Right breast: Cat. 4a"),
    "in parts that differ": text_row("R: BI-RADS 2") + "\rOBX|2|" + text_row("R: BI-RADS 3"),
    "a line end within a field": text_row("Right breast: BI-RADS 2\nLeft breast: BI-RADS 4"),
    "a name of a row that is of the past": "TX|P^Prior study^L||BI-RADS 3||||||F",
    "a character set of its own": text_row(r"BI-RADS 4\C2842\ left"),
    "a note": text_row("Unremarkable.") + "\rNTE|1||BI-RADS 2",
    "in another language": text_row("Mama izquierda: BI-RADS 4") + "\rOBX|2|" + text_row("Left breast: BI-RADS 4"),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED.keys())
def test_a_message_with_an_uncertain_category_is_refused_and_stored(intake: Hl7Intake, road: Road, row: str) -> None:
    assert b"MSA|AE" in intake.answer(oru(row), "127.0.0.1")
    assert assessments(road) == []
    assert len(list((road.data_dir / "hl7-refused").iterdir())) == 1


SERVICE = "OBR|1|P1|A1|{name}|||20260301110000||||||{reason}||||||||||||F|||||||7^Rita^Radiologist"
OTHER_FIELDS = {
    "the service": (SERVICE.format(name="BIRADS^BI-RADS Assessment^L", reason=""), "ST|RES^Result^L||4||||||F"),
    "the reason": (SERVICE.format(name="MG^Mammo^L", reason="BI-RADS 4 left"), text_row("Mass right")),
    "the unit": ("", "NM|CAT^Category^L||4|BI-RADS|||||F"),
    "the range": ("", "NM|CAT^Category^L||4||BI-RADS 0-6||||F"),
    "the flags": ("", "TX|RPT^Report^L||Mass right|||BI-RADS 4|||F"),
    "the method": ("", "ST|RES^Result^L||4||||||F||||||BIRADS"),
    "the diagnosis": ("", text_row("Mass right") + "\rDG1|1||R92^BI-RADS 4 right^I10"),
    "a segment of the site": ("", text_row("Mass right") + "\rZBR|1|BI-RADS|4|R"),
    "a segment beside what is entered": ("", text_row("BI-RADS 2") + "\rZBR|1|BI-RADS|4|R"),
    "the reason beside what is entered": (SERVICE.format(name="MG^M^L", reason="BI-RADS 0"), text_row("BI-RADS 2")),
}


@pytest.mark.parametrize(("obr", "row"), OTHER_FIELDS.values(), ids=OTHER_FIELDS.keys())
def test_birads_in_any_field_that_is_not_read_is_refused(intake: Hl7Intake, road: Road, obr: str, row: str) -> None:
    assert b"MSA|AE" in intake.answer(oru(row, **({"obr": obr} if obr else {})), "127.0.0.1")
    assert assessments(road) == []


def test_birads_in_a_message_without_any_result_is_refused(intake: Hl7Intake) -> None:
    assert b"MSA|AE" in intake.answer(oru(obr=SERVICE.format(name="MG^M^L", reason="BI-RADS 4 left")), "127.0.0.1")


@pytest.mark.parametrize("row", [text_row("BI-RADS 4 right"), category_row("4", "R").replace("|4||", "|4|BI-RADS|")])
def test_birads_in_the_service_or_unit_of_an_entered_result_is_accepted(
    intake: Hl7Intake, road: Road, row: str
) -> None:
    block = oru(row, obr=SERVICE.format(name="BIRADS^BI-RADS Assessment^L", reason=""))
    assert b"MSA|AA" in intake.answer(block, "127.0.0.1")
    assert side_and_category(assessments(road)) == [("R", "4")]


@pytest.mark.parametrize(
    "row",
    [
        "ST|111005^x^DCM||4 - right breast||||||F",
        category_row("397144001^BI-RADS 4 right breast^SCT"),
        category_row("4^Right"),
        category_row("4", sub_id="1") + f"\rOBX|2|{LATERALITY.format(sub_id='1')}|F",
        category_row("4", "R")
        + "\rOBX|2|CWE|DENS^Density^L||C^ACR c^L||||||F\rOBX|3|CE|REC^Next^L||RT^Routine^L||||||F",
    ],
)
def test_the_side_of_a_coded_category_is_read_from_words_or_from_its_own_row(
    intake: Hl7Intake, road: Road, row: str
) -> None:
    assert b"MSA|AA" in intake.answer(oru(row), "127.0.0.1")
    assert side_and_category(assessments(road)) == [("R", "4")]


def test_the_name_of_a_row_is_read_as_a_heading(intake: Hl7Intake, road: Road) -> None:
    rows = ("TX|R^Findings right breast^L||Mass. BI-RADS 4.||||||F", "TX|L^Findings left breast^L||BI-RADS 1.||||||F")
    assert b"MSA|AA" in intake.answer(oru(*rows), "127.0.0.1")
    assert side_and_category(assessments(road)) == [("R", "4"), ("L", "1")]


def test_a_text_continues_over_rows_and_repetitions(intake: Hl7Intake, road: Road) -> None:
    assert b"MSA|AA" in intake.answer(
        oru("Mass of", "12 mm, BI-RADS", "category 4A in the", "left breast."), "127.0.0.1"
    )
    assert b"MSA|AA" in intake.answer(oru("R: BI-RADS 2~L: BI-RADS 4", control_id="M2"), "127.0.0.1")
    assert side_and_category(assessments(road)) == [("L", "4A"), ("R", "2"), ("L", "4")]


def test_a_report_in_several_languages_that_agree_is_read(intake: Hl7Intake, road: Road) -> None:
    assert b"MSA|AA" in intake.answer(oru("Left breast: BI-RADS 4.", "Linke Brust: BI-RADS 4."), "127.0.0.1")
    assert side_and_category(assessments(road)) == [("L", "4")]


def test_a_message_is_refused_if_the_category_of_any_order_is_uncertain(intake: Hl7Intake, road: Road) -> None:
    second = "OBR|2|P2|A2|MAMMO|||||||||||||||||||||F|||||||7^Rita\rOBX|1|TX|x||BI-RADS see below||||||F\r"
    assert b"MSA|AE" in intake.answer(oru("BI-RADS 2", accession="A1") + second.encode(), "127.0.0.1")
    assert assessments(road) == []


def test_orders_with_different_categories_for_the_same_study_are_refused(intake: Hl7Intake, road: Road) -> None:
    second = "OBR|2|P2|A1|MAMMO|||||||||||||||||||||F|||||||7^Rita\rOBX|1|TX|x||BI-RADS 4||||||F\r"
    assert b"MSA|AE" in intake.answer(oru("BI-RADS 2", accession="A1") + second.encode(), "127.0.0.1")
    assert assessments(road) == []


def test_the_category_of_another_rads_in_a_ct_report_is_ignored(intake: Hl7Intake) -> None:
    ct = "OBR|1|P1|A1|CT^Chest|||20260301110000||||||||||||||||||F|||||||7^Rita^Radiologist"
    answer = intake.answer(oru("Nodule of the lung, Lung-RADS category 4A", obr=ct), "127.0.0.1")
    assert b"MSA|AA" in answer
    assert b"nothing to enter" in answer
