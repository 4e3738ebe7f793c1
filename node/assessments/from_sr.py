"""A structured report by somebody else has come: its BI-RADS categories are entered, or its row says why not."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from dicom_io.assessments import StatedAssessment, predecessors, read_assessments
from dicom_io.attributes import text
from dicom_io.errors import NotReadable
from dicom_io.segmentations import read_header
from node.assessments.entered import enter
from node.tables import Instance

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadReport:
    """What a report says.

    Attributes:
        replaces: the SOP Instance UIDs of the documents whose place it takes; its own among them.
        refusal: why its categories are not used; None where they are, or where it holds none.
    """

    stated: tuple[StatedAssessment, ...]
    replaces: frozenset[str]
    refusal: str | None


def read_report(path: Path) -> ReadReport:
    """Reads a structured report, which a process of its own does (node.receiving).

    Raises:
        NotReadable: it is damaged.
        OSError: it cannot be had.
    """
    dataset = read_header(path)
    itself = frozenset({text(dataset, "SOPInstanceUID")})
    try:
        stated = tuple(read_assessments(dataset))
    except NotReadable as refusal:
        return ReadReport((), itself, str(refusal))
    # An addendum without a category leaves what it is an addendum to.
    return ReadReport(stated, itself | predecessors(dataset) if stated else itself, None)


def enter_report(session: Session, instance: Instance, report: ReadReport, now: float) -> None:
    """Enters what a report says, in place of what it said when it came before, and of its predecessors.

    The report is kept either way, with its study. Why its categories are not used stands in its row, where `status` and
    `birads list` show it. Our own reports never come this far (node.receiving).
    """
    instance.unread_reason = report.refusal
    if report.refusal:
        log.warning(
            "study %d: instance %d: no assessment taken from it: %s", instance.study_id, instance.id, report.refusal
        )
    enter(session, report.stated, "SR", now, in_place_of=report.replaces)
