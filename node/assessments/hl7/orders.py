"""The orders (OBR) of an ORU^R01 message with their results (OBX), by result status."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from config.hl7 import Hl7
from node.assessments.hl7.message import FieldPath, Message, Segment, first_value

FINAL, WITHDRAWN, OTHER = "final", "withdrawn", "other"
_TAKES_BACK = frozenset("CDWX")
_STATUSES = dict.fromkeys("FC", FINAL) | dict.fromkeys("DWX", WITHDRAWN)
"""HL7 table 0085: final, corrected; deleted, wrong, cannot be obtained. All but F take an
earlier result back (`_TAKES_BACK`), of an order (OBR-25, HL7 table 0123) or of a row."""


@dataclass(frozen=True)
class Order:
    """One OBR with its patient and its results."""

    context: tuple[Segment, ...]
    """MSH, PID, OBR, and the segments after it except OBX."""
    rows: tuple[Segment, ...]
    """OBX; empty for an order without a result."""

    @property
    def notes(self) -> list[Segment]:
        """The NTE segments."""
        return [segment for segment in self.context if segment.name == "NTE"]

    def by_status(self) -> dict[str, list[Segment]]:
        """The rows that are final, withdrawn, or have another status."""
        of_order = first_value(["OBR-25"], self.context)
        rows: dict[str, list[Segment]] = {}
        for row in self.rows:
            rows.setdefault(_STATUSES.get(row.component(11) or of_order, OTHER), []).append(row)
        return rows

    @property
    def takes_back(self) -> bool:
        """Whether the status of the order, or of one of its rows, says that it corrects or withdraws a result."""
        statuses = {first_value(["OBR-25"], self.context), *(row.component(11) for row in self.rows)}
        return not statuses.isdisjoint(_TAKES_BACK)


def orders_of(message: Message) -> Iterator[Order]:
    """The orders of a message, also those without results."""
    patient: list[Segment] = []
    context: list[Segment] = [message.header]
    rows: list[Segment] = []
    for segment in message.segments[1:]:
        if segment.name in ("PID", "ORC", "OBR") and rows:
            yield Order(tuple(context), tuple(rows))
            context, rows = [message.header, *patient], []
        elif segment.name == "PID" or (segment.name in ("ORC", "OBR") and _names(context, segment.name)):
            if _names(context, "OBR"):  # the earlier order has no results
                yield Order(tuple(context), ())
            context = [message.header, *patient]
        match segment.name:
            case "OBX":
                rows.append(segment)
            case "PID":
                patient, context = [segment], [message.header, segment]
            case _:
                context.append(segment)
    if rows or _names(context, "OBR"):
        yield Order(tuple(context), tuple(rows))


def _names(segments: Iterable[Segment], name: str) -> bool:
    return any(segment.name == name for segment in segments)


def order_key(context: Sequence[Segment]) -> str:
    """The key by which a later message of the same sender (MSH-3, MSH-4) corrects this order: filler order number, else
    placer order number, with the service (OBR-3, OBR-2, OBR-4); "" if there is no number."""
    application, facility, service = (first_value([path], context) for path in ("MSH-3", "MSH-4", "OBR-4"))
    number = first_value(["OBR-3", "OBR-2"], context)
    return "|".join((application, facility, number, service)) if number else ""


def patient_ids(segments: Iterable[Segment], settings: Hl7) -> list[str]:
    """All patient IDs: the images may have any of them."""
    found = [
        patient_id
        for path in map(FieldPath.of, settings.patient_id)
        for segment in segments
        if path.is_in(segment)
        for patient_id in segment.every(path.field, path.component)
    ]
    return list(dict.fromkeys(found))
