"""What an ORU^R01 message says of a radiologist's BI-RADS category (HL7 v2.5.1 chapter 7).

HL7 has no authoritative place for it, so every field is a setting. A category that stands on its own and the text of
the report must say the same. Only results that are final (F) or corrected (C) count, and only where a person answers
for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from config.hl7 import Hl7
from dicom_io.assessments import StatedAssessment, sides_of_code
from dicom_io.results.birads_codes import category_of_code
from models.types.birads import Category, most_severe
from models.types.mammogram import Laterality
from node.assessments.hl7.message import FieldPath, Message, Segment, first_value
from node.assessments.text.report import (
    CORRECTED,
    SEVERAL,
    breasts_in,
    categories_in,
    category_in,
    is_side,
    sides_beside,
    sides_in,
)
from node.assessments.text.sentence import UNREADABLE
from node.assessments.text.spelling import names, spelled
from node.assessments.text.words import Sides, about_breasts, corrects, unnamed

FINAL, WITHDRAWN, OTHER = "final", "withdrawn", "other"
_STATUSES = dict.fromkeys("FC", FINAL) | dict.fromkeys("DWX", WITHDRAWN)
"""HL7 table 0085: final, corrected; deleted, wrong, cannot be obtained."""
_OF_PEOPLE = frozenset({"MSH", "PID", "NK1"})
"""Segments of the sender, the patient and her family: their names may be like any word."""
_TEXT_TYPES = frozenset({"TX", "FT", "ST"})
_CATEGORY_TYPES = _TEXT_TYPES | {"", "CE", "CWE", "CNE", "CF", "ID", "IS", "NM"}
"""Data types (HL7 table 0125) whose value may be a category as it stands; and SN, see `_is_plain`."""
_PROSE = {"OBX": (3, 5), "NTE": (3,)}
_ENDS_ANNOUNCING = re.compile(r"RADS?[\W_]*$", re.IGNORECASE)
_MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:\.\d+)?([+-]\d{4})?")

_Found = tuple[Segment | None, Sides, Category]
"""A category, its breasts, and the row that it stands in on its own; None: the report's text."""

NO_CATEGORY = "no BI-RADS category in it: nothing to enter"
NOT_FINAL = "a preliminary result: not used before it is final"


class NotUsable(Exception):
    """The message speaks of BI-RADS and cannot be used. The message is one sentence without patient data."""


@dataclass(frozen=True)
class Results:
    """What a message says. `note`: why there are no assessments, where there are none."""

    assessments: tuple[StatedAssessment, ...]
    note: str = ""


@dataclass(frozen=True)
class _Order:
    """One OBR with its patient and its results."""

    context: tuple[Segment, ...]
    """MSH, PID, OBR, and what stands behind it but for OBX."""
    rows: tuple[Segment, ...]
    """OBX."""

    @property
    def notes(self) -> list[Segment]:
        """NTE."""
        return [segment for segment in self.context if segment.name == "NTE"]

    def by_status(self) -> dict[str, list[Segment]]:
        """The rows that are final, withdrawn, or anything else."""
        of_order = first_value(["OBR-25"], self.context)
        rows: dict[str, list[Segment]] = {}
        for row in self.rows:
            rows.setdefault(_STATUSES.get(row.component(11) or of_order, OTHER), []).append(row)
        return rows


