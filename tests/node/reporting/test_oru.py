"""The report as an HL7 v2 message says what the SR says, and is never taken for a radiologist's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from readings import ENCODING
from reports import (
    L_CC,
    REPORTED,
    calibrated,
    comments_of,
    discordant,
    groups_of,
    named,
    report_on,
    some_exam,
    some_images,
    some_sources,
)

from config.hl7 import Hl7
from dicom_io.errors import NotEncodable
from dicom_io.results.encoding import Encoding
from models.birads.concordance import concordances
from models.types.birads import Assessment, AssessmentSource, Category
from models.types.exam import ExamReading
from models.types.mammogram import Laterality
from node.assessments.hl7.message import Message, NotUsable, Segment, parse
from node.assessments.hl7.results import results_of
from node.reporting.oru import encode_oru, messages_in

pytestmark = pytest.mark.slow

SCORE, PROBABILITY, RANGE, CATEGORY, COMMENT = "SCORE", "111047", "CATEGORY_RANGE", "111005", "121106"
NUMBERS = (SCORE, PROBABILITY, "PREVALENCE", "RECALL_THRESHOLD", "REFERENCE_TENTH", "111012", "103339001")
CODES = ("RECALL", RANGE, CATEGORY, "121071")
CODED = replace(ENCODING, coded_category=True)


def message(exam: ExamReading, encoding: Encoding = ENCODING, before: bytes | None = None) -> Message:
    return parse(encode_oru(exam, some_sources(), encoding, before), "utf-8")


def of(sent: Message, name: str) -> list[Segment]:
    return [segment for segment in sent.segments if segment.name == name]


def observed(sent: Message) -> dict[str, dict[str, str]]:
    """The values of each group of OBX segments by identifier, by the words of the group's score."""
    groups: dict[str, list[Segment]] = {}
    for row in of(sent, "OBX"):
        groups.setdefault(row.raw(4), []).append(row)
    return {
        rows[0].component(3, 2).removesuffix(", score"): {row.component(3): row.component(5) for row in rows}
        for sub_id, rows in groups.items()
        if sub_id
    }


@pytest.mark.parametrize("exam", REPORTED.values(), ids=REPORTED)
def test_the_library_parses_it_and_no_two_results_have_one_identifier(exam: Callable[[], ExamReading]):
    parsed = hl7.parse(encode_oru(exam(), some_sources(), CODED, None).decode())
    assert str(parsed.segment("MSH")[9]) == "ORU^R01^ORU_R01"
    rows = [(str(row[3][0][0]), str(row[4])) for row in parsed.segments("OBX")]
    assert len(set(rows)) == len(rows)
    assert [str(row[1]) for row in parsed.segments("OBX")] == [str(number) for number in range(1, len(rows) + 1)]


@pytest.mark.parametrize("exam", REPORTED.values(), ids=REPORTED)
def test_the_words_are_those_of_the_sr(exam: Callable[[], ExamReading]):
    sr, sent = report_on(exam()), message(exam())
    texts = {(row.component(3), row.raw(4)): row.text(5).splitlines() for row in of(sent, "OBX") if row.raw(2) == "TX"}
    (summary,) = named(sr, "121111")
    assert texts["121111", ""] == summary.TextValue.splitlines()
    said = texts[COMMENT, ""]
    assert said == [text for text in comments_of(sr) if text in said], "the others are about single lesions"
    assert set(comments_of(sr)) <= {text for key, lines in texts.items() if key[0] == COMMENT for text in lines}


@pytest.mark.parametrize("exam", REPORTED.values(), ids=REPORTED)
def test_the_numbers_and_codes_are_those_of_the_sr(exam: Callable[[], ExamReading]):
    found = observed(message(exam(), CODED))
    for group in groups_of(report_on(exam(), encoding=CODED)).values():
        (score,) = named(group, SCORE)
        row = found.pop(score.ConceptNameCodeSequence[0].CodeMeaning.removesuffix(", score"), None)
        if row is None:  # two lesions of the same words
            continue
        numbers = {
            name: [float(item.MeasuredValueSequence[0].NumericValue) for item in named(group, name)] for name in NUMBERS
        }
        assert {name: [float(row[name])] if name in row else [] for name in NUMBERS} == numbers
        values = {name: [item.ConceptCodeSequence[0].CodeValue for item in named(group, name)] for name in CODES}
        assert {name: [row[name]] if name in row else [] for name in CODES} == values
    assert found == {}


