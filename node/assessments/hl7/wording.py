"""BI-RADS categories in the text of the report, which senders spread over rows (OBX)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from config.hl7 import Hl7
from models.types.birads import Category
from node.assessments.hl7.coded import TEXT_TYPES, category_paths, sides_of_name
from node.assessments.hl7.message import NotUsable, Segment, first_value
from node.assessments.hl7.orders import Order
from node.assessments.text.report import breasts_in, categories_in
from node.assessments.text.sentence import UNREADABLE
from node.assessments.text.spelling import names
from node.assessments.text.words import Sides

_ENDS_ANNOUNCING = re.compile(r"RADS?[\W_]*$", re.IGNORECASE)


def categories_in_text(order: Order, rows: Sequence[Segment], settings: Hl7) -> list[tuple[Sides, Category]]:
    """The breasts and the category of each statement in the report's text.

    Raises:
        NotUsable: another field mentions BI-RADS and is no coded category, or the text cannot be read.
    """
    if not settings.reads_text:
        return []
    rows = [row for row in rows if not category_paths(row, settings)]
    text = text_of(rows)
    elsewhere = [row.text(3) for row in rows if not names(row.text(5))]
    elsewhere += [row.text(5) for row in rows if row.component(2) not in TEXT_TYPES]
    if names("\n".join((*elsewhere, *(note.text(3) for note in order.notes)))):
        raise NotUsable(f"{UNREADABLE} (hl7.category)")
    texts = [row for row in rows if row.component(2) in TEXT_TYPES]
    if any(_ENDS_ANNOUNCING.search(repetition) for row in texts for repetition in row.repetitions(5)[:-1]):
        raise NotUsable("a repetition of OBX-5 ends between BI-RADS and its category")
    try:
        found = categories_in(text, exam_year_of(order))
    except ValueError as error:
        raise NotUsable(str(error)) from error
    if found and any((sides := sides_of_name(row)) and breasts_in(row.text(5)) - set(sides) for row in texts):
        raise NotUsable("the name of a row (OBX-3) and its text name different breasts")
    if any(not sides and _is_named_by_a_letter(row) for sides, _ in found for row in texts):
        raise NotUsable("the code of a row (OBX-3) may be of a side, and its category names none")
    return found


def exam_year_of(order: Order) -> int | None:
    """The year of the exam (OBR-7); None if it is not stated."""
    stated = first_value(["OBR-7"], order.context)[:4]
    return int(stated) if re.fullmatch(r"[0-9]{4}", stated) else None


def text_of(rows: Iterable[Segment]) -> str:
    """The report's text: the rows, with the name of the rows (OBX-3) as a heading where it changes."""
    lines: list[str] = []
    name = None
    for row in rows:
        if row.component(2) not in TEXT_TYPES:
            continue
        if name != (name := _name_of(row)):
            lines += ["", "" if names(name) else f"{name.replace(':', ' ')}:"]
        lines.append(row.text(5))
    return "\n".join(lines)


def _name_of(row: Segment) -> str:
    """The name of a row (OBX-3), or its code if it has no name; "" if that has no letters, or is L or R, whose meaning
    is unclear."""
    name = row.component(3, 2) or row.component(3, 5) or row.component(3)
    return "" if _is_named_by_a_letter(row) or not re.search(r"[^\W\d]", name) else name


def _is_named_by_a_letter(row: Segment) -> bool:
    """Whether the name of a row is only L or R, which may mean a side, or for example a report or result."""
    return (row.component(3, 2) or row.component(3, 5) or row.component(3)).upper() in ("L", "R")
