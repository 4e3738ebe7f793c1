"""The report as an HL7 v2.5.1 message (ORU^R01), for a RIS: one OBX for each number, code and text, in the words and
codes of the SR.

Its control ID is derived from the report, so that what is sent again is the same message. The fields that depend on the
receiver (applications, facilities, character set) are empty here; node/delivery/mllp.py fills them.

Status: nobody has verified the report, so OBR-25 is R ("results stored; not yet verified", table 0123), and OBX-11 is R
("results entered; not verified", table 0085) in every revision. What a revision no longer has is sent with D
("deletes"). If patient ID, placer order number or accession number was corrected, a message of its own takes back what
was sent under the old ones; it comes before the report, in the same file, so that the receiver gets both in this order.
"""

from __future__ import annotations

import re
from base64 import b32encode
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from pydicom import Dataset
from pydicom.sr.coding import Code

from dicom_io.attributes import text
from dicom_io.device import MODEL
from dicom_io.results import codes
from dicom_io.results.encoding import Encoding
from dicom_io.results.profiles import ResultKind
from dicom_io.results.scored import Coded, Figure, Scored, outcome, scored_lesions, scored_wholes
from dicom_io.results.statements import statements, summary_sentences
from models.types.exam import ExamReading
from node.assessments.hl7.message import Segment
from node.reporting.about import About, about

SEPARATORS, ESCAPE = "\r|~^&", "\\"
_CHARACTERS = Segment(("MSH",), SEPARATORS, ESCAPE, "utf-8")
_NOT_VERIFIED, _DELETED = "R", "D"
_STUDY = Code("113014", "DCM", "DICOM Study")
_TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
_SUB_IDS = {"exam": "1", "left breast": "2", "right breast": "3"}
_FIRST_LESION = 4
"""OBX-4 tells the exam, breasts and lesions apart."""


