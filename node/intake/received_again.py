"""Handles a SOP Instance UID that is received again: unchanged, corrected header, or contradiction (safety rule 5)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum, auto

from pydicom import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from dicom_io.attributes import code, text
from dicom_io.headers import InstanceHeader, kind_of
from dicom_io.instance_kinds import InstanceKind
from dicom_io.pixels.intact import WholeFile
from dicom_io.pixels.luts import is_inverse, stated_display
from dicom_io.pixels.pixel_element import Span
from dicom_io.pixels.reading_inputs import reads_otherwise
from dicom_io.pixels.same_header import has_same_header
from dicom_io.results.fingerprints import taken_over
from node.archive.digests import ArchivedFile
from node.archive.versions import same_bytes, same_file
from node.delivery.outbox import hold_back_replaced
from node.intake.same_pixels import PixelComparison
from node.store.tables import Instance, Job, Result, Study
from node.store.unread import Unread
from node.studies.lifecycle import (
    Contradiction,
    ask_for_reading,
    came_again,
    cancel_readings,
    hold_two_patients,
    quarantine,
    reopen,
)

log = logging.getLogger(__name__)

_PICTURE = ("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsStored", "PixelRepresentation")


@dataclass(frozen=True)
class Corrected:
    """What a corrected header makes necessary.

    Attributes:
        restated: a report states it: the study is reported again.
        read_again: the reading depends on it: the image is read again, and its study reported again.
    """

    restated: bool = False
    read_again: bool = False


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


def corrected(old: Dataset, new: Dataset) -> Corrected:
    """What the new header of an instance makes necessary, apart from what the values in its row do."""
    restated = taken_over(old) != taken_over(new) or stated_display(old) != stated_display(new)
    return Corrected(restated, kind_of(new).is_image and reads_otherwise(old, new))


def correct(
    session: Session,
    instance: Instance,
    header: InstanceHeader,
    transfer_syntax_uid: str,
    file: ArchivedFile,
    now: float,
    what: Corrected,
) -> None:
    """Stores a corrected header; the path of its `file` is relative to the data folder. The reading is kept where only
    who the patient is was corrected: the pixels are the same. Where the image is to be read again, a reading that is
    being made of the old file is taken back.

    The study is reported again if the image is read again or a value that reports state has changed: `what`, or a value
    of the row; or if retention had deleted the file and a report since then had to leave the image out. Of a file that
    was deleted only the row tells how the header was: it is read again where side, view or extent are others now.

    A study whose instances now disagree about the patient is quarantined: a person must check that all were corrected.
    """
    study = session.get_one(Study, instance.study_id, with_for_update=True)
    session.refresh(instance)  # as it is under the lock: retention or the copying may have changed it just before
    study.decide_at = 0.0
    restated, read_again = what.restated, what.read_again
    was_shown = _shown(instance)
    is_back = instance.purged_at is not None
    if instance.purged_at is not None:
        restated, read_again = _was_left_out(session, instance), False
        study.last_received_at = max(study.last_received_at, now)  # also of an open study: retention counts from here
    instance.copied_at = instance.purged_at = study.images_purged_at = None
    values = _stated(instance)
    instance.path, instance.sha256 = str(file.path), file.sha256
    instance.transfer_syntax_uid = transfer_syntax_uid
    instance.series_instance_uid = header.series_instance_uid
    instance.patient = header.patient
    instance.accession_number = header.accession_number
    instance.laterality, instance.view = header.laterality, header.view
    instance.extent, instance.no_view = header.extent, header.no_view
    instance.acquisition = header.acquisition.as_json()
    hold_two_patients(session, study, now)
    is_one_now = instance.unread is Unread.NO_VIEW and not instance.no_view
    read_again = read_again or is_one_now or (is_back and was_shown != _shown(instance))
    if read_again:
        _read_again(session, instance, study, is_one_now=is_one_now)
    if read_again or restated or values != _stated(instance):
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
    breast. One that is no view of a breast now is not read."""
    jobs = session.scalars(select(Job.id).where(Job.instance_id == instance.id)).all()
    if instance.left_out or (not jobs and not is_one_now):
        return  # not an image that is read
    cancel_readings(session, instance)
    instance.leave_unread(Unread.NO_VIEW if instance.no_view else None)
    instance.reading = instance.masks_path = instance.read_at = None
    if instance.no_view:
        return
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
        instance.patient,
        instance.acquisition,
        *_shown(instance),
    )


def _shown(instance: Instance) -> tuple[object, ...]:
    return (instance.laterality, instance.view, instance.extent, instance.no_view)