def results_of(message: Message, settings: Hl7) -> Results:
    """The assessments of a message.

    Raises:
        NotUsable: it speaks of BI-RADS and does not say of which study, by whom, of which breast, or which category.
    """
    found: list[StatedAssessment] = []
    spoken: set[str] = set()  # the statuses of results that speak of BI-RADS
    final = False
    orders = list(_orders(message))
    for order in orders:
        for status, rows in order.by_status().items():
            final = final or status == FINAL
            if _speaks_of_birads(order, rows, settings):
                spoken.add(status)
                if status == FINAL:
                    stated = list(_stated(order, rows, message, settings))
                    if not stated:
                        raise NotUsable(f"{UNREADABLE} (hl7.category)")
                    found += stated
    if (final or not any(order.rows for order in orders)) and _is_named_elsewhere(message, settings, bool(found)):
        raise NotUsable(f"{UNREADABLE}: a field that is not read names BI-RADS")
    if found:
        if any(corrects(segment.text(field)) for segment in message.segments for field in _PROSE.get(segment.name, ())):
            raise NotUsable(CORRECTED)
        return Results(tuple(_without_contradiction(found)))
    if WITHDRAWN in spoken:
        raise NotUsable("it takes a result back: mammo-node keeps what it was told, send a corrected result")
    return Results((), NOT_FINAL if spoken else NO_CATEGORY)


def _orders(message: Message) -> Iterator[_Order]:
    patient: list[Segment] = []
    context: list[Segment] = [message.header]
    rows: list[Segment] = []
    for segment in message.segments[1:]:
        if segment.name in ("PID", "ORC", "OBR") and rows:
            yield _Order(tuple(context), tuple(rows))
            context, rows = [message.header, *patient], []
        match segment.name:
            case "OBX":
                rows.append(segment)
            case "PID":
                patient, context = [segment], [message.header, segment]
            case "ORC" | "OBR" if any(earlier.name == segment.name for earlier in context):  # of one without results
                context = [message.header, *patient, segment]
            case _:
                context.append(segment)
    if rows:
        yield _Order(tuple(context), tuple(rows))


def _speaks_of_birads(order: _Order, rows: Sequence[Segment], settings: Hl7) -> bool:
    """Also where `settings` do not name the field: then it is told, and not passed over."""
    if any(_category_paths(row, settings) or _is_named_birads(row) for row in rows):
        return True
    if not settings.reads_text:
        return any(names(row.text(5)) for row in rows if row.component(2) not in _TEXT_TYPES)
    said = "\n".join(segment.text(5 if segment.name == "OBX" else 3) for segment in (*rows, *order.notes))
    about = "\n".join((said, *(row.text(3) for row in rows), first_value(["OBR-4.2"], order.context)))
    return names(said) > 0 or (unnamed(said) and about_breasts(about))


def _is_named_elsewhere(message: Message, settings: Hl7, entered: bool) -> bool:
    """Whether a field names BI-RADS that is neither read nor the name of what is entered (OBR-4; the unit, OBX-6, and
    method, OBX-17, of a category)."""
    for segment in message.segments:
        if segment.name in _OF_PEOPLE:
            continue
        read = {"OBX": {3, 5}, "OBR": {4} if entered else set()}.get(segment.name, set())
        if segment.name == "OBX" and _category_paths(segment, settings):
            read = read | {6, 17}
        if any(spelled(segment.text(field)) for field in range(1, len(segment.fields)) if field not in read):
            return True
    return False


def _is_named_birads(row: Segment) -> bool:
    """Whether the name of a row (OBX-3) names BI-RADS; misspelled, where the row holds a category."""
    name, said = row.text(3), row.text(5)
    return names(name) > 0 or names(f"{name}: {said}") > names(said)


def _category_paths(row: Segment, settings: Hl7) -> list[FieldPath]:
    """Where a row holds a category on its own."""
    paths = (FieldPath.of(setting) for setting in settings.category)
    return [path for path in paths if path.is_in(row) and row.text(path.field)]


def _lateralities(row: Segment, settings: Hl7) -> list[FieldPath]:
    """Where a row holds a side."""
    paths = (FieldPath.of(setting) for setting in settings.laterality)
    return [path for path in paths if path.is_in(row) and row.text(path.field)]


def _text(rows: Iterable[Segment]) -> str:
    """The report's text, which senders spread over rows. Where the name of the rows (OBX-3) changes it is a heading."""
    lines: list[str] = []
    name = None
    for row in rows:
        if row.component(2) not in _TEXT_TYPES:
            continue
        if name != (name := _name(row)):
            lines += ["", "" if names(name) else f"{name.replace(':', ' ')}:"]
        lines.append(row.text(5))
    return "\n".join(lines)


