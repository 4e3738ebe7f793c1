"""Builds the exam of a study from its rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sqlalchemy.orm import Session

from dicom_io.instance_kinds import InstanceKind
from dicom_io.views import SPECIMEN
from models.birads.concordance import concordances
from models.readings.exam import put_together
from models.readings.reading_json import scores_from_json
from models.reference.tenths import Reference, ranked
from models.types.birads import RECALL_THRESHOLD
from models.types.exam import ExamImage, ExamReading, UnreadImage
from models.types.reading import ImageReading
from node.archive.contents import reading_of
from node.assessments.entered import assessments_of, was_withdrawn
from node.store.tables import Instance, Study
from node.store.unread import Unread, sentence
from node.studies.closing import arrived_views, breasts_of, readings_begun
from node.studies.raw_copies import raw_copies

NOT_YET = "it is not read yet"
_READ = (InstanceKind.FOR_PRESENTATION, InstanceKind.FOR_PROCESSING)


def exam_of(
    session: Session,
    study: Study,
    data_dir: Path,
    recall_threshold: float = RECALL_THRESHOLD,
    reference: Reference | None = None,
    *,
    only_scores: bool = False,
) -> ExamReading:
    """The exam of a study: the readings, and the images that were not read with the reasons.

    Args:
        recall_threshold: the site's: a probability (0..1) above it is a recall.
        reference: the reference set that ranks its score, if the site uses one.
        only_scores: images whose masks retention deleted count too, without findings; for figures, and no report.

    Raises:
        NotReadable, OSError: see `reading_of`.

    The reading of a raw image is left out if its exposure was also read from an image for presentation.
    """
    copies, begun = raw_copies(study.instances), readings_begun(session, study)
    images, unread = [], []
    for instance in study.instances:
        raw_copy = instance.id in copies
        no_view = instance.no_view  # its header may have been corrected after it was read
        reading = None if raw_copy or no_view else _reading(instance, data_dir, only_scores=only_scores)
        if reading is not None:
            images.append(
                ExamImage(
                    sop_instance_uid=instance.sop_instance_uid,
                    laterality=instance.laterality,
                    view=instance.view,
                    reading=reading,
                    extent=instance.extent,
                )
            )
        elif instance.reading is not None and not (raw_copy or no_view):
            unread.append(unread_image(instance, sentence(Unread.PURGED)))
        elif _is_named(instance) and (raw_copy or no_view or instance.unread is not None):
            reason = sentence(Unread.RAW_COPY) if raw_copy else instance.unread_reason or no_view
            rejected = instance.unread is Unread.REJECTED
            unread.append(unread_image(instance, reason or "", on_purpose=raw_copy or rejected))
        elif instance.kind in _READ or instance.id in begun:
            unread.append(unread_image(instance, NOT_YET))
    exam = put_together(images, unread, arrived_views(study, begun), breasts_of(study, begun), recall_threshold)
    if reference is not None:
        exam = ranked(exam, reference)
    compared = concordances(exam, assessments_of(session, study))
    return replace(exam, concordances=compared, withdrawn=was_withdrawn(session, study))


def unread_image(instance: Instance, reason: str, *, on_purpose: bool = False) -> UnreadImage:
    """An image of the study that was not read; also one that a route leaves out."""
    return UnreadImage(
        instance.sop_instance_uid,
        instance.kind,
        reason,
        on_purpose=on_purpose,
        laterality=instance.laterality,
        view=instance.view,
        extent=instance.extent,
        may_show_lesion=_shows_breast(instance),
    )


def _shows_breast(instance: Instance) -> bool:
    """A lesion may be in every image of a breast, also in one that is never read, such as a tomosynthesis."""
    is_of_breast = instance.kind.is_breast_image or instance.kind is InstanceKind.SECONDARY_CAPTURE
    return is_of_breast and instance.view != SPECIMEN


def _is_named(instance: Instance) -> bool:
    """Whether the report names it where it was not read: no report of others, and no rejection note, which its images
    have."""
    is_note = instance.unread is Unread.REJECTED and not instance.kind.is_image
    return instance.kind != InstanceKind.REPORT and not is_note


def _reading(instance: Instance, data_dir: Path, *, only_scores: bool) -> ImageReading | None:
    """The reading of an image; None if there is none, or its masks are deleted."""
    if instance.reading is None:
        return None
    if instance.masks_path is None:
        return scores_from_json(instance.reading) if only_scores else None
    return reading_of(instance, data_dir)
