"""The same SOP Instance UID again: nothing new, a corrected header, or a contradiction (safety rule 5)."""

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
from node.archive.versions import same_bytes, same_file
from node.delivery.outbox import hold_back_replaced
from node.intake.same_pixels import PixelComparison
from node.store.states import JobState, moved
from node.store.tables import Instance, Job, Study
from node.store.unread import Unread
from node.studies.lifecycle import Contradiction, ask_for_reading, hold_two_patients, quarantine, reopen

log = logging.getLogger(__name__)

_PICTURE = ("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsStored", "PixelRepresentation")


class Difference(Enum):
    """What a resent file is beside the one that is kept."""

    NONE = auto()
    HEADER = auto()
    PIXELS = auto()


def compare(old: WholeFile, new: WholeFile, pixels: PixelComparison) -> Difference:
    """Byte by byte where both are encoded alike; otherwise by the decoded values.

    Raises:
        MemoryError: this machine does not hold the decoded values now.
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
    """Whether results made of the new header would differ from those made of the old one, besides what an instance's
    row holds."""
    return taken_over(old) != taken_over(new) or stated_display(old) != stated_display(new)


def correct(
    session: Session,
    instance: Instance,
    header: InstanceHeader,
    transfer_syntax_uid: str,
    path: str,
    now: float,
    *,
    restated: bool,
    lost: bool = False,
) -> None:
    """Enters a corrected header, kept at `path`; the reading stays, as the pixels are the same, unless the file before
    was `lost`: then they are read anew.

    A report that exists or was asked for is made anew where the header says something else of what it states:
    `restated`, or what the row itself holds. A study whose instances no longer agree about the patient goes into
    quarantine, whichever of them is right: a person must see that all of them were corrected.
    """
    study = session.get_one(Study, instance.study_id, with_for_update=True)
    study.decide_at = 0.0
    said = _said(instance)
    instance.path = path
    instance.transfer_syntax_uid = transfer_syntax_uid
    instance.series_instance_uid = header.series_instance_uid
    instance.patient_id, instance.patient_birth_date = header.patient_id, header.patient_birth_date
    instance.accession_number = header.accession_number
    instance.laterality, instance.view = header.laterality, header.view
    instance.extent, instance.no_view = header.extent, header.no_view
    hold_two_patients(session, study)
    is_one_now = instance.unread is Unread.NO_VIEW and not instance.no_view
    if lost or is_one_now:
        _read_anew(session, instance, study, is_one_now=is_one_now)
    if restated or said != _said(instance):
        reopen(session, study, now, new_image=False)
        hold_back_replaced(session, study)
    log.info("study %d: instance %d came again with a corrected header", study.id, instance.id)


def _read_anew(session: Session, instance: Instance, study: Study, *, is_one_now: bool) -> None:
    """Asks for the reading of an image whose file was lost, or that proved to be a view of a breast after all."""
    jobs = session.scalars(select(Job).where(Job.instance_id == instance.id)).all()
    for job in jobs:
        if job.state is JobState.FAILED:
            job.state = moved(job.state, JobState.CANCELLED)
    if not jobs and not is_one_now:
        return  # no image, or none that is read
    instance.leave_unread(None)
    instance.reading = None
    if jobs or instance.kind != InstanceKind.FOR_PROCESSING:  # a raw image's first reading is asked for at the close
        ask_for_reading(session, study, instance)


def hold_contradicting(session: Session, instance: Instance, why: Contradiction) -> None:
    """Puts the study of an instance that came again as something else into quarantine."""
    study = session.get_one(Study, instance.study_id, with_for_update=True)
    quarantine(session, study, why)


def _same_bytes(old: WholeFile, old_span: Span | None, new: WholeFile, new_span: Span | None) -> bool:
    if old_span is None or new_span is None:
        return False
    return same_bytes(old.path, old_span, new.path, new_span)


def _picture(file: WholeFile) -> list[str]:
    """The attributes without which the pixel data's bytes say nothing."""
    said = [text(file.dataset, keyword) for keyword in _PICTURE]
    grey = code(file.dataset, "PhotometricInterpretation").startswith("MONOCHROME")
    # Colour may change its model with its compression; black and white may not change places.
    return [*said, f"grey, inverse: {is_inverse(file.dataset)}" if grey else "colour"]


def _said(instance: Instance) -> tuple[object, ...]:
    return (
        instance.series_instance_uid,
        instance.patient_id,
        instance.patient_birth_date,
        instance.laterality,
        instance.view,
        instance.extent,
        instance.no_view,
    )