def test_a_score_that_is_not_calibrated_gives_no_probability_and_no_category():
    for row in observed(message(some_exam(), CODED)).values():
        assert not {PROBABILITY, RANGE, CATEGORY} & row.keys()


def test_a_study_of_which_nothing_could_be_read_says_so():
    sent = message(some_exam([]))
    assert observed(sent) == {}
    assert any("Nothing in this study could be read" in row.text(5) for row in of(sent, "OBX"))


@pytest.mark.parametrize("exam", REPORTED.values(), ids=REPORTED)
def test_it_is_not_verified_and_gives_the_node_no_category_if_it_comes_back(exam: Callable[[], ExamReading]):
    sent = message(exam(), replace(CODED, revision=2))
    assert {of(sent, "OBR")[0].raw(25), *(row.raw(11) for row in of(sent, "OBX"))} == {"R"}
    assert not any(row.raw(16) for row in of(sent, "OBX"))
    with suppress(NotUsable):  # a refusal is as good
        assert results_of(sent, Hl7(observer=())).assessments == ()


def test_study_order_and_patient_are_where_the_node_itself_looks_for_them():
    sent, source, where = message(some_exam()), some_sources()[L_CC], Hl7()
    patient, order, study = of(sent, "PID")[0], of(sent, "OBR")[0], of(sent, "OBX")[0]
    assert patient.component(3) == source.PatientID
    assert order.component(18) == order.component(3) == source.AccessionNumber
    assert (study.component(3), study.component(5)) == ("113014", source.StudyInstanceUID)
    assert "OBX(113014)-5" in where.study_instance_uid


def test_the_patient_id_names_its_issuer():
    sources = some_sources()
    for source in sources.values():
        source.IssuerOfPatientID = "H&S"
    named_by_image = parse(encode_oru(some_exam(), sources, ENCODING, None), "utf-8")
    assert of(named_by_image, "PID")[0].raw(3).split("^")[3] == r"H\T\S"
    encoding = replace(ENCODING, patient_id_system="urn:oid:1.2.3")
    assert of(message(some_exam(), encoding), "PID")[0].raw(3).split("^")[3] == "&1.2.3&ISO"


def test_a_study_of_two_patients_is_not_reported():
    sources = some_sources()
    sources[L_CC].PatientID = "SOMEBODY-ELSE"
    with pytest.raises(NotEncodable, match="PatientID"):
        encode_oru(some_exam(), sources, ENCODING, None)


def test_the_same_report_is_the_same_message_and_a_revision_is_another():
    once, twice = (encode_oru(some_exam(), some_sources(), ENCODING, None) for _ in range(2))
    assert once == twice
    first, later = message(some_exam()).control_id, message(some_exam(), replace(ENCODING, revision=2)).control_id
    assert first != later
    assert 0 < len(first) <= 20


def test_what_a_revision_does_not_have_any_more_is_deleted_in_every_later_one():
    first = encode_oru(calibrated(some_exam()), some_sources(), ENCODING, None)
    fewer = some_exam(some_images()[2:])
    second = encode_oru(fewer, some_sources(), replace(ENCODING, revision=2), first)
    third = message(fewer, replace(ENCODING, revision=3), second)
    keys = {
        status: {(row.component(3), row.raw(4)) for row in of(third, "OBX") if row.raw(11) == status} for status in "RD"
    }
    before = {(row.component(3), row.raw(4)) for row in of(parse(first, "utf-8"), "OBX")}
    assert keys["D"] == before - keys["R"]
    assert {(SCORE, "4"), (PROBABILITY, "1"), (SCORE, "2")} <= keys["D"]
    assert all(not row.raw(5) for row in of(third, "OBX") if row.raw(11) == "D")


def revisions(*identities: dict[str, str]) -> list[bytes]:
    """What is sent for a study whose header is corrected from one to the next."""
    files: list[bytes] = []
    for number, identity in enumerate(identities, start=1):
        sources = some_sources()
        for source in sources.values():
            for keyword, value in identity.items():
                setattr(source, keyword, value)
        before = files[-1] if files else None
        files.append(encode_oru(some_exam(), sources, replace(ENCODING, revision=number), before))
    return files


def at_the_receiver(files: list[bytes]) -> dict[tuple[str, ...], set[tuple[str, str]]]:
    """Which results a receiver holds, by patient and order, after it has stored and deleted what it was told."""
    held: dict[tuple[str, ...], set[tuple[str, str]]] = {}
    for file in files:
        for text in messages_in(file.decode()):
            sent = parse(text.encode(), "utf-8")
            (patient,), (order,) = of(sent, "PID"), of(sent, "OBR")
            filed = held.setdefault((patient.raw(3), order.raw(2), order.raw(3)), set())
            for row in of(sent, "OBX"):
                key = (row.component(3), row.raw(4))
                (filed.discard if row.raw(11) == "D" else filed.add)(key)
    return held


