"""A structured report by somebody else has come: its BI-RADS categories are entered, or its row says why not."""

from __future__ import annotations

import logging
from pathlib import Path

from pydicom import dcmread
from sqlalchemy.orm import Session

from dicom_io.assessments import StatedAssessment, read_assessments
from dicom_io.errors import NotReadable
from dicom_io.headers import InstanceKind
from node.assessments.entered import enter
from node.tables import Instance

log = logging.getLogger(__name__)


def enter_report(session: Session, instance: Instance, data_dir: Path, now: float) -> None:
    """Enters what a report says, in place of what it said when it came before; does nothing for other kinds.

    The report is kept either way, with its study. Why its categories are not used stands in its row, where `status` and
    `birads list` show it. Our own reports never come this far (node.receiving).
    """
    if instance.kind != InstanceKind.REPORT:
        return
    stated: list[StatedAssessment] = []
    instance.unread_reason = None
    try:
        stated = read_assessments(dcmread(data_dir / instance.path, stop_before_pixels=True))
    except NotReadable as refusal:
        instance.unread_reason = str(refusal)
        log.warning("study %d: instance %d: no assessment taken from it: %s", instance.study_id, instance.id, refusal)
    enter(session, stated, "SR", now, in_place_of=instance.sop_instance_uid)