def _name(row: Segment) -> str:
    """The name of a row (OBX-3), or its code where it has none; "" where that is a number, or L or R, which
    may be of anything."""
    name = row.component(3, 2) or row.component(3, 5) or row.component(3)
    return "" if _is_a_letter(row) or not re.search(r"[^\W\d]", name) else name


def _is_a_letter(row: Segment) -> bool:
    """Whether a row has for its name a letter alone that may be a side's, or a report's, or a result's."""
    return (row.component(3, 2) or row.component(3, 5) or row.component(3)).upper() in ("L", "R")


def _stated(order: _Order, rows: Sequence[Segment], message: Message, settings: Hl7) -> Iterator[StatedAssessment]:
    coded = [
        (row, _sides(row, rows, settings), _category(row, path))
        for row in rows
        for path in _category_paths(row, settings)
    ]
    worded = _in_words(order, rows, settings)
    if coded and worded and not _agree(_by_breast(coded), _by_breast(worded)):
        raise NotUsable("its coded BI-RADS categories and those of its text are not the same")
    others = [row for row in rows if not _category_paths(row, settings)]
    if coded and not worded and settings.reads_text and unnamed(_text(others)):
        raise NotUsable("its text may give another BI-RADS category than its coded one")
    if coded or worded:
        _refuse_sides_not_used(order, rows, settings)
    for row, sides, category in (*coded, *worded):
        context = [*([row] if row else rows), *order.context]
        if any(re.search(r"\w", segment.raw(18)) for segment in context if segment.name == "OBX"):
            raise NotUsable("its result names equipment as its source (OBX-18): a machine is no radiologist")
        if settings.observer and not _names_somebody(context, settings):
            raise NotUsable("it names no person who answers for the result (hl7.observer)")
        study = first_value(settings.study_instance_uid, [*order.context, *rows])
        accession = first_value(settings.accession_number, [*order.context, *rows])
        if not study and not accession:
            raise NotUsable("it names no study (hl7.study_instance_uid, hl7.accession_number)")
        for side in sides or (None,):
            yield StatedAssessment(
                document=f"{message.control_id} {message.digest}",
                study_instance_uid=study,
                accession_number=accession,
                patient_id="\\".join(_patient_ids(order.context, settings)),
                laterality=side,
                category=category,
                assessed_at=_moment(first_value(settings.assessed_at, context)),
                order=_order(order.context),
            )


def _order(context: Sequence[Segment]) -> str:
    """What later messages of the same sender (MSH-3, MSH-4) correct: the filler's order number, or else the placer's,
    with the service (OBR-3, OBR-2, OBR-4); "" where there is none."""
    application, facility, service = (first_value([path], context) for path in ("MSH-3", "MSH-4", "OBR-4"))
    number = first_value(["OBR-3", "OBR-2"], context)
    return "|".join((application, facility, number, service)) if number else ""


def _by_breast(found: Iterable[_Found]) -> dict[Laterality | None, set[Category]]:
    """The categories of each breast, and of the exam (None)."""
    said: dict[Laterality | None, set[Category]] = {}
    for _, sides, category in found:
        for side in sides or (None,):
            said.setdefault(side, set()).add(category)
    return said


def _agree(coded: dict[Laterality | None, set[Category]], worded: dict[Laterality | None, set[Category]]) -> bool:
    """Whether two say the same: of the exam may be said once, as the most severe that is said of the breasts."""
    exams = [said.pop(None) for said in (coded, worded) if None in said]
    breasts = coded or worded
    if any(exam != exams[0] for exam in exams) or (coded and worded and coded != worded):
        return False
    if len(exams) == 2 or not exams:
        return bool(exams) or coded == worded
    return exams[0] == {most_severe(category for several in breasts.values() for category in several)}


