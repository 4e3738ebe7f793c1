"""Handles a SOP Instance UID that is received again: unchanged, corrected header, or contradiction (safety rule 5)."""

from __future__ import annotations

import logging
from enum import Enum, auto

from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.attributes import code, text
from dicom_io.headers import InstanceHeader
from dicom_io.instance_kinds import InstanceKind
from dicom_io.pixels.intact import WholeFile
from dicom_io.pixels.luts import is_inverse, stated_display
from dicom_io.pixels.pixel_element import Span
from dicom_io.pixels.same_header import has_same_header
from dicom_io.results.fingerprints import taken_over
from dicom_io.spacing import spacing_of
from node.archive.digests import ArchivedFile
from node.archive.versions import same_bytes, same_file
from node.delivery.outbox import hold_back_replaced
from node.intake.same_pixels import PixelComparison
from node.store.states import JobState, moved
from node.store.tables import Instance, Job, Result, Study
from node.store.unread import Unread
from node.studies.lifecycle import Contradiction, ask_for_reading, came_again, hold_two_patients, quarantine, reopen

log = logging.getLogger(__name__)

_PICTURE = ("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsStored", "PixelRepresentation")


class Difference(Enum):
    """How a resent file differs from the stored one."""

    NONE = auto()
    HEADER = auto()
    PIXELS = auto()


def compare(old: WholeFile, new: WholeFile, pixels: PixelComparison) -> Difference:
    """Compares the bytes if both have the same transfer syntax; otherwise the decoded values.

    Raises:
        MemoryError: the decoded values do not fit into memory now.
    """
    alike = old.transfer_syntax_uid == new.transfer_syntax_uid
    if old.has_pixels != new.has_pixels:
        return Difference.PIXELS
    if old.has_pixels:
        if _picture(old) != _picture(new):
            return Difference.PIXELS
        if not (alike and _same_bytes(old, old.pixels, new, new.pixels)) and not pixels.is_same(old.path, new.path):
            return Difference.PIXELS
    if alike and (has_same_header(old, new) or same_file(old.path, new.path)):
        return Difference.NONE
    return Difference.HEADER


def states_otherwise(old: Dataset, new: Dataset) -> bool:
    """Whether results of the new header would differ from those of the old one, apart from values in the instance's
    row."""
    return taken_over(old) != taken_over(new) or stated_display(old) != stated_display(new)


def measures_otherwise(old: Dataset, new: Dataset) -> bool:
    """Whether the new header gives another pixel spacing in the breast. The sizes of the lesions and the scale of the
    models' input depend on it."""
    return spacing_of(old) != spacing_of(new)


def correct(
    session: Session,
    instance: Instance,
    header: InstanceHeader,
    transfer_syntax_uid: str,
    file: ArchivedFile,
    now: float,
    *,
    restated: bool,
    read_again: bool = False,
) -> None:
    """Stores a corrected header; the path of its `file` is relative to the data folder. The reading is kept because the
    pixels are the same, unless the image is to be `read_again`: its old file was lost, or the reading depends on a
    value that was corrected.

    The study is reported again if a value that reports state has changed: `restated`, or a value of the row; or if
    retention had deleted the file and a report since then had to leave the image out. A study whose instances now
    disagree about the patient is quarantined: a person must check that all were corrected.
    """
    study = session.get_one(Study, instance.study_id, with_for_update=True)
    session.refresh(instance)  # as it is under the lock: retention or the copying may have changed it just before
    study.decide_at = 0.0
    if instance.purged_at is not None:
        restated, read_again = _was_left_out(session, instance), False
        study.last_received_at = max(study.last_received_at, now)  # also of an open study: retention counts from here
    instance.copied_at = instance.purged_at = study.images_purged_at = None
    values = _stated(instance)
    instance.path, instance.sha256 = str(file.path), file.sha256
    instance.transfer_syntax_uid = transfer_syntax_uid
    instance.series_instance_uid = header.series_instance_uid
    instance.patient_id, instance.patient_birth_date = header.patient_id, header.patient_birth_date
    instance.accession_number = header.accession_number
    instance.laterality, instance.view = header.laterality, header.view
    instance.extent, instance.no_view = header.extent, header.no_view
    hold_two_patients(session, study, now)
    is_one_now = instance.unread is Unread.NO_VIEW and not instance.no_view
    if read_again or is_one_now:
        _read_again(session, instance, study, is_one_now=is_one_now)
    if restated or values != _stated(instance):
        reopen(session, study, now, new_image=False)
        hold_back_replaced(session, study)
    came_again(study, now)
    log.info("study %d: instance %d came again with a corrected header", study.id, instance.id)


def _was_left_out(session: Session, instance: Instance) -> bool:
    """Whether a report was written since the image was deleted."""
    since = select(Result.id).where(Result.study_id == instance.study_id, Result.written_at > instance.purged_at)
    return session.execute(since.limit(1)).first() is not None


def _read_again(session: Session, instance: Instance, study: Study, *, is_one_now: bool) -> None:
    """Queues the reading of an image: again, or for the first time because its header now says that it is a view of a
    breast."""
    jobs = session.scalars(select(Job).where(Job.instance_id == instance.id)).all()
    for job in jobs:
        if job.state is JobState.FAILED:
            job.state = moved(job.state, JobState.CANCELLED)
    if not jobs and not is_one_now:
        return  # not an image that is read
    instance.leave_unread(None)
    instance.reading = None
    # A raw image's first reading is queued when the study closes.
    if jobs or instance.kind != InstanceKind.FOR_PROCESSING:
        ask_for_reading(session, study, instance)


def hold_contradicting(session: Session, instance: Instance, why: Contradiction, now: float) -> None:
    """Quarantines the study of an instance that contradicts its stored version."""
    study = session.get_one(Study, instance.study_id, with_for_update=True)
    quarantine(session, study, why, now)


def _same_bytes(old: WholeFile, old_span: Span | None, new: WholeFile, new_span: Span | None) -> bool:
    if old_span is None or new_span is None:
        return False
    return same_bytes(old.path, old_span, new.path, new_span)


def _picture(file: WholeFile) -> list[str]:
    """The attributes that determine the meaning of the pixel data."""
    values = [text(file.dataset, keyword) for keyword in _PICTURE]
    grey = code(file.dataset, "PhotometricInterpretation").startswith("MONOCHROME")
    # The colour model may change with the compression; the polarity of grey may not.
    return [*values, f"grey, inverse: {is_inverse(file.dataset)}" if grey else "colour"]


def _stated(instance: Instance) -> tuple[object, ...]:
    return (
        instance.series_instance_uid,
        instance.patient_id,
        instance.patient_birth_date,
        instance.laterality,
        instance.view,
        instance.extent,
        instance.no_view,
    )
