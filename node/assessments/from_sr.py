"""A structured report by somebody else has come: its BI-RADS categories are entered, or its row says why not."""

from __future__ import annotations

import logging

from sqlalchemy.orm import Session

from dicom_io.assessments import ReadReport
from node.assessments.entered import enter
from node.store.tables import Instance

log = logging.getLogger(__name__)


def enter_report(session: Session, instance: Instance, report: ReadReport, now: float) -> None:
    """Enters what a report says, in place of what it said when it came before, and of its predecessors.

    The report is kept with its study in any case. Its row holds why its categories are not used, which `status` and
    `birads list` show. Our own reports never come this far (node.intake.receiving).
    """
    instance.refusal = report.refusal
    if report.refusal:
        log.warning(
            "study %d: instance %d: no assessment taken from it: %s", instance.study_id, instance.id, report.refusal
        )
    enter(session, report.stated, "SR", now, in_place_of=report.replaces)
