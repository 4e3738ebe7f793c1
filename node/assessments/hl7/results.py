"""The BI-RADS categories of an ORU^R01 message (HL7 v2.5.1 chapter 7).

HL7 defines no field for a BI-RADS category, so every field is a setting. A coded category and the text of the report
must agree. Only final (F) and corrected (C) results count, and only if a person is responsible for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from config.hl7 import Hl7
from dicom_io.assessments import StatedAssessment
from models.types.birads import Category, most_severe
from models.types.mammogram import Laterality
from node.assessments.hl7.coded import category_of, category_paths, refuse_unused_sides, sides_of
from node.assessments.hl7.mentions import is_named_in_unread_field, mentions_birads
from node.assessments.hl7.message import FieldPath, Message, NotUsable, Segment, first_value
from node.assessments.hl7.orders import FINAL, WITHDRAWN, Order, order_key, orders_of, patient_ids
from node.assessments.hl7.wording import categories_in_text, text_of
from node.assessments.text.doubt import names_doubt
from node.assessments.text.report import CORRECTED, PRELIMINARY, SEVERAL
from node.assessments.text.sentence import UNREADABLE
from node.assessments.text.words import Sides, corrects, not_final, unnamed
from node.assessments.withdrawn import Subject

NO_CATEGORY = "no BI-RADS category in it: nothing to enter"
NOT_FINAL = "a preliminary result: not used before it is final"
_PROSE = {"OBX": (3, 5), "NTE": (3,)}
"""Fields with prose, by segment."""
_TIMESTAMP = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:\.\d+)?([+-]\d{4})?")

_Found = tuple[Segment | None, Sides, Category]
"""A category, its breasts, and its row if it stands in a field of its own; None: it stands in the report's text."""


@dataclass(frozen=True)
class Results:
    """The assessments of a message.

    Attributes:
        note: the reason if there are none.
        takes_back: what its orders are about that state no category, and correct or withdraw a report.
    """

    assessments: tuple[StatedAssessment, ...]
    note: str = ""
    takes_back: tuple[Subject, ...] = ()


def results_of(message: Message, settings: Hl7) -> Results:
    """The assessments of a message.

    Raises:
        NotUsable: it mentions BI-RADS, but study, person, breast or category is missing or unclear.
    """
    found: list[StatedAssessment] = []
    mentioned_with: set[str] = set()  # the statuses of results that mention BI-RADS
    final = False
    orders, stating = list(orders_of(message)), []
    for order in orders:
        for status, rows in order.by_status().items():
            final = final or status == FINAL
            if mentions_birads(order, rows, settings):
                mentioned_with.add(status)
                if status == FINAL:
                    stated = list(_stated(order, rows, message, settings))
                    if not stated:
                        raise NotUsable(f"{UNREADABLE} (hl7.category)")
                    found += stated
                    stating.append(order)
    if (final or not any(order.rows for order in orders)) and is_named_in_unread_field(message, settings, bool(found)):
        raise NotUsable(f"{UNREADABLE}: a field that is not read names BI-RADS")
    takes_back = tuple(
        subject_of(order, settings)
        for order in orders
        if not any(order is other for other in stating) and (order.takes_back or _says_that_it_corrects(order))
    )
    if found:
        if any(corrects(segment.text(field)) for segment in message.segments for field in _PROSE.get(segment.name, ())):
            raise NotUsable(CORRECTED)
        return Results(tuple(_without_contradiction(found)), "", takes_back)
    if WITHDRAWN in mentioned_with:
        raise NotUsable("it takes a result back: mammo-node keeps what it was told, send a corrected result")
    return Results((), NOT_FINAL if mentioned_with else NO_CATEGORY, takes_back)


def _says_that_it_corrects(order: Order) -> bool:
    prose = [*((row, 3) for row in order.rows), *((row, 5) for row in order.rows), *((note, 3) for note in order.notes)]
    return any(corrects(segment.text(field)) for segment, field in prose)


def subject_of(order: Order, settings: Hl7) -> Subject:
    """The study and the order that an order of a message is about."""
    segments = [*order.context, *order.rows]
    return Subject(
        first_value(settings.study_instance_uid, segments),
        first_value(settings.accession_number, segments),
        order_key(order.context),
    )