RIGHT, WRONG = {"PatientID": "RIGHT"}, {"PatientID": "WRONG"}


@pytest.mark.parametrize(
    "identities",
    [
        [WRONG, RIGHT],
        [WRONG, RIGHT, RIGHT],
        [RIGHT, WRONG, RIGHT],
        [WRONG, {"PatientID": "WRONG, TOO"}, RIGHT, RIGHT],
        [{"AccessionNumber": "1"}, {"AccessionNumber": "2"}],
        [{"PlacerOrderNumberImagingServiceRequest": "1"}, {"PlacerOrderNumberImagingServiceRequest": "2"}],
        [{"IssuerOfPatientID": "A"}, {"IssuerOfPatientID": "B"}],
        [{"PatientID": ""}, RIGHT],
    ],
)
@pytest.mark.parametrize("lost", [0, 1])
def test_a_corrected_patient_or_order_leaves_no_result_at_the_wrong_one(identities, lost: int):
    """`lost`: revisions before the last that never reached the receiver."""
    files = revisions(*identities)
    if lost and len(files) > 2:
        del files[-2]
    held = at_the_receiver(files)
    now = parse(messages_in(files[-1].decode())[-1].encode(), "utf-8")
    right = (of(now, "PID")[0].raw(3), of(now, "OBR")[0].raw(2), of(now, "OBR")[0].raw(3))
    assert held.pop(right) == {(row.component(3), row.raw(4)) for row in of(now, "OBX") if row.raw(11) == "R"}
    assert not any(held.values())


def test_a_withdrawal_is_a_message_of_its_own_that_comes_first_and_names_the_study():
    _, file = revisions(WRONG, RIGHT)
    withdrawal, report = (parse(text.encode(), "utf-8") for text in messages_in(file.decode()))
    assert [of(sent, "PID")[0].component(3) for sent in (withdrawal, report)] == ["WRONG", "RIGHT"]
    assert withdrawal.control_id != report.control_id
    assert [row.raw(5) for row in of(withdrawal, "OBX") if row.raw(5)] == [some_sources()[L_CC].StudyInstanceUID]
    hl7.parse(messages_in(file.decode())[0])


def test_a_changed_name_or_birth_date_is_no_other_patient():
    _, file = revisions({"PatientName": "A^B"}, {"PatientName": "C^D", "PatientBirthDate": "19500101"})
    assert len(messages_in(file.decode())) == 1


def test_two_categories_of_one_side_are_two_comparisons_with_identifiers_of_their_own():
    exam = calibrated(some_exam())
    categories = (Category.FOUR_B, Category.ONE)
    given = [Assessment(Laterality.LEFT, category, AssessmentSource.HL7) for category in categories]
    both = replace(exam, concordances=concordances(exam, given))
    first = encode_oru(discordant(), some_sources(), ENCODING, None)
    sent = message(both, replace(ENCODING, revision=2), first)
    keys = [(row.component(3), row.raw(4)) for row in of(sent, "OBX")]
    assert len(set(keys)) == len(keys)
    compared = {key[1] for key in keys if key[1].startswith("2.")}
    assert compared == {"2.1", "2.2"}
    deleted = {row.raw(4) for row in of(sent, "OBX") if row.raw(11) == "D"}
    assert deleted == {"2"}, "the one comparison of before"


_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)


@settings(max_examples=40)
@given(family=_NAMES, given_name=_NAMES, suffix=_NAMES)
def test_a_name_of_any_characters_is_one_name(family: str, given_name: str, suffix: str):
    spoilt = str.maketrans("", "", "^=\\")
    parts = [part.translate(spoilt).strip() or "A" for part in (family, given_name, suffix)]
    sources: dict[str, Dataset] = some_sources()
    for source in sources.values():
        source.SpecificCharacterSet = "ISO_IR 192"
        source.PatientName = f"{parts[0]}^{parts[1]}^^Dr.^{parts[2]}"
    sent = parse(encode_oru(some_exam(), sources, ENCODING, None), "utf-8")
    (patient,) = of(sent, "PID")
    assert [part.strip() for part in patient.components(5)] == [parts[0], parts[1], "", parts[2], "Dr."]