def _refuse_sides_not_used(order: _Order, rows: Sequence[Segment], settings: Hl7) -> None:
    """Raises NotUsable: a row says a side of which it is not known what it is the side of."""
    coded = [row for row in rows if _category_paths(row, settings)]
    sub_ids = {row.component(4) for row in coded} - {""}
    read = {id(row) for row in rows if row.component(2) in _TEXT_TYPES} if settings.reads_text else set()
    names_of_rows = [row.raw(3) for row in order.rows]  # a line of a report shares its name with others
    for row in order.rows:
        if any(row is other for other in coded) or (
            row.component(4) in sub_ids and any(row is other for other in rows)
        ):
            continue
        if _lateralities(row, settings) or (
            _is_a_side(row) and (id(row) not in read or names_of_rows.count(row.raw(3)) == 1)
        ):
            raise NotUsable("it says a laterality, and not of which BI-RADS category (OBX-4 tells them apart)")


def _is_a_side(row: Segment) -> bool:
    """Whether a row's value is a side and nothing else: of a code its text, or the code where it has none."""
    if row.component(2) in ("CE", "CWE", "CNE", "CF"):
        return any(is_side(triplet.text or triplet.code) for triplet in row.triplets(5))
    return is_side(row.text(5))


def _in_words(order: _Order, rows: Sequence[Segment], settings: Hl7) -> list[_Found]:
    """The categories of the report's text. Everything else of the message that speaks of BI-RADS must stand there, or
    be a category on its own."""
    if not settings.reads_text:
        return []
    rows = [row for row in rows if not _category_paths(row, settings)]
    text = _text(rows)
    elsewhere = [row.text(3) for row in rows if not names(row.text(5))]
    elsewhere += [row.text(5) for row in rows if row.component(2) not in _TEXT_TYPES]
    if names("\n".join((*elsewhere, *(note.text(3) for note in order.notes)))):
        raise NotUsable(f"{UNREADABLE} (hl7.category)")
    texts = [row for row in rows if row.component(2) in _TEXT_TYPES]
    if any(_ENDS_ANNOUNCING.search(repetition) for row in texts for repetition in row.repetitions(5)[:-1]):
        raise NotUsable("a repetition of OBX-5 ends between BI-RADS and its category")
    try:
        found = categories_in(text)
    except ValueError as error:
        raise NotUsable(str(error)) from error
    if found and any((sides := _sides_of_name(row)) and breasts_in(row.text(5)) - set(sides) for row in texts):
        raise NotUsable("the name of a row (OBX-3) and its text name different breasts")
    if any(not sides and _is_a_letter(row) for sides, _ in found for row in texts):
        raise NotUsable("the code of a row (OBX-3) may be of a side, and its category names none")
    return [(None, sides, category) for sides, category in found]


def _category(row: Segment, path: FieldPath) -> Category:
    """Of a value like 397144001^Suspicious^SCT, MA.II.A.5.4A^…^BI, 4A or "BI-RADS 4A"; of all the codes of a field, the
    alternate ones too, where they agree.

    A code is of its coding system (CWE.3) alone: II.AC.b.4 is no Roman two, and a site's own 4 may mean anything.
    """
    if path.field == 5 and not _is_plain(row):  # its data type is OBX-2
        raise NotUsable("its BI-RADS category is no plain value of a data type that is read (OBX-2)")
    said: set[Category | None] = set()
    against: set[Category | None] = set()  # what a text says whose code is not known
    for code, text, system in row.triplets(path.field):
        if not system:
            said |= {category_in(code), category_in(text)}
        elif category := category_of_code(system, code):
            said.add(category)
        elif names(text):
            against.add(category_in(text))
    category = said.pop() if len(said := said - {None}) == 1 else None
    if category is None or against - {None, category}:
        raise NotUsable("its BI-RADS category is none that is known")
    return category