@dataclass(frozen=True)
class _Result:
    """An observation: the fields of its OBX, escaped where they are text."""

    kind: str
    concept: str
    sub_id: str
    value: str
    unit: str = ""
    method: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from the others of the message (HL7 v2.5.1 section 7.4.2.4)."""
        return self.concept.split("^")[0], self.sub_id


def encode_oru(exam: ExamReading, sources: Mapping[str, Dataset], encoding: Encoding, before: bytes | None) -> bytes:
    """The message in UTF-8, its segments ended by CR: equal input gives equal bytes. Before it, one message for each
    other patient or order that earlier revisions were sent for, with all their results deleted.

    Args:
        sources: the header of each instance of the study, by SOP Instance UID.
        before: what this function returned for the revision that this one replaces.

    Raises:
        NotEncodable: there is no source, or the sources disagree on patient or study.
    """
    subject = about(exam, sources, encoding.patient_id_system)
    results = list(_apart(_results(exam, subject, encoding)))
    written = _time(encoding.written_at)
    patient, order = _patient(subject), _order(subject, written)
    ours = _identity([patient, order])
    earlier = [message.split("\r") for message in messages_in((before or b"").decode())]
    rows = [_row(number, result, written, encoding.device.uid) for number, result in enumerate(results, start=1)]
    gone = _gone((message for message in earlier if _identity(message) == ours), {result.key for result in results})
    rows += [_deleted(number, fields) for number, fields in enumerate(gone, start=len(rows) + 1)]
    header = _header(written, _control_id(subject, encoding))
    messages = [[header, patient, order, *rows]]
    elsewhere = [message for message in earlier if _identity(message) != ours]
    for number, message in reversed(list(enumerate(elsewhere, start=1))):
        header = _header(written, _control_id(subject, encoding, f"withdrawal {number}"))
        messages.insert(0, [header, *_withdrawn(message, written)])
    return "".join(f"{segment}\r" for message in messages for segment in message).encode()


def messages_in(content: str) -> list[str]:
    """The messages that `encode_oru` wrote, each from its MSH on."""
    return [message for message in re.split(r"(?:^|(?<=\r))(?=MSH\|)", content) if message]


def _header(written: str, control_id: str) -> str:
    return _segment("MSH", {2: "^~\\&", 7: written, 9: "ORU^R01^ORU_R01", 10: control_id, 11: "P", 12: "2.5.1"})


def _apart(results: Iterable[_Result]) -> Iterator[_Result]:
    """The results, those of one concept and sub-ID (two comparisons of one breast) numbered: 2.1, 2.2."""
    listed = list(results)
    times, seen = Counter(result.key for result in listed), Counter[tuple[str, str]]()
    for result in listed:
        seen[result.key] += 1
        yield result if times[result.key] == 1 else replace(result, sub_id=f"{result.sub_id}.{seen[result.key]}")


def _results(exam: ExamReading, subject: About, encoding: Encoding) -> Iterator[_Result]:
    language = encoding.language.in_ascii()  # the receiver's character set is not known here
    yield _Result("HD", _concept(_STUDY), "", subject.study_instance_uid)
    yield _coded(Coded(codes.CAD_SUMMARY, outcome(exam)), "")
    yield _text(codes.SUMMARY, "", language.report(summary_sentences(exam, encoding.revision)))
    for scored in reversed(list(scored_wholes(exam, coded_category=encoding.coded_category))):
        yield from _scored(scored, _SUB_IDS[scored.name], (*scored.verdict, *scored.compared))
    for number, lesion in enumerate(scored_lesions(exam), start=_FIRST_LESION):
        yield from _scored(lesion.scored, str(number), (lesion.found,), lesion.properties)
        yield _Result("ST", _concept(_TRACKING_UID), str(number), lesion.tracked.uid)
        yield _text(codes.COMMENT, str(number), (lesion.tracked.identifier, *map(language.say, lesion.sentences)))
    sentences = [language.say(statement.sentence) for statement in statements(exam, encoding.bundles[0])]
    yield _text(codes.COMMENT, "", sentences)


def _scored(
    scored: Scored, sub_id: str, coded: Iterable[Coded], properties: tuple[Figure, ...] = ()
) -> Iterator[_Result]:
    method = _escaped(f"{scored.algorithm}, {scored.version}")
    for figure in (scored.score, scored.probability, *scored.holds_for, scored.tenth, *properties):
        if figure is not None:
            unit = _concept(figure.unit)
            yield _Result("NM", _concept(figure.concept), sub_id, f"{figure.value:g}", unit, method)
    if scored.laterality is not None:
        yield _coded(Coded(codes.LATERALITY, scored.laterality), sub_id)
    for said in coded:
        yield _coded(said, sub_id)


def _coded(said: Coded, sub_id: str) -> _Result:
    return _Result("CWE", _concept(said.concept), sub_id, _concept(said.value))


def _text(concept: Code, sub_id: str, lines: Iterable[str]) -> _Result:
    """Of the type TX, in which each repetition is a line (section 2.A.79)."""
    return _Result("TX", _concept(concept), sub_id, "~".join(map(_escaped, lines)))


def _row(number: int, result: _Result, written: str, device_uid: str) -> str:
    equipment = f"{MODEL}^^{device_uid}^ISO"  # an EI; node/assessments/hl7 takes such a result for no radiologist's
    fields = {1: str(number), 2: result.kind, 3: result.concept, 4: result.sub_id, 5: result.value, 6: result.unit}
    return _segment("OBX", fields | {11: _NOT_VERIFIED, 14: written, 17: result.method, 18: equipment})


def _deleted(number: int, fields: list[str]) -> str:
    """Without its value, except for the study's UID, which says of what results are deleted."""
    kind, concept, sub_id, value = fields[2:6]
    return _segment("OBX", {1: str(number), 2: kind, 3: concept, 4: sub_id, 5: value if kind == "HD" else "",
                            11: _DELETED})  # fmt: skip


