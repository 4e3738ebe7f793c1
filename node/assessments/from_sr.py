"""Stores the BI-RADS categories of a received structured report, or the reason why they are not used."""

from __future__ import annotations

import logging

from sqlalchemy.orm import Session

from dicom_io.assessments import ReadReport
from models.types.birads import AssessmentSource
from node.assessments.entered import enter
from node.assessments.withdrawn import subjects_of, withdraw
from node.store.tables import Instance

log = logging.getLogger(__name__)


def enter_report(session: Session, instance: Instance, report: ReadReport, now: float) -> None:
    """Stores the assessments of a report; they replace those of its earlier version and of its predecessors. A final
    successor without a category that is used withdraws those of the studies of its predecessors.

    The report is stored with its study in any case. Its row has the reason if its categories are not used, which
    `status` and `birads list` show. The node's own reports are not passed here (node.intake.receiving).
    """
    instance.refusal = report.refusal
    if report.refusal:
        log.warning(
            "study %d: instance %d: no assessment taken from it: %s", instance.study_id, instance.id, report.refusal
        )
    if report.takes_back:
        withdraw(session, subjects_of(session, report.takes_back), instance.sop_instance_uid, now)
    enter(session, report.stated, AssessmentSource.SR, now, in_place_of=report.replaces)