def _is_plain(row: Segment) -> bool:
    """Whether the value of a row is a code, a text or a number: a structured number (SN, chapter 2.A.71) has no
    comparator and no second number."""
    if row.component(2) == "SN":
        said = [re.split(re.escape(row.separators[3]), repetition) for repetition in row.repetitions(5)]
        return all(not parts[0].strip() and not any(part.strip() for part in parts[2:]) for parts in said)
    return row.component(2) in _CATEGORY_TYPES


def _sides(row: Segment, rows: Iterable[Segment], settings: Hl7) -> Sides:
    """Of a value like 7771000^Left^SCT, L, or LB^Left breast; all that is said of the side must agree."""
    sub_id = row.component(4)
    beside = [row, *(other for other in rows if sub_id and other.component(4) == sub_id)]
    named = {side for side in [_sides_of_name(row)] if side}
    named |= {_sides_of_field(segment, path) for segment in beside for path in _lateralities(segment, settings)}
    for path in _category_paths(row, settings):
        for part in (part for triplet in row.triplets(path.field) for part in (triplet.code, triplet.text)):
            try:
                named |= {side for side in [sides_beside(part)] if side}
            except ValueError as error:
                raise NotUsable(str(error)) from error
    if len(named) > 1:
        raise NotUsable("the laterality of its BI-RADS category is said in several ways that do not agree")
    return named.pop() if named else ()


def _sides_of_name(row: Segment) -> Sides:
    """The side that the name of a row (OBX-3) gives it: "Assessment category, left breast"."""
    return next(filter(None, (sides_in(triplet.text) for triplet in row.triplets(3) if len(triplet.text) > 1)), ())


def _sides_of_field(row: Segment, path: FieldPath) -> Sides:
    # Code and text, and both in the sender's own words (data type CWE); between them stand names of systems.
    said = [part for triplet in row.triplets(path.field) for part in (triplet.code, triplet.text) if part]
    if path.component > 1:
        said = row.every(path.field, path.component)
    named = {sides for part in said if (sides := sides_of_code(part) or sides_in(part))}
    if len(named) != 1:
        raise NotUsable("the laterality of its BI-RADS category is not known")
    return named.pop()


def _names_somebody(segments: Sequence[Segment], settings: Hl7) -> bool:
    """By a number, a name, or both (data types XCN and NDL)."""
    paths = map(FieldPath.of, settings.observer)
    return any(
        path.is_in(segment) and re.search(r"\w", segment.text(path.field)) for path in paths for segment in segments
    )


def _patient_ids(segments: Iterable[Segment], settings: Hl7) -> list[str]:
    """All of them: which one the images carry is not known here."""
    found = [
        said
        for path in map(FieldPath.of, settings.patient_id)
        for segment in segments
        if path.is_in(segment)
        for said in segment.every(path.field, path.component)
    ]
    return list(dict.fromkeys(found))


def _without_contradiction(found: Iterable[StatedAssessment]) -> Iterator[StatedAssessment]:
    """Each breast's category once; an order may name a study by its UID, and another one by its accession number."""
    known: dict[tuple[str, Laterality | None], StatedAssessment] = {}
    given: set[tuple[str, str, Laterality | None]] = set()
    for assessment in found:
        for study in filter(None, (assessment.study_instance_uid, assessment.accession_number)):
            if known.setdefault((study, assessment.laterality), assessment).category is not assessment.category:
                raise NotUsable(SEVERAL)
        if (key := (assessment.study_instance_uid, assessment.accession_number, assessment.laterality)) not in given:
            given.add(key)
            yield assessment


def _moment(stated: str) -> datetime | None:
    """A time stamp (data type TS) with a time of day; without a zone, in this machine's."""
    found = _MOMENT.match(stated)
    if found is None:
        return None
    digits, zone = "".join(part or "00" for part in found.groups()[:6]), found[7]
    try:
        return datetime.strptime(digits + (zone or ""), "%Y%m%d%H%M%S" + ("%z" if zone else "")).astimezone()
    except (ValueError, OverflowError):
        return None
