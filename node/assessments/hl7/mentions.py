"""Whether a message mentions BI-RADS: so that no category is lost because its field is not read."""

from __future__ import annotations

from collections.abc import Sequence

from config.hl7 import Hl7
from node.assessments.hl7.coded import TEXT_TYPES, category_paths
from node.assessments.hl7.message import Message, Segment, first_value
from node.assessments.hl7.orders import Order
from node.assessments.text.spelling import names, spelled
from node.assessments.text.words import about_breasts, unnamed

_OF_PEOPLE = frozenset({"MSH", "PID", "NK1"})
"""Segments of the sender, the patient and her family: names in them may look like any word."""


def mentions_birads(order: Order, rows: Sequence[Segment], settings: Hl7) -> bool:
    """Whether an order mentions BI-RADS, also in fields that `settings` do not name: such a message is refused, and not
    ignored."""
    if any(category_paths(row, settings) or _is_named_in_row(row) for row in rows):
        return True
    if not settings.reads_text:
        return any(names(row.text(5)) for row in rows if row.component(2) not in TEXT_TYPES)
    prose = "\n".join(segment.text(5 if segment.name == "OBX" else 3) for segment in (*rows, *order.notes))
    about = "\n".join((prose, *(row.text(3) for row in rows), first_value(["OBR-4.2"], order.context)))
    return names(prose) > 0 or (unnamed(prose) and about_breasts(about))


def is_named_in_unread_field(message: Message, settings: Hl7, entered: bool) -> bool:
    """Whether a field that is not read names BI-RADS. Allowed are the name of an entered service (OBR-4) and the unit
    (OBX-6) and method (OBX-17) of a category."""
    for segment in message.segments:
        if segment.name in _OF_PEOPLE:
            continue
        read = {"OBX": {3, 5}, "OBR": {4} if entered else set()}.get(segment.name, set())
        if segment.name == "OBX" and category_paths(segment, settings):
            read = read | {6, 17}
        if any(spelled(segment.text(field)) for field in range(1, len(segment.fields)) if field not in read):
            return True
    return False


def _is_named_in_row(row: Segment) -> bool:
    """Whether the name of a row (OBX-3) names BI-RADS; misspelled too, if the row holds a category."""
    name, value = row.text(3), row.text(5)
    return names(name) > 0 or names(f"{name}: {value}") > names(value)
