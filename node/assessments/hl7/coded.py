"""BI-RADS categories and sides in fields of their own, as codes or short values (HL7 v2.5.1 chapter 7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from config.hl7 import Hl7
from dicom_io.assessments import sides_of_code
from dicom_io.results.birads_codes import category_of_code
from models.types.birads import Category
from node.assessments.hl7.message import FieldPath, NotUsable, Segment
from node.assessments.hl7.orders import Order
from node.assessments.text.report import category_in, is_side, sides_beside, sides_in
from node.assessments.text.spelling import names
from node.assessments.text.words import Sides

TEXT_TYPES = frozenset({"TX", "FT", "ST"})
"""Data types (HL7 table 0125) of a report's text."""
_CATEGORY_TYPES = TEXT_TYPES | {"", "CE", "CWE", "CNE", "CF", "ID", "IS", "NM"}
"""Data types whose whole value may be a category; for SN see `_is_plain`."""


def category_paths(row: Segment, settings: Hl7) -> list[FieldPath]:
    """The fields of a row that hold a category."""
    paths = (FieldPath.of(setting) for setting in settings.category)
    return [path for path in paths if path.is_in(row) and row.text(path.field)]


def _laterality_paths(row: Segment, settings: Hl7) -> list[FieldPath]:
    """The fields of a row that hold a side."""
    paths = (FieldPath.of(setting) for setting in settings.laterality)
    return [path for path in paths if path.is_in(row) and row.text(path.field)]


def category_of(row: Segment, path: FieldPath) -> Category:
    """The category of a value like 397144001^Suspicious^SCT, MA.II.A.5.4A^…^BI, 4A or "BI-RADS 4A". All codes of the
    field, also the alternate ones, must agree.

    A code is interpreted by its coding system (CWE.3) only: II.AC.b.4 is no Roman two, and a local code 4 may mean
    anything.

    Raises:
        NotUsable: the value is no known category.
    """
    if path.field == 5 and not _is_plain(row):  # its data type is OBX-2
        raise NotUsable("its BI-RADS category is no plain value of a data type that is read (OBX-2)")
    stated: set[Category | None] = set()
    of_unknown_codes: set[Category | None] = set()  # by their text
    for code, text, system in row.triplets(path.field):
        if not system:
            stated |= {category_in(code), category_in(text)}
        elif category := category_of_code(system, code):
            stated.add(category)
        elif names(text):
            of_unknown_codes.add(category_in(text))
    category = stated.pop() if len(stated := stated - {None}) == 1 else None
    if category is None or of_unknown_codes - {None, category}:
        raise NotUsable("its BI-RADS category is none that is known")
    return category


def _is_plain(row: Segment) -> bool:
    """Whether the value of a row is a code, a text or a number; a structured number (SN, chapter 2.A.71) must have no
    comparator and no second number."""
    if row.component(2) == "SN":
        numbers = [re.split(re.escape(row.separators[3]), repetition) for repetition in row.repetitions(5)]
        return all(not parts[0].strip() and not any(part.strip() for part in parts[2:]) for parts in numbers)
    return row.component(2) in _CATEGORY_TYPES


def sides_of(row: Segment, rows: Iterable[Segment], settings: Hl7) -> Sides:
    """The breasts of a value like 7771000^Left^SCT, L, or LB^Left breast. All statements of the side must agree."""
    sub_id = row.component(4)
    beside = [row, *(other for other in rows if sub_id and other.component(4) == sub_id)]
    named = {side for side in [sides_of_name(row)] if side}
    named |= {_sides_of_field(segment, path) for segment in beside for path in _laterality_paths(segment, settings)}
    for path in category_paths(row, settings):
        for part in (part for triplet in row.triplets(path.field) for part in (triplet.code, triplet.text)):
            try:
                named |= {side for side in [sides_beside(part)] if side}
            except ValueError as error:
                raise NotUsable(str(error)) from error
    if len(named) > 1:
        raise NotUsable("the laterality of its BI-RADS category is said in several ways that do not agree")
    return named.pop() if named else ()


def sides_of_name(row: Segment) -> Sides:
    """The side in the name of a row (OBX-3), for example "Assessment category, left breast"."""
    return next(filter(None, (sides_in(triplet.text) for triplet in row.triplets(3) if len(triplet.text) > 1)), ())


def _sides_of_field(row: Segment, path: FieldPath) -> Sides:
    # Code and text, also the alternate ones (data type CWE), without the names of the coding systems.
    parts = [part for triplet in row.triplets(path.field) for part in (triplet.code, triplet.text) if part]
    if path.component > 1:
        parts = row.every(path.field, path.component)
    named = {sides for part in parts if (sides := sides_of_code(part) or sides_in(part))}
    if len(named) != 1:
        raise NotUsable("the laterality of its BI-RADS category is not known")
    return named.pop()


def refuse_unused_sides(order: Order, rows: Sequence[Segment], settings: Hl7) -> None:
    """Raises NotUsable if a row states a side and it is unclear to which category the side belongs."""
    coded = [row for row in rows if category_paths(row, settings)]
    sub_ids = {row.component(4) for row in coded} - {""}
    read = {id(row) for row in rows if row.component(2) in TEXT_TYPES} if settings.reads_text else set()
    names_of_rows = [row.raw(3) for row in order.rows]  # lines of a report have the same name
    for row in order.rows:
        if any(row is other for other in coded) or (
            row.component(4) in sub_ids and any(row is other for other in rows)
        ):
            continue
        if _laterality_paths(row, settings) or (
            _is_a_side(row) and (id(row) not in read or names_of_rows.count(row.raw(3)) == 1)
        ):
            raise NotUsable("it says a laterality, and not of which BI-RADS category (OBX-4 tells them apart)")


def _is_a_side(row: Segment) -> bool:
    """Whether the value of a row is only a side: the text of a code, or the code if it has no text."""
    if row.component(2) in ("CE", "CWE", "CNE", "CF"):
        return any(is_side(triplet.text or triplet.code) for triplet in row.triplets(5))
    return is_side(row.text(5))
