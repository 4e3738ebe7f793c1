"""Reads a study's headers and masks from the data folder, for its report.

The file of an image that was not read may be missing or damaged, and retention may have deleted that of one that was:
then the report takes the needed values from the image's row, so that the study's other images are reported.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

from pydicom import Dataset

from dicom_io.errors import NotReadable
from dicom_io.instance_kinds import InstanceKind
from dicom_io.pixels.intact import read_up_to_pixels
from dicom_io.results.sources import demographics
from models.readings.reading_json import from_json
from models.types.reading import ImageReading
from node.logs import place_of
from node.store.faults import is_passing
from node.store.tables import Instance

log = logging.getLogger(__name__)

_OF_THE_STUDY = (
    "InstitutionName", "PerformedProcedureStepDescription", "RequestedProcedureDescription",
    "RequestAttributesSequence", "ProcedureCodeSequence",
)  # fmt: skip
"""The attributes that routes use, besides the demographics."""


def reading_of(instance: Instance, data_dir: Path) -> ImageReading:
    """The reading of an image that was read.

    Raises:
        NotReadable: its masks are damaged or missing.
        OSError: the masks cannot be read (a fault of the machine).
    """
    if instance.reading is None or instance.masks_path is None:
        raise ValueError(f"image {instance.id} was not read")
    lost = f"the masks of image {instance.id} are {{}}: `mammo-node retry {instance.study_id}` has it read again"
    try:
        return from_json(instance.reading, (data_dir / instance.masks_path).read_bytes())
    except FileNotFoundError as cause:
        raise NotReadable(lost.format("gone")) from cause
    except ValueError as cause:
        raise NotReadable(lost.format("damaged")) from cause


def headers_of(instances: Sequence[Instance], study_instance_uid: str, data_dir: Path) -> dict[str, Dataset]:
    """The headers of a study's instances, by SOP Instance UID.

    Raises:
        NotReadable: the file of an image that was read, or every file, is gone or damaged.
        OSError, MemoryError: a temporary fault of the machine.
    """
    headers: dict[str, Dataset] = {}
    unreadable: dict[Instance, Exception] = {}
    for instance in instances:
        if instance.purged_at is not None:
            unreadable[instance] = NotReadable(f"image {instance.id} was purged (retention): send it again, then retry")
            continue
        try:
            headers[instance.sop_instance_uid] = _header(data_dir / instance.path)
        except Exception as fault:  # damaged bytes can raise anything in a parser
            if instance.reading is not None:
                raise _not_readable(instance, fault) from fault
            log.warning("image %d, which was not read: its header cannot be read: %s", instance.id, place_of(fault))
            unreadable[instance] = fault
    if not headers:
        first, cause = next(iter(unreadable.items()))
        raise (cause if first.purged_at is not None else _not_readable(first, cause)) from cause
    other = next(iter(headers.values()))
    return headers | {
        instance.sop_instance_uid: _from_row(instance, study_instance_uid, other) for instance in unreadable
    }


def _header(path: Path) -> Dataset:
    header = read_up_to_pixels(path)
    if "SOPInstanceUID" not in header:
        raise NotReadable("it is damaged")
    return header


def _not_readable(instance: Instance, fault: Exception) -> Exception:
    if is_passing(fault):
        return fault
    why = "is gone from the archive" if isinstance(fault, FileNotFoundError) else "in the archive cannot be read"
    return NotReadable(f"the file of image {instance.id} {why}: send it again, then retry")


def _from_row(instance: Instance, study_instance_uid: str, other: Dataset) -> Dataset:
    """A header made of the instance's row, with patient and study of an `other` instance."""
    header = demographics(other)
    for keyword in _OF_THE_STUDY:
        if keyword in other:
            header[keyword] = deepcopy(other[keyword])
    header.SOPClassUID = instance.sop_class_uid
    header.SOPInstanceUID = instance.sop_instance_uid
    header.SeriesInstanceUID = instance.series_instance_uid
    header.StudyInstanceUID = study_instance_uid
    header.Modality = "MG"
    raw = instance.kind == InstanceKind.FOR_PROCESSING
    header.PresentationIntentType = "FOR PROCESSING" if raw else "FOR PRESENTATION"
    header.ImageLaterality = instance.laterality or ""
    header.ViewPosition = instance.view or ""
    return header