def _gone(earlier: Iterable[list[str]], present: set[tuple[str, str]]) -> Iterator[list[str]]:
    """The fields of the OBX segments of earlier messages that this report does not have."""
    for message in earlier:
        for segment in message:
            fields = segment.split("|")
            if fields[0] == "OBX" and (fields[3].split("^")[0], fields[4]) not in present:
                yield fields


def _identity(message: Iterable[str]) -> tuple[str, ...]:
    """Under which patient and order a receiver files a message: PID-3, OBR-2 and OBR-3."""
    fields = {segment[:3]: [*segment.split("|"), "", "", "", ""] for segment in message}
    return fields["PID"][3], *fields["OBR"][2:4]


def _withdrawn(message: list[str], written: str) -> Iterator[str]:
    """The segments after MSH of a message that deletes all results of an earlier one."""
    yield from (segment for segment in message if segment.startswith("PID|"))
    for segment in message:
        if segment.startswith("OBR|"):
            fields = segment.split("|")
            yield "|".join((*fields[:22], written, *fields[23:]))
    for number, fields in enumerate(_gone([message], set()), start=1):
        yield _deleted(number, fields)


def _patient(subject: About) -> str:
    issuer = subject.issuer
    authority = "&".join(map(_escaped, (issuer.name, issuer.universal_id, issuer.universal_id_type))).rstrip("&")
    identifier = f"{_escaped(subject.patient_id)}^^^{authority}^MR" if subject.patient_id else ""
    birth_date, sex = text(subject.patient, "PatientBirthDate"), text(subject.patient, "PatientSex")
    return _segment("PID", {1: "1", 3: identifier, 5: _name(subject.patient), 7: birth_date, 8: sex})


def _name(patient: Dataset) -> str:
    """An XPN of a PN (PS3.5 section 6.2): prefix and suffix change places. The first group of components that is
    there: alphabetic, ideographic, phonetic."""
    groups = text(patient, "PatientName").split("=")
    family, given, middle, prefix, suffix = (next(filter(None, groups), "").split("^") + [""] * 5)[:5]
    return "^".join(_escaped(part.strip()) for part in (family, given, middle, suffix, prefix)).rstrip("^")


def _order(subject: About, written: str) -> str:
    accession = _escaped(subject.accession_number)
    performed = "" if subject.performed is None else _time(subject.performed)
    return _segment("OBR", {1: "1", 2: _escaped(subject.placer_order_number), 3: accession,
                            4: _concept(codes.IMAGING_MEASUREMENT_REPORT), 7: performed, 18: accession, 22: written,
                            24: "RAD", 25: _NOT_VERIFIED})  # fmt: skip


def _control_id(subject: About, encoding: Encoding, *parts: str) -> str:
    """Of at most 20 characters (MSH-10)."""
    uid = encoding.uid(subject.study_instance_uid, ResultKind.ORU, *parts)
    return b32encode(UUID(int=int(uid.removeprefix("2.25."))).bytes[:12]).decode().rstrip("=")


def _segment(name: str, fields: Mapping[int, str]) -> str:
    """A segment of its fields by number; MSH-1 is the separator itself."""
    first = 2 if name == "MSH" else 1
    return "|".join((name, *(fields.get(number, "") for number in range(first, max(fields) + 1))))


def _concept(code: Code) -> str:
    """A CWE: code, meaning, coding scheme."""
    return "^".join(map(_escaped, (code.value, code.meaning, code.scheme_designator)))


def _escaped(plain: str) -> str:
    """Text for a component; characters that would end a segment become spaces."""
    return _CHARACTERS.escaped(re.sub(r"[\x00-\x1f\x7f]", " ", plain))


def _time(when: datetime | date) -> str:
    """A time stamp (TS) with its zone, or a date."""
    return when.strftime("%Y%m%d%H%M%S%z") if isinstance(when, datetime) else when.strftime("%Y%m%d")
