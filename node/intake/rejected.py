"""Images that a rejection note of another system names (IHE RAD TF-3 4.66): they are not read, and count no more."""

from __future__ import annotations

import logging
from collections import defaultdict

from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.rejection_notes import RejectionNote
from dicom_io.rejection_reasons import RejectionReason
from models.types.words import counted
from node.delivery.outbox import hold_back_replaced
from node.store.tables import Instance, RejectedInstance, Study
from node.store.unread import Unread
from node.studies.lifecycle import cancel_readings, reopen

log = logging.getLogger(__name__)

_AT_ONCE = 500


def said_of(note: RejectionNote) -> str:
    """What a note says, in words without patient data."""
    named = f"{note.reason.meaning} ({note.reason}, DCM): {counted(len(note.instances), 'instance')}"
    return f"a rejection note: {named}" + ("" if note.reason.excludes else ", whose results stay")


def enter_rejection(session: Session, instance: Instance, note: RejectionNote, now: float) -> None:
    """Enters what a note rejects, and excludes the images of it that are here: a study with a report is reported again.

    Args:
        instance: the note's.
    """
    instance.leave_unread(Unread.REJECTED, said_of(note))
    log.info("study %d: instance %d is %s", instance.study_id, instance.id, said_of(note))
    uids = list(note.instances)
    for begin in range(0, len(uids), _AT_ONCE):
        _remember(session, uids[begin : begin + _AT_ONCE], note.reason)
    if not note.reason.excludes:
        return
    by_study: dict[int, list[Instance]] = defaultdict(list)
    for begin in range(0, len(uids), _AT_ONCE):
        named = select(Instance).where(Instance.sop_instance_uid.in_(uids[begin : begin + _AT_ONCE]))
        for image in session.scalars(named):
            if image.kind.is_image and image.unread is not Unread.REJECTED:
                by_study[image.study_id].append(image)
    for study_id, images in sorted(by_study.items()):  # in this order, so that two notes do not wait for each other
        study = session.get_one(Study, study_id, with_for_update=True)
        for image in images:
            session.refresh(image)
            cancel_readings(session, image)
            exclude(image, note.reason)
        study.decide_at = 0.0
        reopen(session, study, now, new_image=False)
        hold_back_replaced(session, study)
        log.warning("study %d: %s rejected: %s", study.id, counted(len(images), "image"), note.reason.meaning)


def rejection_of(session: Session, sop_instance_uid: str) -> RejectionReason | None:
    """Why an instance was rejected before it came; None: it was not, or it counts all the same."""
    stated = select(RejectedInstance.reason).where(RejectedInstance.sop_instance_uid == sop_instance_uid)
    reason = session.scalar(stated)
    return reason if reason is not None and reason.excludes else None


def exclude(image: Instance, reason: RejectionReason) -> None:
    """Leaves an image out, with what was read of it."""
    image.left_out = True
    image.leave_unread(Unread.REJECTED, f"rejected where it came from: {reason.meaning} ({reason}, DCM)")
    image.reading = image.masks_path = image.read_at = None


def _remember(session: Session, uids: list[str], reason: RejectionReason) -> None:
    """Of several reasons the first that excludes stays."""
    known = {
        row.sop_instance_uid: row
        for row in session.scalars(select(RejectedInstance).where(RejectedInstance.sop_instance_uid.in_(uids)))
    }
    for uid in uids:
        if uid not in known:
            session.add(RejectedInstance(sop_instance_uid=uid, reason=reason))
        elif not known[uid].reason.excludes:
            known[uid].reason = reason
    session.flush()
