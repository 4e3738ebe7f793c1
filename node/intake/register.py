"""Registers a new instance in its study; for received instances and for files of `mammo-node read`."""

from __future__ import annotations

from sqlalchemy.orm import Session

from dicom_io.headers import InstanceHeader
from dicom_io.instance_kinds import InstanceKind
from node.intake.rejected import exclude, rejection_of
from node.store.states import StudyState
from node.store.tables import Instance, Study
from node.store.unread import Unread
from node.store.urgency import Urgency
from node.studies.lifecycle import (
    ask_for_reading,
    hold_two_patients,
    locked_study,
    reopen,
)


def register(
    session: Session,
    header: InstanceHeader,
    transfer_syntax_uid: str,
    path: str,
    source: str,
    now: float,
    reads_secondary_capture: bool,
    left_out: str = "",
    urgency: Urgency | None = None,
    sha256: str | None = None,
) -> Instance:
    """Stores the row of a new instance, updates its study and queues its reading; within a transaction.

    Args:
        path: of the file, relative to the data folder; the file must be durable before the commit.
        source: the calling AE title, "" for files.
        now: UTC seconds since the epoch.
        reads_secondary_capture: whether secondary captures from this source are mammograms.
        left_out: the reason if a route says that it is not read.
        urgency: that it gives its study; None: it states none.
        sha256: of the file, in hexadecimal; None: not known.
    """
    study = locked_study(session, header.study_instance_uid, source, now, urgency)
    study.last_received_at = now
    study.decide_at = 0.0
    study.images_purged_at = None
    instance = Instance(
        study=study,
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        series_instance_uid=header.series_instance_uid,
        patient=header.patient,
        accession_number=header.accession_number,
        transfer_syntax_uid=transfer_syntax_uid,
        kind=header.kind,
        laterality=header.laterality,
        view=header.view,
        extent=header.extent,
        no_view=header.no_view,
        acquisition=header.acquisition.as_json(),
        path=path,
        received_at=now,
        left_out=bool(left_out) and header.kind.is_image,
        sha256=sha256,
    )
    session.add(instance)
    session.flush()
    hold_two_patients(session, study, now)
    if header.kind.is_image:
        reopen(session, study, now, new_image=True)
    rejection = rejection_of(session, header.sop_instance_uid) if header.kind.is_image else None
    if rejection is not None:
        exclude(instance, rejection)
    elif instance.left_out:
        instance.leave_unread(Unread.LEFT_OUT, left_out)
    elif header.kind.is_image:
        instance.leave_unread(_why_unread(study, header, reads_secondary_capture))
    if header.kind.is_for_display and instance.unread is None:
        ask_for_reading(session, study, instance)
    return instance


def never_read(header: InstanceHeader, *, reads_secondary_capture: bool) -> Unread | None:
    """Why an instance is never read, independent of its study; None if it may be read."""
    if header.no_view:
        return Unread.NO_VIEW
    match header.kind:
        case InstanceKind.OTHER_IMAGE:
            return Unread.NO_MAMMOGRAM
        case InstanceKind.SECONDARY_CAPTURE if not reads_secondary_capture:
            return Unread.SECONDARY_CAPTURE
        case InstanceKind.FOR_PRESENTATION | InstanceKind.SECONDARY_CAPTURE | InstanceKind.FOR_PROCESSING:
            return None
        case _:
            return Unread.NO_IMAGE


def _why_unread(study: Study, header: InstanceHeader, reads_secondary_capture: bool) -> Unread | None:
    in_quarantine = Unread.IN_QUARANTINE if study.state is StudyState.QUARANTINED else None
    return never_read(header, reads_secondary_capture=reads_secondary_capture) or in_quarantine
