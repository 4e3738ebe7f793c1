"""What a new instance means to its study: the transaction's part of receiving, for the network and for files."""

from __future__ import annotations

from sqlalchemy.orm import Session

from dicom_io.headers import InstanceHeader
from dicom_io.instance_kinds import InstanceKind
from node.store.states import StudyState
from node.store.tables import Instance, Study
from node.studies.lifecycle import (
    IN_QUARANTINE,
    TWO_PATIENTS,
    are_two_patients,
    ask_for_reading,
    locked_study,
    quarantine,
    reopen,
)

_NO_MAMMOGRAM = "an image, but no mammogram"
_SECONDARY_CAPTURE = (
    "secondary capture: read as a mammogram only where the setting reads_secondary_capture of its sender says so"
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
) -> Instance:
    """Enters an instance that is not known yet, moves its study and asks for its reading; within a transaction.

    Args:
        path: of the file, relative to the data folder; its bytes and name must be durable before the commit.
        source: the calling AE title, "" for files.
        now: UTC seconds since the epoch.
        reads_secondary_capture: whether secondary captures from this source are mammograms.
        left_out: why it is not to be read, where a route says so.
    """
    study = locked_study(session, header.study_instance_uid, source, now)
    study.last_received_at = now
    study.decide_at = 0.0
    instance = Instance(
        study=study,
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        series_instance_uid=header.series_instance_uid,
        patient_id=header.patient_id,
        patient_birth_date=header.patient_birth_date,
        accession_number=header.accession_number,
        transfer_syntax_uid=transfer_syntax_uid,
        kind=header.kind,
        laterality=header.laterality,
        view=header.view,
        extent=header.extent,
        no_view=header.no_view,
        path=path,
        received_at=now,
        left_out=bool(left_out) and header.kind.is_image,
    )
    session.add(instance)
    session.flush()
    if are_two_patients(session, study):
        quarantine(session, study, TWO_PATIENTS)
    if header.kind.is_image:
        reopen(session, study, now, new_image=True)
    instance.unread_reason = left_out if instance.left_out else _unread_reason(study, header, reads_secondary_capture)
    if instance.unread_reason is None and header.kind in (
        InstanceKind.FOR_PRESENTATION,
        InstanceKind.SECONDARY_CAPTURE,
    ):
        ask_for_reading(session, study, instance)
    return instance


def not_read_as_it_is(header: InstanceHeader, *, reads_secondary_capture: bool) -> str | None:
    """Why an instance is never read, whatever its study; None where it may be."""
    if header.no_view:
        return header.no_view
    match header.kind:
        case InstanceKind.OTHER_IMAGE:
            return _NO_MAMMOGRAM
        case InstanceKind.SECONDARY_CAPTURE if not reads_secondary_capture:
            return _SECONDARY_CAPTURE
        case InstanceKind.FOR_PRESENTATION | InstanceKind.SECONDARY_CAPTURE | InstanceKind.FOR_PROCESSING:
            return None
        case _:
            return "no image"


def _unread_reason(study: Study, header: InstanceHeader, reads_secondary_capture: bool) -> str | None:
    if not header.kind.is_image:
        return None
    against = not_read_as_it_is(header, reads_secondary_capture=reads_secondary_capture)
    return against or (IN_QUARANTINE if study.state is StudyState.QUARANTINED else None)