def _stated(order: Order, rows: Sequence[Segment], message: Message, settings: Hl7) -> Iterator[StatedAssessment]:
    coded = [
        (row, sides_of(row, rows, settings), category_of(row, path))
        for row in rows
        for path in category_paths(row, settings)
    ]
    worded = [(None, sides, category) for sides, category in categories_in_text(order, rows, settings)]
    if coded and worded and not _agree(_by_breast(coded), _by_breast(worded)):
        raise NotUsable("its coded BI-RADS categories and those of its text are not the same")
    others = [row for row in rows if not category_paths(row, settings)]
    if coded and not worded and settings.reads_text and unnamed(text_of(others)):
        raise NotUsable("its text may give another BI-RADS category than its coded one")
    if any(names_doubt(row.text(3)) for row, _, _ in coded):
        raise NotUsable("the name of its BI-RADS category (OBX-3) is of the past, a machine or another reader")
    if coded and settings.reads_text and not_final(text_of(others)):
        raise NotUsable(PRELIMINARY)
    if coded or worded:
        refuse_unused_sides(order, rows, settings)
    for row, sides, category in (*coded, *worded):
        context = [*([row] if row else rows), *order.context]
        if any(re.search(r"\w", segment.raw(18)) for segment in context if segment.name == "OBX"):
            raise NotUsable("its result names equipment as its source (OBX-18): a machine is no radiologist")
        if settings.observer and not _names_a_person(context, settings):
            raise NotUsable("it names no person who answers for the result (hl7.observer)")
        study = first_value(settings.study_instance_uid, [*order.context, *rows])
        accession = first_value(settings.accession_number, [*order.context, *rows])
        if not study and not accession:
            raise NotUsable("it names no study (hl7.study_instance_uid, hl7.accession_number)")
        for side in sides or (None,):
            yield StatedAssessment(
                document=message.document,
                study_instance_uid=study,
                accession_number=accession,
                patient_id="\\".join(patient_ids(order.context, settings)),
                laterality=side,
                category=category,
                assessed_at=_timestamp(first_value(settings.assessed_at, context)),
                order=order_key(order.context),
            )


def _by_breast(found: Iterable[_Found]) -> dict[Laterality | None, set[Category]]:
    """The categories of each breast, and of the exam (None)."""
    by_breast: dict[Laterality | None, set[Category]] = {}
    for _, sides, category in found:
        for side in sides or (None,):
            by_breast.setdefault(side, set()).add(category)
    return by_breast


def _agree(coded: dict[Laterality | None, set[Category]], worded: dict[Laterality | None, set[Category]]) -> bool:
    """Whether both have the same categories. One may state only the exam's, as the most severe of the breasts'."""
    exams = [stated.pop(None) for stated in (coded, worded) if None in stated]
    breasts = coded or worded
    if any(exam != exams[0] for exam in exams) or (coded and worded and coded != worded):
        return False
    if len(exams) == 2 or not exams:
        return bool(exams) or coded == worded
    return exams[0] == {most_severe(category for several in breasts.values() for category in several)}


def _names_a_person(segments: Sequence[Segment], settings: Hl7) -> bool:
    """Whether the fields of `observer` have a number or a name (data types XCN and NDL)."""
    paths = map(FieldPath.of, settings.observer)
    return any(
        path.is_in(segment) and re.search(r"\w", segment.text(path.field)) for path in paths for segment in segments
    )


def _without_contradiction(found: Iterable[StatedAssessment]) -> Iterator[StatedAssessment]:
    """One category per breast and study. One order may name a study by its UID, and another by accession number.

    Raises:
        NotUsable: a breast has several categories.
    """
    known: dict[tuple[str, Laterality | None], StatedAssessment] = {}
    given: set[tuple[str, str, Laterality | None]] = set()
    for assessment in found:
        for study in filter(None, (assessment.study_instance_uid, assessment.accession_number)):
            if known.setdefault((study, assessment.laterality), assessment).category is not assessment.category:
                raise NotUsable(SEVERAL)
        if (key := (assessment.study_instance_uid, assessment.accession_number, assessment.laterality)) not in given:
            given.add(key)
            yield assessment


def _timestamp(stated: str) -> datetime | None:
    """A time stamp (data type TS) with a time of day, in its time zone, else in this machine's; else None."""
    found = _TIMESTAMP.match(stated)
    if found is None:
        return None
    digits, zone = "".join(part or "00" for part in found.groups()[:6]), found[7]
    try:
        return datetime.strptime(digits + (zone or ""), "%Y%m%d%H%M%S" + ("%z" if zone else "")).astimezone()
    except (ValueError, OverflowError):
        return None
